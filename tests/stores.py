"""MLflow stores in folders of the tests' own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def open_store(folder: Path) -> None:
    """Make a folder's store the one of this process, and of those that it starts, with an experiment whose files are there too."""
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
    import mlflow

    mlflow.set_experiment(experiment_id=mlflow.create_experiment("tests", artifact_location=f"file://{folder}/artifacts"))
    os.environ["MLFLOW_EXPERIMENT_NAME"] = "tests"


@contextmanager
def opened(folder: Path) -> Iterator[None]:
    """Have a folder's store for the block in place of the one that is open."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("MLFLOW_TRACKING_URI", os.environ["MLFLOW_TRACKING_URI"])
        open_store(folder)  # its experiment has the same number as that of any other such store
        yield
