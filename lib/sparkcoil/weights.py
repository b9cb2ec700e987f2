"""How a model's files reach the executors: straight from the driver's disk in local mode, else by Spark's file distribution.

The staged scorer itself holds no weights, since MLflow copies it for every UDF and unpacks it for every Python worker.
"""

import fcntl
import os
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sparkcoil import cache

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Weights:
    """Where an executor finds the artifact of `digest`: a folder it can read, or an archive that Spark sent it."""

    digest: str
    folder: str | None
    archive: str | None


def offer(spark: "SparkSession", artifact: Path, digest: str) -> Weights:
    """Return where executors find the artifact, after handing it to Spark where they do not share the driver's disk."""
    if str(spark.sparkContext.master).startswith("local"):
        return Weights(digest, str(artifact), None)
    archive = cache.folder("archives") / f"{digest}.tar"
    if not archive.exists():
        unfinished = archive.with_suffix(f".{os.getpid()}")
        with tarfile.open(unfinished, "w") as tar:
            tar.add(artifact, arcname=".")
        unfinished.rename(archive)
    spark.sparkContext.addFile(str(archive))
    return Weights(digest, None, archive.name)


def locate(weights: Weights) -> Path:
    """Return the artifact's folder on this executor; its first worker unpacks the archive, the others wait for it."""
    if weights.folder is not None:
        return Path(weights.folder)
    from pyspark import SparkFiles

    root = Path(SparkFiles.getRootDirectory())
    unpacked = root / f"model-{weights.digest}"
    with (root / f"model-{weights.digest}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not unpacked.is_dir():
            unfinished = root / f"model-{weights.digest}.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            with tarfile.open(root / str(weights.archive)) as tar:
                tar.extractall(unfinished, filter="data")
            unfinished.rename(unpacked)
    return unpacked
