"""What a Delta table is, as its log has it now."""

import json
from pathlib import Path

import pytest
from delta.tables import DeltaTable
from pyspark.sql import SparkSession

from sparkcoil import tables


def test_a_table_is_what_describe_detail_shows_also_after_another_writer_has_changed_it(spark: SparkSession, tmp_path: Path) -> None:
    place = tmp_path / "a table"
    spark.range(3).write.format("delta").save(str(place))
    table = DeltaTable.forPath(spark, str(place))
    for change in range(2):
        found, shown = tables.detail(table), table.detail().head()
        assert shown is not None
        assert (found.id, found.location, found.properties) == (shown["id"], shown["location"], shown["properties"])
        assert found.schema == table.toDF().schema
        set_property(place, version=change + 1, value=str(change))
        table = DeltaTable.forPath(spark, str(place))
        assert tables.detail(table).properties == {"by": str(change)}


def set_property(place: Path, *, version: int, value: str) -> None:
    """Commit a property to the table's log as another process does, of which this session hears nothing."""
    log = place / "_delta_log"
    actions = [json.loads(line) for file in sorted(log.glob("*.json")) for line in file.read_text().splitlines()]
    metadata = [action for action in actions if "metaData" in action][-1]
    metadata["metaData"]["configuration"] = {"by": value}
    (log / f"{version:020}.json").write_text(json.dumps(metadata) + "\n")


def seen(table: DeltaTable) -> list[dict[str, object]]:
    """Return a table's commits as DESCRIBE HISTORY shows them."""
    return [row.asDict() for row in table.history().select(*tables.COMMIT).collect()]


def test_commits_are_those_of_describe_history_also_of_other_writers_and_after_a_clean_up(spark: SparkSession, tmp_path: Path) -> None:
    place = str(tmp_path / "a table")
    spark.range(3).write.format("delta").save(place)
    spark.range(3, 5).write.format("delta").mode("append").option("userMetadata", 'a "note"').save(place)
    table = DeltaTable.forPath(spark, place)
    table.delete("id = 1")
    table.optimize().executeCompaction()
    assert [*tables.commits(table)] == seen(table)
    assert tables.newest(table) == tables.Commit(3, 2, None, None)
    assert tables.committed(table, 'a "note"', after=0) == tables.Written(1, 2, alone=True)
    assert tables.committed(table, 'a "note"', after=1) is None
    set_property(Path(place), version=4, value="x")  # which says nothing of itself
    assert [each["version"] for each in tables.commits(table)] == [4, 3, 2, 1, 0]
    spark.range(1).write.format("delta").mode("append").save(place)
    table = DeltaTable.forPath(spark, place)
    table._jdt.deltaLog().checkpoint()
    (Path(place) / "_delta_log" / f"{0:020}.json").unlink()  # as Delta's own clean-up does
    assert [each["version"] for each in tables.commits(table)] == [5, 4, 3, 2, 1]


def test_of_a_long_history_only_the_newest_commits_are_read(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = str(tmp_path / "long")
    for _ in range(4):
        spark.range(1).write.format("delta").mode("append").save(place)
    read = []
    info = tables.commit_info
    monkeypatch.setattr(tables, "commit_info", lambda table, folder, version: read.append(version) or info(table, folder, version))
    assert tables.newest(DeltaTable.forPath(spark, place)).version == 3
    assert read == [3]
