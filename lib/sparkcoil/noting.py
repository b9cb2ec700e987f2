"""What a commit says of its run: the receipt by which a rerun knows that nothing is due, and the figures of the run's report."""

import json
import logging
import os
import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pyspark.sql import SparkSession

from sparkcoil import figures, pinned
from sparkcoil.pinned import Run
from sparkcoil.receipt import Receipt
from sparkcoil.report import Clock, Progress

log = logging.getLogger(__name__)
PACKAGES = ("sparkcoil", "pyspark", "delta-spark", "mlflow", "transformers", "torch")


def note(spark: SparkSession, run: Run, receipt: Receipt, progress: Progress, clock: Clock, *, is_last: bool, gone: int = 0) -> str:
    """Return the text of a commit's `userMetadata`; a reader of the receipt alone finds it where it always was."""
    try:
        told = figures.of(progress, clock.read(), began=clock.began, is_last=is_last, gone=gone)
        noted = {"figures": {**told, "run": described(spark, run, clock)}}
    except Exception as error:  # rows that are scored are worth more than what is said of them
        log.warning("a commit has no figures: %s", type(error).__name__)
        noted = {}
    text = json.dumps({**json.loads(receipt.note), **noted})
    return text.replace("${", "\\u0024{")  # Spark would put a setting's value in its place


def described(spark: SparkSession, run: Run, clock: Clock) -> dict[str, Any]:
    """Return what a run is and where it goes on: its model, its source, who started it when, and on what."""
    said, logged = pinned.described(run), run.selection.logged
    options = {name: figures.cut(said["options"].get(name)) for name in said["options_from"]}
    return {
        **{name: said[name] for name in ("name", "task", "source")},
        "options": options,
        "model": {"uri": logged.uri, "version": logged.version, "digest": logged.digest},
        **({"challenger": run.challenger.logged.uri} if run.challenger else {}),
        "trusted": list(run.selection.lifted),
        "began": round(clock.began, 3),
        "user": spark.sparkContext.sparkUser(),
        "slots": spark.sparkContext.defaultParallelism,
        "master": spark.sparkContext.master,
        "per_hour": run.config.cost.per_hour,
        "environment": {**environment(), "cpus": str(os.cpu_count())},
    }


@cache
def environment() -> Mapping[str, str]:
    """Return the versions of what scores, as the driver has them."""
    found = {"python": platform.python_version(), "platform": f"{platform.system()} {platform.machine()}"}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # such as of a library that was taken along as a zip
            found[name] = "unknown"
    return found
