"""A full disk named by its folder: what Spark says of one is only that no space is left on a device."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
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
    with naming(lambda: folders(spark, location)):
        yield


@contextmanager
def naming(places: Callable[[], Mapping[str, str]]) -> Iterator[None]:
    """Do the block; raises SparkcoilError with the places, folders by what they are for, where it finds no room."""
    try:
        yield
    except (PySparkException, Py4JError, OSError) as error:
        if not any(each in str(error).lower() for each in SAID):
            raise
        rooms = sorted(free(places()).items(), key=lambda each: each[1])
        told = ", ".join(f"{folder} ({bytes_free / 1e6:,.0f} MB free)" for folder, bytes_free in rooms)
        raise SparkcoilError(f"no space left on a device; the run writes to {told}; make room, and run it again") from error


def folders(spark: SparkSession, location: str) -> Mapping[str, str]:
    """Return the folders on this machine's disks that a run writes to, by what they are for."""
    target = {"the target": location.removeprefix("file:")} if location.startswith(("file:", "/")) else {}
    return {**target, **scratch(spark.conf.get("spark.local.dir", None)), "models": str(cache.folder())}


def scratch(configured: str | None) -> Mapping[str, str]:
    """Return the folders that Spark and Python write what they need for a while to; the first ones that Spark has, as it chooses them."""
    local = os.environ.get("SPARK_LOCAL_DIRS") or configured or tempfile.gettempdir()
    return {"spark.local.dir": local.split(",")[0], "temporary files": tempfile.gettempdir()}


def free(places: Mapping[str, str]) -> dict[str, int]:
    """Return how many bytes are free in each folder that is there, or above it where it is not."""
    found = {}
    for name, place in places.items():
        path = next(each for each in (Path(place), *Path(place).parents) if each.exists())
        with suppress(OSError):
            found[f"{place} for {name}"] = shutil.disk_usage(path).free
    return found
