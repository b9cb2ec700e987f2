"""What a run notes in its commits: a rerun with nothing due looks at no row, and looks again wherever the note does not hold."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from pyspark.sql import SparkSession
from runs import copy_scored, history, make_table, text_run

from sparkcoil import due, pipeline, receipt, run
from sparkcoil.tables import Commit


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A line for each time that rows of a source were held against a target."""
    seen: list[str] = []
    find = due.find

    def counted(*given: object, **named: object) -> due.Due:
        seen.append("looked")
        return find(*given, **named)

    monkeypatch.setattr(pipeline.due, "find", counted)
    return seen


@pytest.fixture(scope="module")
def first(spark: SparkSession, text_model: str) -> str:
    """A table that a run has scored; gives its name, by which the target is named too."""
    make_table(spark, "receipt", [(i, f"text number {i % 7}") for i in range(20)])
    assert run(spark, text_run(text_model, "receipt", "receipt_scored")).status == "done"
    return "receipt"


@pytest.fixture
def source(spark: SparkSession, first: str, request: pytest.FixtureRequest) -> str:
    """The test's own copy of that table and its target; gives its name."""
    return copy_scored(spark, first, request.node.name)


@pytest.fixture
def again(spark: SparkSession, text_model: str, source: str) -> Callable[..., str]:
    """Score the table again, and tell the status."""
    return lambda **sections: run(spark, text_run(text_model, source, f"{source}_scored", **sections)).status


def test_a_rerun_over_the_same_version_looks_at_no_row(spark: SparkSession, text_model: str, looks: list[str], source: str) -> None:
    for _ in range(2):
        report = run(spark, text_run(text_model, source, f"{source}_scored"))
        assert (report.status, report.rows["source"], report.rows["due"], looks) == ("nothing_due", 20, 0, [])
        assert history(spark, f"{source}_scored") == 2


def test_a_run_of_several_chunks_has_a_receipt_too(spark: SparkSession, looks: list[str], source: str, again: Callable[..., str]) -> None:
    spark.sql(f"INSERT INTO {source} VALUES (100, 'a new text'), (101, 'another new text')")
    assert again(batching={"chunk_rows": 1}) == "done"
    looks.clear()
    assert (again(), looks) == ("nothing_due", [])


@pytest.mark.parametrize(
    "change",
    [
        "INSERT INTO {source} VALUES (100, 'a new text')",
        "DELETE FROM {target} WHERE id = 3",
        "UPDATE {target} SET status = 'failed' WHERE id = 3",
    ],
)
def test_after_a_change_of_either_table_rows_are_looked_at(
    spark: SparkSession, looks: list[str], source: str, again: Callable[..., str], change: str
) -> None:
    spark.sql(change.format(source=source, target=f"{source}_scored"))
    again()
    assert looks == ["looked"]
    assert spark.table(f"{source}_scored").count() == spark.table(source).count()


def test_upkeep_of_the_target_leaves_the_receipt(spark: SparkSession, looks: list[str], source: str, again: Callable[..., str]) -> None:
    spark.sql(f"OPTIMIZE {source}_scored ZORDER BY (id)")
    assert (again(), looks) == ("nothing_due", [])


def test_other_columns_or_options_are_no_rerun(looks: list[str], source: str, again: Callable[..., str]) -> None:
    upper = {"table": source, "keys": ["id"], "columns": {"text": "upper(body)"}}
    assert (again(source=upper), looks) == ("done", ["looked"])
    assert (again(source={**upper, "where": "id < 5"}), len(looks)) == ("nothing_due", 2)


def test_a_source_made_anew_at_the_same_version_is_another(spark: SparkSession, source: str, again: Callable[..., str]) -> None:
    spark.sql(f"DROP TABLE {source}")
    make_table(spark, source, [(i, f"another text {i}") for i in range(20)])
    assert again() == "done"


def test_a_function_of_the_users_may_be_another_one_the_next_time() -> None:
    stable = ["body", "concat_ws(' ', title, body)", "CAST(n AS STRING)", "n IN (1, 2)"]
    assert [each for each in [*stable, "my_udf(body)", "catalog.db.clean(body)"] if receipt.is_stable(each)] == stable


@pytest.mark.parametrize("note", [None, "", "{}", "[1]", "not JSON", '{"sparkcoil": {"run_id": 1, "unknown": 2}}'])
def test_the_note_of_another_writer_is_no_receipt(note: str | None) -> None:
    assert receipt.of(Commit(3, 3, note), "mark") is None


def test_a_receipt_holds_for_the_version_that_its_commit_should_have_made() -> None:
    given = receipt.complete("run", "mark", 4, {"source": 5, "keys": 5, "due": 5, "known": 0}, source=7, rows=5)
    found = receipt.of(Commit(6, 4, given.note), "mark")
    assert found is not None and found.counts == {"source": 5, "keys": 5, "due": 0, "known": 0} and found.source == 7
    assert receipt.of(Commit(6, 5, given.note), "mark") is None
    assert receipt.of(Commit(6, 4, given.note, 4), "mark") is None
    assert receipt.of(Commit(4, 4, given.note), "another") is None
    assert receipt.of(Commit(4, 4, replace(given, mark=None).note), None) is None
