"""A target that has drifted from what a run writes: found before the model is asked, or taken as it is where nothing is in the way."""

import pytest
from pyspark.sql import SparkSession
from runs import history, make_table, text_run

from sparkcoil import chunks, run
from sparkcoil.errors import SourceError, TargetError

ROWS = [(i, f"text number {i}", "en") for i in range(12)]
KEEPING = {"keep": ["lang"]}


@pytest.fixture
def drifting(spark: SparkSession, text_model: str, request: pytest.FixtureRequest) -> str:
    """A table that is scored, with four rows due; gives its name."""
    name = "".join(each if each.isalnum() else "_" for each in request.node.name.lower())[:60]
    make_table(spark, name, ROWS[:8], "id BIGINT, body STRING, lang STRING")
    run(spark, text_run(text_model, name, "-", target={"table": f"{name}_scored", **KEEPING}))
    spark.sql(f"INSERT INTO {name} VALUES {', '.join(map(str, ROWS[8:]))}")
    return name


@pytest.fixture
def untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    """No model is asked anything."""

    def asked(*given: object, **named: object) -> None:
        raise AssertionError("a model was asked")

    monkeypatch.setattr(chunks, "cleared", asked)


REFUSED = {
    "a column is added": ("ALTER TABLE {target} ADD COLUMNS (extra STRING)", "column extra: expected no such column, found string"),
    "a column is dropped": ("ALTER TABLE {target} DROP COLUMN lang", "column lang: expected string, found no such column"),
    "a column is renamed": (
        "ALTER TABLE {target} RENAME COLUMN lang TO langs",
        "column lang: expected string, found no such column; did you mean 'langs'?",
    ),
    "a field is added": ("ALTER TABLE {target} ADD COLUMNS (prediction.extra STRING)", "column prediction: expected struct<"),
    "the kept column is of another type": ("ALTER TABLE {source} ALTER COLUMN lang TYPE STRING", None),
    "the key is widened": ("ALTER TABLE {target} ALTER COLUMN id TYPE DECIMAL(20, 0)", "column id: expected bigint, found decimal(20,0)"),
}  # fmt: skip
NAMED = "ALTER TABLE {} SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name', 'delta.enableTypeWidening' = 'true')"


@pytest.mark.parametrize("kind", [kind for kind, (_, said) in REFUSED.items() if said])
@pytest.mark.usefixtures("untouched")
def test_a_target_that_has_drifted_is_refused_before_the_model_is_asked(
    spark: SparkSession, text_model: str, drifting: str, kind: str
) -> None:
    statement, said = REFUSED[kind]
    spark.sql(NAMED.format(f"{drifting}_scored"))
    spark.sql(statement.format(target=f"{drifting}_scored", source=drifting))
    before = history(spark, f"{drifting}_scored")
    with pytest.raises(TargetError) as caught:
        run(spark, text_run(text_model, drifting, "-", target={"table": f"{drifting}_scored", **KEEPING}))
    assert str(said) in str(caught.value)
    assert history(spark, f"{drifting}_scored") == before


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("ALTER TABLE {} RENAME COLUMN body TO text", "source.columns.text: 'body' is no column"),
        ("ALTER TABLE {} DROP COLUMN lang", "target.keep: no column 'lang'"),
        ("ALTER TABLE {} RENAME COLUMN id TO ids", "source.keys: no column 'id'; did you mean 'ids'?"),
    ],
)
@pytest.mark.usefixtures("untouched")
def test_a_source_that_has_drifted_is_refused_before_the_model_is_asked(
    spark: SparkSession, text_model: str, drifting: str, statement: str, said: str
) -> None:
    spark.sql(NAMED.format(drifting))
    spark.sql(statement.format(drifting))
    with pytest.raises(SourceError) as caught:
        run(spark, text_run(text_model, drifting, "-", target={"table": f"{drifting}_scored", **KEEPING}))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE {target} ALTER COLUMN lang FIRST",
        "ALTER TABLE {target} ALTER COLUMN scored_at COMMENT 'when'",
        "ALTER TABLE {target} CLUSTER BY (id)",
        "ALTER TABLE {target} SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')",
        "ALTER TABLE {target} SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name')",
        "ALTER TABLE {target} SET TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')",
        "ALTER TABLE {source} SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')",
        "ALTER TABLE {source} ADD COLUMNS (extra STRING)",
        "ALTER TABLE {source} ALTER COLUMN body FIRST",
    ],
)
def test_what_is_in_no_ones_way_is_taken_as_it_is(spark: SparkSession, text_model: str, drifting: str, statement: str) -> None:
    spark.sql(statement.format(target=f"{drifting}_scored", source=drifting))
    spark.sql(f"UPDATE {drifting} SET body = 'another text' WHERE id = 3")
    spark.sql(f"DELETE FROM {drifting} WHERE id = 4")
    config = text_run(text_model, drifting, "-", target={"table": f"{drifting}_scored", **KEEPING, "deletes": "remove"})
    report = run(spark, config)
    assert (report.rows["ok"], report.rows["removed"]) == (5, 1)
    found = spark.table(f"{drifting}_scored")
    assert sorted(row["id"] for row in found.where("status = 'ok' AND lang = 'en'").collect()) == [i for i in range(12) if i != 4]
    assert run(spark, config).status == "nothing_due"


def test_kept_columns_are_added_where_the_run_file_says_so(spark: SparkSession, text_model: str, drifting: str) -> None:
    spark.sql(f"ALTER TABLE {drifting} ADD COLUMNS (size INT)")
    target = {"table": f"{drifting}_scored", "keep": ["lang", "size"]}
    with pytest.raises(TargetError, match="column size: expected int, found no such column"):
        run(spark, text_run(text_model, drifting, "-", target=target))
    spark.sql(f"UPDATE {drifting} SET size = id WHERE id >= 10")
    adding = text_run(text_model, drifting, "-", target={**target, "add_columns": True})
    assert run(spark, adding).rows["ok"] == 4
    assert {row["id"] for row in spark.table(f"{drifting}_scored").where("size IS NOT NULL").collect()} == {10, 11}
    assert run(spark, adding).status == "nothing_due"


def test_rows_that_left_the_source_are_marked_and_unmarked_when_they_are_back(spark: SparkSession, text_model: str, drifting: str) -> None:
    target = {"table": f"{drifting}_scored", **KEEPING, "deletes": "mark"}
    with pytest.raises(TargetError, match="column deleted_at: expected timestamp, found no such column"):
        run(spark, text_run(text_model, drifting, "-", target=target))
    marking = text_run(text_model, drifting, "-", target={**target, "add_columns": True})
    spark.sql(f"DELETE FROM {drifting} WHERE id IN (1, 2)")
    report = run(spark, marking)
    assert (report.rows["ok"], report.rows["removed"]) == (4, 2)
    marked = f"SELECT id FROM {drifting}_scored WHERE deleted_at IS NOT NULL ORDER BY id"
    assert [row["id"] for row in spark.sql(marked).collect()] == [1, 2]
    assert run(spark, marking).status == "nothing_due"
    spark.sql(f"INSERT INTO {drifting} VALUES (1, 'text number 1', 'en')")
    report = run(spark, marking)
    assert (report.rows["due"], report.rows["copied"], report.rows["removed"]) == (1, 1, 0)
    assert [row["id"] for row in spark.sql(marked).collect()] == [2]
    assert (spark.table(f"{drifting}_scored").count(), run(spark, marking).status) == (12, "nothing_due")


def test_a_version_of_the_source_that_is_no_more_is_refused(spark: SparkSession, text_model: str, drifting: str) -> None:
    source = {"table": drifting, "version": 99, "keys": ["id"], "columns": {"text": "body"}}
    with pytest.raises(SourceError, match="99"):
        run(spark, text_run(text_model, "-", "nowhere", source=source))
    spark.sql(f"DELETE FROM {drifting} WHERE id < 5")
    spark.conf.set("spark.databricks.delta.retentionDurationCheck.enabled", "false")
    try:
        spark.sql(f"VACUUM {drifting} RETAIN 0 HOURS")
    finally:
        spark.conf.unset("spark.databricks.delta.retentionDurationCheck.enabled")
    with pytest.raises(SourceError):
        run(spark, text_run(text_model, "-", "nowhere", source={**source, "version": 1}))
    assert not spark.catalog.tableExists("nowhere") or spark.table("nowhere").count() == 0
