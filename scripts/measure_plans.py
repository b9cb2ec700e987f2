"""Measures how right plans' estimates are, on short texts, on texts of very different lengths and on recordings."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from make_tables import contents, docstrings
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import sparkcoil
from sparkcoil.registry import write_model

ROOT = Path(__file__).parents[1]
DATA = ROOT / ".cache"
# Rows of a set: so many that scoring them takes much longer than all else.
TEXTS, LONG_TEXTS = 8_000, 1_600
REPEATED = 8


def several(frame: DataFrame, rows: int) -> DataFrame:
    """Return so many rows, each different from the others."""
    spark = frame.sparkSession
    many = frame.crossJoin(spark.range(-(-rows // max(1, frame.count()))).withColumnRenamed("id", "copy")).limit(rows)
    return many.withColumn("id", F.monotonically_increasing_id())


def sets(spark: SparkSession) -> Mapping[str, tuple[DataFrame, dict[str, Any]]]:
    """Return each set by name: its rows, and the sections of its run file that are its own."""
    texts = docstrings(spark, DATA).select("body")
    short = several(texts, TEXTS).withColumn("body", F.concat(F.col("copy").cast("string"), F.lit(" "), F.substring("body", 1, 80)))
    times = F.when(F.col("id") % REPEATED == 0, REPEATED).otherwise(1).cast("int")
    long = several(texts, LONG_TEXTS).withColumn("body", F.repeat(F.concat(F.col("copy").cast("string"), F.lit(" "), "body"), times))
    sounds = contents(spark, DATA / "keypad").select(F.monotonically_increasing_id().alias("id"), "content")
    topic, keypad = ({"uri": str(DATA / "logged" / name)} for name in ("docstring_topic", "keypad"))
    strided = {**topic, "options": {"truncation": "stride"}}
    return {
        "short texts": (short.select("id", "body"), {"model": topic, "columns": {"text": "body"}}),
        "texts, some of them long": (long.select("id", "body"), {"model": strided, "columns": {"text": "body"}}),
        "recordings": (sounds, {"model": keypad, "columns": {"audio": "content"}}),
    }


def job(name: str, conf: Path) -> dict[str, Any]:
    """Run a job and return the JSON on its last line."""
    command = [sys.executable, str(ROOT / "jobs" / name), str(conf)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=conf.parent, check=True)
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def main() -> None:
    """Plan and score each set."""
    with tempfile.TemporaryDirectory() as scratch:
        confs = prepared(Path(scratch))
        for name, conf in confs.items():
            planned, took = (job(each, conf)["seconds"] for each in ("plan.py", "score.py"))
            error = planned["total"] / took["total"] - 1
            print(json.dumps({"set": name, "planned": planned, "took": took, "error": round(error, 3)}), flush=True)


def prepared(scratch: Path) -> dict[str, Path]:
    """Write each set's table and run file, and return the run files by the names of the sets."""
    for task, name in (("text-classification", "docstring_topic"), ("automatic-speech-recognition", "keypad")):
        if not (DATA / "logged" / name).exists():
            write_model(DATA / "models" / name, DATA / "logged" / name, task=task)
    spark = sparkcoil.start_session(name="plans")
    confs = {}
    for number, (name, (frame, own)) in enumerate(sets(spark).items()):
        (place := scratch / str(number)).mkdir()
        frame.write.format("delta").save(str(place / "in"))
        sections = {
            "name": name,
            "model": own["model"],
            "source": {"path": str(place / "in"), "keys": ["id"], "columns": own["columns"]},
            "target": {"path": str(place / "out")},
        }
        confs[name] = place / "run.yaml"
        confs[name].write_text(json.dumps(sections))
    spark.stop()
    return confs


if __name__ == "__main__":
    main()
