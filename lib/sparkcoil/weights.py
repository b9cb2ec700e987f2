"""How a model's files reach the executors: straight from a disk that they share, else by Spark's file distribution, once per node.

The staged scorer itself holds no weights, since MLflow copies it for every UDF and unpacks it for every Python worker.
"""

import fcntl
import shutil
import tarfile
from dataclasses import dataclass
from functools import cache as once
from pathlib import Path
from typing import TYPE_CHECKING

from sparkcoil import cache, digest
from sparkcoil.errors import ModelError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Weights:
    """Where an executor finds the artifact of `digest`: a folder it can read, or an archive that Spark sent it."""

    digest: str
    folder: str | None
    archive: str | None


def offer(spark: "SparkSession", artifact: Path, content: str, *, shared: bool = False) -> Weights:
    """Return where executors find the artifact, after handing it to Spark where they do not share the driver's disk."""
    master = str(spark.sparkContext.master)
    if shared or master == "local" or master.startswith("local["):
        return Weights(content, str(artifact), None)
    packed = archive(artifact, content)
    spark.sparkContext.addFile(str(packed))
    return Weights(content, None, packed.name)


@once
def archive(artifact: Path, content: str) -> Path:
    """Return an archive of the artifact, made once per driver and removed when it ends: executors may start at any time."""
    packed = cache.temporary("model") / f"{content}.packed"  # Spark itself would unpack a .tar, into every executor's working directory
    with tarfile.open(packed, "w", dereference=True) as tar:
        for file in digest.files(artifact):
            tar.add(file, arcname=str(file.relative_to(artifact)))
    return packed


def locate(weights: Weights) -> Path:
    """Return the artifact's folder on this executor, its content verified.

    The first worker unpacks the archive, the others wait for it. Raises ModelError where the files are not those of the driver.
    """
    if weights.folder is not None:
        folder = Path(weights.folder)
        verify(digest.remembered(folder) if folder.is_dir() else "nothing", weights, folder)
        return folder
    from pyspark import SparkFiles

    root = Path(SparkFiles.getRootDirectory())
    unpacked = root / f"model-{weights.digest}"
    with (root / f"model-{weights.digest}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not unpacked.is_dir():
            unpack(root / str(weights.archive), unpacked, weights)
    return unpacked


def unpack(packed: Path, unpacked: Path, weights: Weights) -> None:
    """Put the archive's files into a folder that is there whole or not at all, and give the archive's space back."""
    unfinished = unpacked.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    with tarfile.open(packed) as tar:
        tar.extractall(unfinished, filter="data")
    verify(digest.of_folder(unfinished), weights, packed)
    unfinished.rename(unpacked)
    packed.unlink()


def verify(found: str, weights: Weights, place: Path) -> None:
    """Pass if an executor has the files that the driver has seen; raises ModelError."""
    if found != weights.digest:
        raise ModelError(f"the model in {place} on this executor is not the run's: expected digest {weights.digest}, found {found}")


Marks = tuple[tuple[str, int, int, int], ...]
"""The files of an artifact with the size, the inode and the time of each."""


def marks(artifact: Path) -> Marks:
    """Return what shows whether any file of an artifact has been written since."""
    found = [(str(each), each.stat()) for each in digest.files(artifact)]
    return tuple((name, stat.st_size, stat.st_ino, stat.st_mtime_ns) for name, stat in found)


def unchanged(artifact: Path, before: Marks) -> bool:
    """Tell whether the files of an artifact are those that they were."""
    try:
        return marks(artifact) == before
    except OSError:
        return False


def refuse_changed(artifact: Path, before: Marks) -> None:
    """Pass while the files of a model are those that were loaded; raises ModelError.

    Weights that are mapped into memory change with their file, under a digest that is no longer theirs.
    """
    if not unchanged(artifact, before):
        raise ModelError(f"model.uri: files in {artifact} were written while the model was in use; log the new model as one of its own")
