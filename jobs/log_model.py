"""Log a checkpoint in MLflow with its task.

python jobs/log_model.py CHECKPOINT --task text-classification [--name NAME --alias champion]
"""

import typer

from sparkcoil.cli import log_model

if __name__ == "__main__":
    typer.run(log_model)
