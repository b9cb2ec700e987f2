"""Write the report of a past run as one HTML file, from its target alone.

python jobs/report.py conf/NAME.yaml [--run RUN_ID] [--out report.html] [--images N]
spark-submit --properties-file conf/spark-defaults.conf jobs/report.py conf/NAME.yaml
"""

import typer

from sparkcoil.cli import report

if __name__ == "__main__":
    typer.run(report)
