"""A target that has drifted from what a run writes: found before the model is asked, or taken as it is where nothing is in the way."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql.types import StructField, StructType
from runs import history, make_table, text_run

from sparkcoil import RunConfig, chunks, drift, ledger, pinned, run, tasks, testing
from sparkcoil.errors import SourceError, TargetError

DRIFTS = {
    "a column is added": ("id BIGINT, lang STRING, prediction STRUCT<label: STRING, score: DOUBLE>, status STRING, extra INT", "extra"),
    "a column is dropped": ("id BIGINT, prediction STRUCT<label: STRING, score: DOUBLE>, status STRING", "lang"),
    "a column is renamed": ("id BIGINT, langs STRING, prediction STRUCT<label: STRING, score: DOUBLE>, status STRING", "lang"),
    "a column is narrower": ("id INT, lang STRING, prediction STRUCT<label: STRING, score: DOUBLE>, status STRING", "id"),
    "a column is wider": ("id DECIMAL(20, 0), lang STRING, prediction STRUCT<label: STRING, score: DOUBLE>, status STRING", "id"),
    "a name is in other case": ("ID BIGINT, lang STRING, prediction STRUCT<label: STRING, score: DOUBLE>, status STRING", "id"),
    "a field is added": ("id BIGINT, lang STRING, prediction STRUCT<label: STRING, score: DOUBLE, x: INT>, status STRING", "prediction"),
    "a field is narrower": ("id BIGINT, lang STRING, prediction STRUCT<label: STRING, score: FLOAT>, status STRING", "prediction"),
    "fields change places": ("id BIGINT, lang STRING, prediction STRUCT<score: DOUBLE, label: STRING>, status STRING", "prediction"),
}  # fmt: skip
ROWS = [(i, f"text number {i}", "en") for i in range(12)]


def schema(ddl: str) -> StructType:
    parsed = StructType.fromDDL(ddl)
    assert isinstance(parsed, StructType)
    return parsed


@pytest.fixture
def wanted(spark: SparkSession) -> StructType:
    return schema("id BIGINT, lang STRING, prediction STRUCT<label: STRING, score: DOUBLE>, status STRING")


@pytest.mark.parametrize("kind", DRIFTS)
def test_a_column_that_is_not_as_it_should_be_is_named(wanted: StructType, kind: str) -> None:
    found, column = DRIFTS[kind]
    said = [*drift.problems(schema(found), wanted)]
    assert any(each.startswith(f"column {column}: expected ") for each in said), said


def test_a_renamed_column_is_told_with_the_name_that_is_there(wanted: StructType) -> None:
    said = [*drift.problems(schema(DRIFTS["a column is renamed"][0]), wanted)]
    assert "column lang: expected string, found no such column; did you mean 'langs'?" in said


def test_order_and_nullability_are_the_tables_own_affair(wanted: StructType) -> None:
    fields = [StructField(each.name, each.dataType, nullable=False) for each in reversed(wanted.fields)]
    assert [*drift.problems(StructType(fields), wanted)] == []


def test_what_may_be_lacking_is_no_problem_and_is_what_is_added(wanted: StructType) -> None:
    found = schema(DRIFTS["a column is dropped"][0])
    assert [*drift.problems(found, wanted, may_lack=["lang"])] == []
    assert drift.lacks(found, wanted) and not drift.lacks(wanted, found)


def test_what_delta_fills_by_itself_may_be_there(wanted: StructType) -> None:
    for name in drift.GENERATED:
        assert [*drift.problems(StructType([*wanted, StructField("day", wanted[0].dataType, metadata={name: "1"})]), wanted)] == []


@pytest.fixture(scope="module")
def drifting(spark: SparkSession, text_model: str) -> str:
    """A table that is scored but for four rows, and whose target may be altered; gives its name."""
    make_table(spark, "drifting", ROWS[:8], "id BIGINT, body STRING, lang STRING")
    run(spark, text_run(text_model, "drifting", "-", target={"table": "drifting_scored", "keep": ["lang"]}))
    spark.sql(f"INSERT INTO drifting VALUES {', '.join(map(str, ROWS[8:]))}")
    for name in ("drifting", "drifting_scored"):
        spark.sql(f"ALTER TABLE {name} SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name', 'delta.enableDeletionVectors' = 'true')")
    return "drifting"


def test_drift_of_either_table_is_refused_before_the_model_is_asked(
    spark: SparkSession, text_model: str, drifting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*given: object, **named: object) -> None:
        raise AssertionError("a model was asked")

    monkeypatch.setattr(chunks, "cleared", asked)
    config = text_run(text_model, drifting, "-", target={"table": "drifting_scored", "keep": ["lang"]})
    for table, old, new, error, said in (
        ("drifting_scored", "lang", "langs", TargetError, "column lang: expected string, found no such column; did you mean 'langs'?"),
        ("drifting", "body", "text", SourceError, "source.columns.text: 'body' is no column"),
        ("drifting", "lang", "langs", SourceError, "target.keep: no column 'lang'; did you mean 'langs'?"),
        ("drifting", "id", "ids", SourceError, "source.keys: no column 'id'; did you mean 'ids'?"),
    ):
        spark.sql(f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}")
        before = history(spark, "drifting_scored")
        with pytest.raises(error) as caught:
            run(spark, config)
        assert said in str(caught.value)
        assert history(spark, "drifting_scored") == before
        spark.sql(f"ALTER TABLE {table} RENAME COLUMN {new} TO {old}")


HARMLESS = (
    "ALTER TABLE drifting_scored ALTER COLUMN lang FIRST",
    "ALTER TABLE drifting_scored ALTER COLUMN scored_at COMMENT 'when'",
    "ALTER TABLE drifting_scored CLUSTER BY (id)",
    "ALTER TABLE drifting_scored SET TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')",
    "ALTER TABLE drifting ADD COLUMNS (size INT)",
    "ALTER TABLE drifting ALTER COLUMN body FIRST",
)


@pytest.fixture(scope="module")
def altered(spark: SparkSession, text_model: str, drifting: str) -> RunConfig:
    """A run over that table, whose target is changed in ways that are in no one's way."""
    for statement in HARMLESS:
        spark.sql(statement)
    return text_run(text_model, drifting, "-", target={"table": "drifting_scored", "keep": ["lang"], "deletes": "remove"})


def test_what_is_in_no_ones_way_is_not_refused(spark: SparkSession, altered: RunConfig) -> None:
    assert pinned.prepared(spark, altered).target.name == "drifting_scored"


@pytest.mark.long("runs")
def test_what_is_in_no_ones_way_is_taken_as_it_is(spark: SparkSession, altered: RunConfig) -> None:
    spark.sql("UPDATE drifting SET body = 'another text', size = 7 WHERE id = 3")
    spark.sql("DELETE FROM drifting WHERE id = 4")
    report = run(spark, altered)
    assert (report.rows["ok"], report.rows["removed"]) == (5, 1)
    found = spark.table("drifting_scored").where("status = 'ok' AND lang = 'en'")
    assert sorted(row["id"] for row in found.collect()) == [i for i in range(12) if i != 4]
    assert run(spark, altered).status == "nothing_due"


@pytest.fixture(scope="module")
def marking(spark: SparkSession, text_model: str) -> RunConfig:
    """A run that marks the rows that left and adds columns, over a table that was scored before without either."""
    make_table(spark, "leaving", ROWS[:8], "id BIGINT, body STRING, lang STRING")
    run(spark, text_run(text_model, "leaving", "-", target={"table": "leaving_scored", "keep": ["lang"]}))
    spark.sql("ALTER TABLE leaving ADD COLUMNS (size INT)")
    spark.sql("UPDATE leaving SET body = concat(body, '!'), size = id WHERE id = 5")
    spark.sql("DELETE FROM leaving WHERE id IN (1, 2)")
    target = {"table": "leaving_scored", "keep": ["lang", "size"], "deletes": "mark", "add_columns": True}
    return text_run(text_model, "leaving", "-", target=target)


def marked(spark: SparkSession) -> list[int]:
    return [row["id"] for row in spark.sql("SELECT id FROM leaving_scored WHERE deleted_at IS NOT NULL ORDER BY id").collect()]


@pytest.mark.promise("kept columns are added, and rows that left are marked, where the run file says so")
def test_kept_columns_are_added_and_lost_rows_marked_where_the_run_file_says_so(spark: SparkSession, marking: RunConfig) -> None:
    lacking = marking.target.model_copy(update={"add_columns": False})
    with pytest.raises(TargetError, match=r"column size: expected int, found no such column(.|\n)*column deleted_at: expected timestamp"):
        run(spark, marking.model_copy(update={"target": lacking}))
    report = run(spark, marking)
    assert (report.rows["ok"], report.rows["removed"], marked(spark)) == (1, 2, [1, 2])
    assert [row["id"] for row in spark.sql("SELECT id FROM leaving_scored WHERE size IS NOT NULL").collect()] == [5]
    assert run(spark, marking).status == "nothing_due"


@pytest.mark.long("runs")
def test_a_row_that_comes_back_is_copied_and_no_longer_marked(spark: SparkSession, marking: RunConfig) -> None:
    run(spark, marking)
    before = marked(spark)
    spark.sql("INSERT INTO leaving (id, body, lang) VALUES (1, 'text number 1', 'en')")
    report = run(spark, marking)
    assert (report.rows["due"], report.rows["copied"], report.rows["removed"]) == (1, 1, 0)
    assert (before, marked(spark)) == ([1, 2], [2])
    assert run(spark, marking).status == "nothing_due"


# The type of a key in the source and in the target.
TAKEN = (("STRING", "STRING"), ("STRING", "VARCHAR(8)"), ("CHAR(8)", "CHAR(8)"), ("CHAR(8)", "STRING"))
REFUSED = (
    ("STRING", "CHAR(8)"),
    ("VARCHAR(8)", "CHAR(8)"),
    ("CHAR(4)", "CHAR(8)"),
    ("INT", "BIGINT"),
    ("DATE", "STRING"),
    ("DECIMAL(9, 2)", "DECIMAL(12, 2)"),
    ("TIMESTAMP", "TIMESTAMP_NTZ"),
)
CELLS = {"INT": "1", "DATE": "DATE'2026-12-01'", "DECIMAL(9, 2)": "1.5", "TIMESTAMP": "TIMESTAMP'2026-12-01 10:00:00'"}


def keyed_run(spark: SparkSession, folder: Path, name: str, types: Sequence[tuple[str, str]]) -> RunConfig:
    """Return a run over a table of one row with a key of each type, into a table that is there, with its types for them."""
    keys = [f"k{number}" for number in range(len(types))]
    source, target = (", ".join(f"{key} {pair[side]}" for key, pair in zip(keys, types, strict=True)) for side in (0, 1))
    spark.sql(f"CREATE TABLE {name} ({source}, body STRING) USING delta")
    spark.sql(f"INSERT INTO {name} VALUES ({', '.join(CELLS.get(kind, repr('one')) for kind, _ in types)}, 'a text')")
    spark.sql(f"CREATE TABLE {name}_scored ({target}, {ledger.ddl(tasks.load('echo').prediction)}) USING delta")
    columns = {"table": name, "keys": keys, "columns": {"text": "body"}}
    return text_run(testing.write_echo_model(folder / "model"), "-", f"{name}_scored", source=columns)


def test_keys_are_found_again_under_their_types_in_the_target(spark: SparkSession, tmp_path: Path) -> None:
    config = keyed_run(spark, tmp_path, "keys_taken", TAKEN)
    assert run(spark, config).status == "done"
    spark.sql("UPDATE keys_taken_scored SET run_id = 'another'")  # so that rows are looked at again
    assert run(spark, config).status == "nothing_due"
    assert spark.table("keys_taken_scored").count() == 1


def test_each_key_that_could_not_be_found_again_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    config = keyed_run(spark, tmp_path, "keys_refused", REFUSED)
    with pytest.raises(TargetError) as caught:
        run(spark, config)
    assert [number for number in range(len(REFUSED)) if f"column k{number}: expected " not in str(caught.value)] == []
    assert spark.table("keys_refused_scored").count() == 0


def test_a_version_of_the_source_that_is_no_more_is_refused(spark: SparkSession, text_model: str, tmp_path: Path) -> None:
    place = tmp_path / "in"
    for rows in (ROWS[:2], ROWS[2:4]):
        spark.createDataFrame(rows, "id BIGINT, body STRING, lang STRING").coalesce(1).write.format("delta").mode("overwrite").save(
            str(place)
        )
    source = {"path": str(place), "keys": ["id"], "columns": {"text": "body"}, "version": 0}
    [data, *_] = sorted(place.glob("*.parquet"), key=lambda each: each.stat().st_mtime)
    data.unlink()  # as VACUUM does
    target = {"path": str(tmp_path / "out")}
    with pytest.raises(SourceError, match="source: "):
        run(spark, text_run(text_model, "-", "-", source=source, target=target))
    with pytest.raises(SourceError, match="99"):
        run(spark, text_run(text_model, "-", "-", source={**source, "version": 99}, target=target))
    assert not (tmp_path / "out").exists()
