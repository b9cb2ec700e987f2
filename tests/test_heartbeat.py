"""One run at a time where the operating system has no locks: here on Hadoop's viewfs, whose link leads to a local folder."""

import json
import os
import threading
import time
from pathlib import Path

import pytest
from py4j.protocol import Py4JError
from pyspark.sql import SparkSession
from runs import make_table, text_run

from sparkcoil import heartbeat, lease, run
from sparkcoil.errors import TargetBusy

TEXTS = [(i, f"text number {i}") for i in range(20)]


@pytest.fixture
def place(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder on a file system without locks, with a quick heartbeat; the same folder is `tmp_path`."""
    monkeypatch.setattr(heartbeat, "EVERY_SECONDS", 0.1)
    monkeypatch.setattr(heartbeat, "EXPIRY_SECONDS", 3.0)
    name = tmp_path.name.replace("_", "-")
    spark.sparkContext._jsc.hadoopConfiguration().set(f"fs.viewfs.mounttable.{name}.link./data", tmp_path.as_uri())
    return f"viewfs://{name}/data"


def left(folder: Path, *, seconds_ago: float) -> Path:
    """Leave the lease of a run that was last heard of so long ago."""
    file = folder / ".scored.sparkcoil-lease"
    (folder / f".{file.name}.crc").unlink(missing_ok=True)  # what Hadoop says of a file that it has written itself
    file.write_text(json.dumps({"run_id": "other", "pid": 1, "host": "elsewhere", "at": 0}))
    os.utime(file, (time.time() - seconds_ago,) * 2)
    return file


def names(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir() if not each.name.endswith(".crc")}


def test_a_run_holds_its_target_and_gives_it_back(spark: SparkSession, text_model: str, place: str, tmp_path: Path) -> None:
    make_table(spark, "beating", TEXTS)
    report = run(spark, text_run(text_model, "beating", "-", target={"path": f"{place}/scored"}))
    assert (report.rows["ok"], spark.read.format("delta").load(f"{place}/scored").count()) == (20, 20)
    assert names(tmp_path) == {"scored"}


def test_a_second_run_is_refused_at_once_and_names_the_first(spark: SparkSession, place: str) -> None:
    with lease.held(spark, f"{place}/scored", "first"):
        time.sleep(4)  # longer than a lease that nobody keeps fresh
        started = time.monotonic()
        with pytest.raises(TargetBusy, match=f"another run holds it: run first, process {os.getpid()} on "):
            lease.held(spark, f"{place}/scored", "second").__enter__()
        assert time.monotonic() - started < 1
    with lease.held(spark, f"{place}/scored", "third") as held:
        held.check()


def test_a_target_of_another_machines_run_that_lives_is_refused(spark: SparkSession, place: str, tmp_path: Path) -> None:
    file = left(tmp_path, seconds_ago=0)
    with pytest.raises(TargetBusy, match="run other, process 1 on elsewhere"):
        lease.held(spark, f"{place}/scored", "mine").__enter__()
    assert json.loads(file.read_text())["run_id"] == "other"


def test_what_a_dead_run_held_is_taken_over(spark: SparkSession, place: str, tmp_path: Path) -> None:
    left(tmp_path, seconds_ago=10)
    with lease.held(spark, f"{place}/scored", "mine") as held:
        held.check()
        assert names(tmp_path) == {".scored.sparkcoil-lease"}
    assert names(tmp_path) == set()


def test_a_run_whose_clock_is_behind_is_not_taken_for_dead(
    spark: SparkSession, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = left(tmp_path, seconds_ago=10)

    def write_meanwhile(seconds: float) -> None:
        file.write_text(json.dumps({"run_id": "other", "pid": 1, "host": "elsewhere", "at": 1}))
        os.utime(file, (time.time() - 10,) * 2)

    monkeypatch.setattr(heartbeat, "sleep", write_meanwhile)
    with pytest.raises(TargetBusy):
        lease.held(spark, f"{place}/scored", "mine").__enter__()


def test_of_many_that_take_over_one_does(spark: SparkSession, place: str, tmp_path: Path) -> None:
    left(tmp_path, seconds_ago=10)
    holding, over, refused = [], threading.Event(), []

    def take(name: str) -> None:
        try:
            with lease.held(spark, f"{place}/scored", name) as held:
                holding.append(name)
                over.wait(200)
                held.check()
        except TargetBusy:
            refused.append(name)

    threads = [threading.Thread(target=take, args=(str(i),)) for i in range(4)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 200
    while len(holding) + len(refused) < 4 and time.monotonic() < deadline:
        time.sleep(0.1)
    over.set()
    for thread in threads:
        thread.join()
    assert (len(holding), len(refused)) == (1, 3)


def test_a_run_that_has_lost_its_target_publishes_nothing(
    spark: SparkSession, text_model: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sparkcoil import staging

    for name in ("EVERY_SECONDS", "EXPIRY_SECONDS"):
        monkeypatch.setattr(heartbeat, name, 600.0)  # so that nothing is written while the file is another's
    make_table(spark, "robbed", TEXTS)
    measure = staging.measure

    def robbed(*given: object) -> object:
        file = tmp_path / ".scored.sparkcoil-lease"
        file.unlink()
        left(tmp_path, seconds_ago=0)
        return measure(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(staging, "measure", robbed)
    with pytest.raises(TargetBusy, match="this run has lost it to another: run other"):
        run(spark, text_run(text_model, "robbed", "-", target={"path": f"{place}/scored"}))
    assert spark.read.format("delta").load(f"{place}/scored").count() == 0
    assert json.loads((tmp_path / ".scored.sparkcoil-lease").read_text())["run_id"] == "other"


class Quicker:
    """A file system on which another run has taken the lease over, and written its own, just before it is asked to rename the old one."""

    def exists(self, place: str) -> bool:
        return True

    def rename(self, place: str, aside: str) -> bool:
        raise Py4JError("java.io.FileNotFoundException")

    def open(self, place: str) -> "Quicker":
        return self

    def readAllBytes(self) -> bytes:
        return b'{"run_id": "the quicker one"}'

    def close(self) -> None:
        pass


class Place(str):
    """A path as Hadoop has it."""

    def suffix(self, ending: str) -> "Place":
        return Place(self + ending)


def test_where_another_was_quicker_and_has_written_its_own_nothing_is_removed_and_nothing_raised() -> None:
    beat = heartbeat.Heartbeat(Quicker(), Place("lease"), {"run_id": "the slower one"})
    assert beat.removed({"run_id": "the dead one"}) is False
