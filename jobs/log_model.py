"""Log a checkpoint in MLflow with its task.

python jobs/log_model.py CHECKPOINT --task text-classification [--name NAME --alias champion] [--option top_k=3 ...]
python jobs/log_model.py ADAPTER --task text-generation [--base DIRECTORY] [--prompt-template TEXT]
"""

import typer

from sparkcoil.cli import log_model

if __name__ == "__main__":
    typer.run(log_model)
