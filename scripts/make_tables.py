"""Makes source tables from the example data: the quickstart's two, those of the tutorials, or `drawings` alone."""

import argparse
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkcoil import start_session


def docstrings(spark: SparkSession, data: Path) -> DataFrame:
    """Return the docstrings with the package that each belongs to."""
    return spark.read.parquet(str(data / "docstrings" / "docstrings.parquet"))


def contents(spark: SparkSession, folder: Path, below: str = "recordings") -> DataFrame:
    """Return files as bytes, with what is known of each, such as the keys that were pressed in a recording."""
    files = spark.read.format("binaryFile").load(str(folder / below))
    named = files.select(F.element_at(F.split("path", "/"), -1).alias("file"), "content")
    return named.join(spark.read.parquet(str(folder / "labels.parquet")), "file")


def calls(spark: SparkSession, folder: Path) -> DataFrame:
    """Return recordings by their paths, with what is said in each."""
    path = F.concat(F.lit(f"{folder.resolve() / 'recordings'}/"), "file")
    return spark.read.parquet(str(folder / "labels.parquet")).withColumn("path", path)


def quickstart(spark: SparkSession, data: Path) -> dict[str, DataFrame]:
    """Return the tables of the quickstart by name."""
    return {"docstrings": docstrings(spark, data), "recordings": contents(spark, data / "keypad")}


def tutorials(spark: SparkSession, data: Path) -> dict[str, DataFrame]:
    """Return the tables of the tutorials by name."""
    texts = {path.stem: spark.read.parquet(str(path)) for path in sorted((data / "tutorials").glob("*.parquet"))}
    heard = {"calls": numbered(calls(spark, data / "calls")), "sounds": numbered(contents(spark, data / "sounds"))}
    return {**texts, **heard, **drawings(spark, data)}


def drawings(spark: SparkSession, data: Path) -> dict[str, DataFrame]:
    """Return the table of the tutorial with images by its name."""
    return {"drawings": numbered(contents(spark, data / "drawings", "drawings"))}


def numbered(files: DataFrame) -> DataFrame:
    """Return files with the numbers in their names as `id`."""
    return files.withColumn("id", F.regexp_extract("file", r"\d+", 0).cast("int"))


SETS = {each.__name__: each for each in (quickstart, tutorials, drawings)}


def main() -> None:
    """Write the tables of a set, each as one commit, unless it is there already."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="the folder that scripts/make_examples wrote into")
    parser.add_argument("which", choices=SETS, nargs="?", default="quickstart")
    arguments = parser.parse_args()
    spark = start_session(name="make tables")
    for name, frame in SETS[arguments.which](spark, arguments.data).items():
        if not spark.catalog.tableExists(name):
            frame.write.format("delta").saveAsTable(name)
    spark.stop()


if __name__ == "__main__":
    main()
