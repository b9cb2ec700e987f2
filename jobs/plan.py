"""Say what a run would do and about how long it would take; nothing is written.

python jobs/plan.py conf/NAME.yaml [--set key.path=value ...] [--preview 10] [--max-hours 8] [--max-cost 20]
spark-submit --properties-file conf/spark-defaults.conf jobs/plan.py conf/NAME.yaml
"""

import typer

from sparkcoil.cli import plan

if __name__ == "__main__":
    typer.run(plan)
