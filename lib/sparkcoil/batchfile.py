"""OpenAI batch files as a source: JSONL, each line a request with its custom_id, its endpoint, and its body as JSON text.

What a body asks for is not judged here: endpoints.py does, row by row. A line that names no row refuses the run.
"""

from collections.abc import Mapping
from urllib.parse import unquote

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkcoil.errors import SourceError

COLUMNS = ("custom_id", "method", "url", "body")
# In an array, so that what follows an object on its line is seen: Spark reads the first value of a text and no further.
LINE = f"ARRAY<STRUCT<{', '.join(f'{name}: STRING' for name in COLUMNS)}>>"
STRICT = {"allowSingleQuotes": "false", "allowNonNumericNumbers": "false"}
BYTE_ORDER_MARK = "\ufeff"


def read(spark: SparkSession, path: str, options: Mapping[str, str]) -> DataFrame:
    """Return a row for each line that is not blank; raises SourceError where one is no JSON object with a custom_id."""
    lines = spark.read.format("text").options(**options).load(path)
    refuse_bad(lines, path)
    return requests(lines).select(*(F.col("request")[name].alias(name) for name in COLUMNS))


def requests(lines: DataFrame) -> DataFrame:
    """Return the lines that are not blank, each with its `request`, which is NULL where the line is not one JSON object."""
    parsed = F.from_json(F.concat(F.lit("["), without_mark(F.col("value")), F.lit("]")), LINE, STRICT)
    whole = F.is_valid_utf8("value") & (F.size(parsed) == 1)
    return lines.where(F.col("value").rlike(r"\S")).withColumn("request", F.when(whole, F.get(parsed, F.lit(0))))


def without_mark(text: Column) -> Column:
    """Return a text without the mark that some editors put at the beginning of a file."""
    return F.regexp_replace(text, f"^{BYTE_ORDER_MARK}", "")


def refuse_bad(lines: DataFrame, path: str) -> None:
    """Pass if every line names its row; raises SourceError with the number of those that do not, and where the first one is."""
    named = lines.select("value", "_metadata.file_path", "_metadata.file_name")
    bad = requests(named).where(F.col("request.custom_id").isNull())
    found = bad.agg(F.count("*").alias("lines"), F.min_by("file_name", "file_path").alias("file"), F.min("file_path").alias("path")).head()
    if found is None or not found["lines"]:
        return
    # One partition holds a file's lines in their order, blank ones too.
    numbered = named.where(F.col("file_path") == found["path"]).coalesce(1).withColumn("line", F.monotonically_increasing_id() + 1)
    first = requests(numbered).where(F.col("request.custom_id").isNull()).agg(F.min("line").alias("line")).head()
    place = f"line {first['line'] if first else '?'} of {unquote(found['file'])}"
    others = f", nor on {found['lines'] - 1} others" if found["lines"] > 1 else ""
    raise SourceError(f"source: {path}: expected a JSON object with a custom_id on every line; found none on {place}{others}")
