"""A full disk named by its folder: what Spark says of one is only that no space is left on a device."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from py4j.protocol import Py4JError  # type: ignore[import-untyped]
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from sparkcoil import cache
from sparkcoil.errors import SparkcoilError

SAID = ("no space left on device", "disk quota exceeded")


@contextmanager
def named(spark: SparkSession, location: str) -> Iterator[None]:
    """Do the block; raises SparkcoilError with the folders that a run writes to, the fullest first, where it finds no room."""
    try:
        yield
    except (PySparkException, Py4JError, OSError) as error:
        if not any(each in str(error).lower() for each in SAID):
            raise
        rooms = sorted(free(folders(spark, location)).items(), key=lambda each: each[1])
        told = ", ".join(f"{folder} ({bytes_free / 1e6:,.0f} MB free)" for folder, bytes_free in rooms)
        raise SparkcoilError(f"no space left on a device; the run writes to {told}; make room, and run it again") from error


def folders(spark: SparkSession, location: str) -> Mapping[str, str]:
    """Return the folders on this machine's disks that a run writes to, by what they are for."""
    local = spark.conf.get("spark.local.dir", None) or tempfile.gettempdir()
    target = {"the target": location.removeprefix("file:")} if location.startswith(("file:", "/")) else {}
    return {**target, "spark.local.dir": str(local).split(",")[0], "temporary files": tempfile.gettempdir(), "models": str(cache.folder())}


def free(places: Mapping[str, str]) -> dict[str, int]:
    """Return how many bytes are free in each folder that is there, or above it where it is not."""
    found = {}
    for name, place in places.items():
        path = next(each for each in (Path(place), *Path(place).parents) if each.exists())
        with suppress(OSError):
            found[f"{place} for {name}"] = shutil.disk_usage(path).free
    return found
