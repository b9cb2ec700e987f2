"""Run files as values, for tests: the docstring classifier over a small table."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from sparkcoil import RunConfig


def text_run(uri: str, table: str, into: str, /, **changes: Any) -> RunConfig:
    """Return a run of the text classifier, not logged to MLflow; `changes` replace whole sections."""
    sections: dict[str, Any] = {
        "name": "test",
        "tracking": "none",
        "model": {"uri": uri},
        "source": {"table": table, "keys": ["id"], "columns": {"text": "body"}},
        "target": {"table": into},
        **changes,
    }
    return RunConfig.model_validate(sections)


def make_table(spark: SparkSession, name: str, rows: Sequence[tuple[Any, ...]], schema: str = "id BIGINT, body STRING") -> DataFrame:
    """Write rows as a Delta table, in place of one that is there."""
    frame = spark.createDataFrame(list(rows), schema)
    frame.write.format("delta").mode("overwrite").option("overwriteSchema", True).saveAsTable(name)
    return frame


def copy_scored(spark: SparkSession, table: str, test: str) -> str:
    """Return the name of a test's own copy of a Delta table of the warehouse; the copy of its target has the same name with `_scored`.

    Both have the history and the identity of what they are copies of: what is known of the one holds for the other.
    """
    folder = Path(str(spark.conf.get("spark.sql.warehouse.dir")).removeprefix("file:"))
    name = re.sub(r"\W+", "_", test.lower())[:60]
    for end in ("", "_scored"):
        shutil.copytree(folder / f"{table}{end}", folder / "copies" / f"{name}{end}")
        spark.sql(f"CREATE TABLE {name}{end} USING delta LOCATION '{folder / 'copies' / name}{end}'")
    return name


def history(spark: SparkSession, table: str) -> int:
    """Return a table's number of commits."""
    return spark.sql(f"DESCRIBE HISTORY {table}").count()
