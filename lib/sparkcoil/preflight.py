"""Before the first row: every executor's slot takes the model and an example, and says what is wrong while nothing is spent."""

import io
import json
import struct
import wave
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkcoil import errors
from sparkcoil.rates import Cleared
from sparkcoil.selection import Selection
from sparkcoil.spec import Spec

SAMPLE_ROWS = 16
Staged = Callable[[Spec], Any]


def silence() -> bytes:
    """Return a second of silence as a WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16_000)
        sound.writeframes(bytes(32_000))
    return file.getvalue()


def grey() -> bytes:
    """Return a square of 64 grey pixels a side as a BMP file, which needs no library to be written."""
    pixels = bytes([128]) * (64 * 64 * 3)
    header = struct.pack("<2sIHHIIiiHHIIiiII", b"BM", 54 + len(pixels), 0, 0, 54, 40, 64, 64, 1, 24, 0, 0, 0, 0, 0, 0)
    return header + pixels


# By the contract's names of inputs: an example of each that any task which needs it can read.
EXAMPLES: Mapping[str, Callable[[], Column]] = {
    "audio": lambda: F.lit(silence()),
    "image": lambda: F.lit(grey()),
    "candidate_labels": lambda: F.array(F.lit("one"), F.lit("two")),
    "messages": lambda: F.array(F.struct(F.lit("user").alias("role"), F.lit("Hello").alias("content"))),
}


def check(spark: SparkSession, selection: Selection, spec: Spec, staged: Staged, sample: DataFrame | None) -> Cleared:
    """Return what scoring can start with; raises ModelError or EnvironmentError_ naming the executor and the remedy.

    `sample` holds inputs of rows, under `inputs`, on which a number format is tried where the fastest is asked for.
    """
    needed = [each.name for each in selection.task.inputs if each.required] or [selection.task.inputs[0].name]
    inputs = F.struct(*(example(name).alias(name) for name in needed)).alias("inputs")
    chosen: Mapping[str, Any] = {"dtype": spec.placement.dtype}
    if spec.placement.dtype == "fastest":
        rows = spark.range(1).select(inputs) if sample is None else sample.limit(SAMPLE_ROWS).coalesce(1)
        chosen = next(iter(probed(selection, staged(replace(spec, probe=True)), rows)), {"dtype": "float32"})
    slots = spark.sparkContext.defaultParallelism
    tried = staged(replace(spec, probe=True, placement=replace(spec.placement, dtype=chosen["dtype"])))
    found = probed(selection, tried, spark.range(0, slots, numPartitions=slots).select(inputs))
    loads, seconds = (sum(each.get(name, 0) for each in found) for name in ("loads", "load_seconds"))
    return Cleared(chosen["dtype"], chosen.get("why"), int(loads), float(seconds))


def probed(selection: Selection, function: Any, rows: DataFrame) -> list[Mapping[str, Any]]:
    """Return what each executor that took some of the rows has found; raises where one refused."""
    found = [json.loads(row[0]) for row in rows.select(function("inputs")["r"]["stats"]).collect() if row[0]]
    refuse(selection.logged.uri, found)
    return found


def refuse(uri: str, found: list[Mapping[str, Any]]) -> None:
    """Pass if no executor refused; raises the first refusal, with every host that refused."""
    refused = [each for each in found if "refusal" in each]
    if refused:
        hosts = ", ".join(sorted({each["host"] for each in refused}))
        kind: type[Exception] = getattr(errors, refused[0]["kind"], errors.ModelError)
        raise kind(f"model.uri: {uri}: refused by the executor on {hosts}: {refused[0]['refusal']}")


def example(name: str) -> Column:
    """Return an example of an input, as it crosses to the worker."""
    return EXAMPLES[name]() if name in EXAMPLES else F.lit("An example.").cast("binary")
