"""What the README says is done as it says it."""

import dataclasses
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from pyspark.sql import SparkSession

from sparkcoil import ledger, tasks

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
LOGGED = ("--task", "text-classification", "--name", "docstring_topic", "--alias", "champion")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def checkout(spark: SparkSession, examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what a checkout has, whose own source table is a part of the quickstart's."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("jobs", "conf"):
        shutil.copytree(ROOT / name, folder / name)
    (folder / ".cache").symlink_to(examples)
    source = spark.read.parquet(str(examples / "docstrings" / "docstrings.parquet")).limit(60)
    source.write.format("delta").save(str(folder / "spark-warehouse" / "docstrings"))
    return folder


def done(command: str | list[str], cwd: Path) -> str:
    """Run a command with an MLflow store of its own, in which it may be first to log a model, and return what it printed."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    ended = subprocess.run(command, shell=isinstance(command, str), cwd=cwd, capture_output=True, text=True, check=False, env=own)
    assert ended.returncode == 0, ended.stderr[-3000:]
    return ended.stdout


def test_the_run_file_is_the_one_in_conf() -> None:
    assert yaml.safe_load(blocks("yaml")[0]) == yaml.safe_load((ROOT / "conf" / "docstrings-topic.yaml").read_text())


def test_the_commands_work_one_after_the_other(checkout: Path) -> None:
    commands = [line for block in blocks("sh")[1:] for line in block.splitlines()]
    assert len(commands) == 3
    for command in commands:
        done(command, checkout)


def test_the_notebook_works(checkout: Path) -> None:
    done([sys.executable, "jobs/log_model.py", ".cache/models/docstring_topic", *LOGGED], checkout)
    assert done([sys.executable, "-c", blocks("python")[0]], checkout).count("only showing top 3 rows") == 2


def test_the_task_of_the_example_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "text_verdict.py").write_text(blocks("python")[1])
    monkeypatch.setattr(tasks, "__path__", [*tasks.__path__, str(tmp_path)])
    task = tasks.load("text-verdict")
    options = task.options.model_validate({"label": "no"})
    assert task.read({"text": b"a text"}, options) == ("a text", ())
    written = task.write([np.array([0.1, 2.0]), np.array([3.0, 2.0])], {"labels": ["yes", "no"]}, options)
    assert written == [{"verdict": True}, {"verdict": False}]


def test_the_example_names_every_field_that_a_task_must_have() -> None:
    required = [field.name for field in dataclasses.fields(tasks.Task) if field.default is dataclasses.MISSING]
    assert [name for name in required if f"    {name}=" not in blocks("python")[1]] == []


@pytest.mark.parametrize("name", tasks.names())
def test_every_task_is_in_the_table_with_its_inputs_and_its_prediction(name: str) -> None:
    line = next(line for line in README.splitlines() if line.startswith(f"| [{name}](docs/tasks.md#"))
    task = tasks.load(name)
    inputs = [each.name for each in task.inputs if each.required or each.name not in task.options.model_fields]
    predicted = [field for field, _ in ledger.split_fields(task.prediction)]
    assert [each for each in (*inputs, *task.one_of, *predicted) if f"`{each}`" not in line] == []


def test_every_page_of_docs_is_linked_from_their_index_which_is_linked_from_here() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert [page for page in sorted(pages) if f"]({page})" not in index] == []
    assert "](docs/README.md)" in README


def test_every_module_is_in_the_tree() -> None:
    tree = README.split("lib/sparkcoil/\n")[1].split("```")[0]
    assert [path.name for path in (ROOT / "lib" / "sparkcoil").glob("[a-z]*.py") if path.name not in tree] == []
