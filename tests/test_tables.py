"""What a Delta table is, as its log has it now."""

import json
from pathlib import Path

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
