"""How a model's files reach an executor: whole, verified, once."""

import tarfile
import threading
from pathlib import Path
from typing import Any

import pytest
from pyspark import SparkFiles

from sparkcoil import digest, weights
from sparkcoil.errors import ModelError
from sparkcoil.weights import Weights


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    """A folder with files at two depths."""
    folder = tmp_path / "artifact"
    (folder / "model").mkdir(parents=True)
    (folder / "MLmodel").write_text("flavors: {}")
    (folder / "model" / "weights").write_bytes(b"x" * 100_000)
    return folder


@pytest.fixture
def executor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder into which Spark puts files on an executor."""
    root = tmp_path / "executor"
    root.mkdir()
    monkeypatch.setattr(SparkFiles, "_root_directory", str(root))
    monkeypatch.setattr(SparkFiles, "_is_running_on_worker", True)
    return root


def sent(artifact: Path, executor: Path) -> Weights:
    """Return what an executor is told after Spark has brought it the archive."""
    content = digest.of_folder(artifact)
    packed = weights.archive(artifact, content)
    (executor / packed.name).write_bytes(packed.read_bytes())
    return Weights(content, None, packed.name)


def test_an_archive_holds_the_files_and_spark_leaves_it_packed(artifact: Path) -> None:
    packed = weights.archive(artifact, digest.of_folder(artifact))
    assert not packed.name.endswith((".tar", ".tar.gz", ".tgz", ".zip", ".jar"))
    with tarfile.open(packed) as tar:
        assert sorted(tar.getnames()) == ["MLmodel", "model/weights"]


def test_an_executor_unpacks_once_and_gives_the_archives_space_back(artifact: Path, executor: Path) -> None:
    told = sent(artifact, executor)
    first = weights.locate(told)
    assert digest.of_folder(first) == told.digest
    assert weights.locate(told) == first
    assert sorted(each.suffix for each in executor.iterdir() if each.is_file()) == [".lock"]


def test_workers_that_come_at_once_share_one_copy(artifact: Path, executor: Path) -> None:
    told = sent(artifact, executor)
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(weights.locate(told))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1


def test_an_unfinished_copy_of_a_killed_worker_is_made_anew(artifact: Path, executor: Path) -> None:
    told = sent(artifact, executor)
    unfinished = executor / f"model-{told.digest}.unfinished"
    unfinished.mkdir()
    (unfinished / "half").write_text("half")
    assert not (weights.locate(told) / "half").exists()


def test_other_files_than_the_drivers_are_refused(artifact: Path, executor: Path) -> None:
    told = sent(artifact, executor)
    with pytest.raises(ModelError, match="is not the run's: expected digest 0000"):
        weights.locate(Weights("0" * 64, None, told.archive))
    assert not (executor / f"model-{'0' * 64}").exists()


def test_files_that_changed_on_a_shared_disk_are_refused(artifact: Path) -> None:
    told = Weights(digest.of_folder(artifact), str(artifact), None)
    assert weights.locate(told) == artifact
    (artifact / "model" / "weights").write_bytes(b"y" * 100_000)
    with pytest.raises(ModelError, match="is not the run's"):
        weights.locate(told)


def test_a_folder_that_an_executor_does_not_see_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"expected digest 1111.* found nothing"):
        weights.locate(Weights("1" * 64, str(tmp_path / "elsewhere"), None))
