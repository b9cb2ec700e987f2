"""What the README says is done as it says it."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from pyspark.sql import SparkSession
from walk import Done, walk

from sparkcoil import ledger, tasks

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def walked(spark: SparkSession, examples: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Done]:
    """Every command and block of Python of the page after the set-up, over a part of the quickstart's table."""
    folder = tmp_path_factory.mktemp("checkout")
    source = spark.read.parquet(str(examples / "docstrings" / "docstrings.parquet")).limit(60)
    source.write.format("delta").save(str(folder / "spark-warehouse" / "docstrings"))
    return walk(ROOT / "README.md", folder, examples)


def test_the_run_file_is_the_one_in_conf() -> None:
    assert yaml.safe_load(blocks("yaml")[0]) == yaml.safe_load((ROOT / "conf" / "docstrings-topic.yaml").read_text())


@pytest.mark.promise("a real job in a process of its own, and README's commands one after the other")
def test_the_commands_work_one_after_the_other(walked: list[Done]) -> None:
    commands = [each for each in walked if each.command.startswith("python ")]
    assert [each.code for each in commands] == [0, 0, 0]
    assert commands[1].report["status"] == "done"


def test_the_notebook_works(walked: list[Done]) -> None:
    [notebook] = [each for each in walked if "sparkcoil.start_session()" in each.command]
    assert notebook.printed.count("only showing top 3 rows") == 2


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
