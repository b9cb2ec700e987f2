"""Makes the quickstart's two source tables from its data: `docstrings`, and `recordings` with each file's bytes as Spark reads them."""

import argparse
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkcoil import start_session


def docstrings(spark: SparkSession, data: Path) -> DataFrame:
    """Return the docstrings with the package that each belongs to."""
    return spark.read.parquet(str(data / "docstrings" / "docstrings.parquet"))


def recordings(spark: SparkSession, data: Path) -> DataFrame:
    """Return the recordings as bytes, with the keys that were pressed in each."""
    files = spark.read.format("binaryFile").load(str(data / "keypad" / "recordings"))
    named = files.select(F.element_at(F.split("path", "/"), -1).alias("file"), "content")
    return named.join(spark.read.parquet(str(data / "keypad" / "labels.parquet")), "file")


def main() -> None:
    """Write both tables, each as one commit, unless it is there already."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="the folder that scripts/make_examples wrote into")
    data = parser.parse_args().data
    spark = start_session(name="make tables")
    for name, frame in {"docstrings": docstrings(spark, data), "recordings": recordings(spark, data)}.items():
        if not spark.catalog.tableExists(name):
            frame.write.format("delta").saveAsTable(name)
    spark.stop()


if __name__ == "__main__":
    main()
