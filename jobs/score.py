"""Score what is due of a source table into its target.

spark-submit --properties-file conf/spark-defaults.conf jobs/score.py conf/NAME.yaml [--set key.path=value ...] [--retry-failed]
python jobs/score.py conf/NAME.yaml
"""

import typer

from sparkcoil.cli import score

if __name__ == "__main__":
    typer.run(score)
