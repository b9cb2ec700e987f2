"""Whole jobs on Spark: what is measured of each table, of ours alone, and of the peers with an environment of their own."""

import statistics
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks import bare, contest, held, memory, on_spark
from benchmarks.factors import factors
from benchmarks.workloads import WORKLOADS, Workload, drawn

ROOT = Path(__file__).parents[2]
PEERS_PYTHON, PEERS_SCRIPTS = ROOT / ".cache" / "peers" / "bin" / "python", ROOT / "scripts" / "benchmarks" / "peers"
PEERS = {"Ray Data": "ray_data.py", "Daft": "daft_udf.py"}
TABLES = (("reviews, MiniLM", 1), ("tickets, MiniLM", 1), ("tickets, MiniLM", 64))


def job_name(name: str, files: int) -> str:
    """Return what a workload over so many files is called."""
    return f"{name}, {files} file{'s' * (files > 1)}"


def job(spark: Any, workload: Workload, artifact: Path, files: int, scratch: Path, times: int, rows: list[Any]) -> dict[str, Any]:
    """Return what scoring a table took each contestant."""
    source = on_spark.table(spark, rows, scratch, files)
    ran = on_spark.contestants(spark, workload, artifact, source, scratch)
    first = {each.name: each.run(rows) for each in ran}  # which warms up too
    ours, short = (first.pop(each.name) for each in ran[:2])
    agreed = held.held(short, ours, held.SHORT_TOLERANCE)
    timings = contest.timed(ran, rows, times)
    size = min((512, 1024), key=lambda each: bare.on_all_cpus(workload, artifact, "float32", rows, each, 1))
    bare_seconds = {
        f"bare loop, {count} of one thread": [bare.on_all_cpus(workload, artifact, "float32", rows, size, count) for _ in range(times)]
        for count in (1, 2)
    }
    both = statistics.median(bare_seconds["bare loop, 2 of one thread"])
    noted = ran[0].noted
    seconds, other = peers(source, artifact, scratch, times, ours)  # last, since workers that wait for a minute end
    return {
        "workload": job_name(workload.name, files),
        "rows": len(rows),
        "agreement": agreed,
        "others": {**{name: held.labels_held(ours, each, held.TOLERANCE) for name, each in first.items()}, **other},
        "seconds": {**contest.rounded(timings), **contest.rounded(bare_seconds), **seconds},
        "factors": factors(both, noted["seconds"], noted),
        "two_executors": both / statistics.median(noted["score_seconds"][-times:]),
        "noted": {each.name: each.noted for each in ran if each.noted},
    }


def peers(source: Path, artifact: Path, scratch: Path, times: int, ours: list[Any]) -> tuple[dict[str, Any], dict[str, float]]:
    """Return the seconds of the peers with an environment of their own, or why one did not run, and the shares of labels unlike ours."""
    found: dict[str, Any] = {}
    differ = {}
    for name, script in PEERS.items():
        for batch in (1, 8):
            called, target = f"{name}, batch {batch}", scratch / f"{name}-{batch}"
            command = [PEERS_PYTHON, PEERS_SCRIPTS / script, f"{source}/*.parquet" if name == "Daft" else source, artifact / "model"]
            found[called] = timed_apart([*map(str, command), str(target), str(times + 1), str(batch)], times)
            if isinstance(found[called], list):
                labels = pd.read_parquet(target / "0").sort_values("id")["label"].tolist()
                differ[called] = held.labels_held(ours, labels, held.TOLERANCE)
    return found, differ


def timed_apart(command: list[str], times: int) -> list[float] | str:
    """Return the seconds that a process prints of its rounds, the first left out, or its last word."""
    if not Path(command[0]).is_file():
        return "its environment is not there"
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = [float(line.split()[1]) for line in ended.stdout.splitlines() if line.startswith("seconds")]
    if len(seconds) != times + 1:
        return (ended.stderr.strip().splitlines() or ["no word"])[-1]
    return [round(each, 3) for each in seconds[1:]]


def small(spark: Any, artifact_of: Callable[[Workload], Path], scratch: Path, times: int, scale: float) -> dict[str, Any]:
    """Return what runs of N, 2N and 4N rows take, a rerun with nothing due, and one with ten rows due, in a warm session."""
    workload, seconds = WORKLOADS["tickets, MiniLM"], {}
    artifact = artifact_of(workload)
    for size in (1, 2, 4):
        rows = drawn(workload, scale * size / 4)
        place = scratch / f"growth-{size}"
        place.mkdir()
        run = on_spark.sparkcoil_run(spark, workload, artifact, on_spark.table(spark, rows, place, 1), place, "float32")
        run.run(rows)
        seconds[f"{len(rows)} rows"] = median_run(run, rows, times)["seconds"]
    seconds.update(on_spark.reruns(spark, artifact, scratch / "growth-4"))
    return {"seconds": seconds}


def median_run(run: contest.Contestant, rows: list[Any], times: int) -> dict[str, Any]:
    """Return what a run noted of itself in that of some rounds which took the median of seconds."""
    noted = []
    for _ in range(times):
        run.run(rows)
        noted.append(run.noted)
    return sorted(noted, key=lambda each: each["seconds"]["total"])[len(noted) // 2]


def shapes(spark: Any, artifact_of: Callable[[Workload], Path], scratch: Path, times: int, scale: float) -> dict[str, Any]:
    """Return what our run takes with other counts of partitions, and with rows of equal and of very unequal lengths."""
    found = {}
    for name, counts in {"tickets, MiniLM": (2, 6, 24), "uniform, MiniLM": (None,), "one long in 64, MiniLM": (None,)}.items():
        workload = WORKLOADS[name]
        rows, place = drawn(workload, scale), scratch / name
        place.mkdir()
        source = on_spark.table(spark, rows, place, 1)
        for count in counts:
            run = on_spark.sparkcoil_run(spark, workload, artifact_of(workload), source, place, "float32", count)
            run.run(rows)
            noted = median_run(run, rows, times)
            told = {key: noted[key] for key in ("padding_efficiency", "units_per_second")}
            found[f"{name}, {count} partitions" if count else name] = {**told, "seconds": noted["seconds"]}
    return {"runs": found}


def peaks(spark: Any, artifact_of: Callable[[Workload], Path], scratch: Path, times: int, scale: float) -> dict[str, Any]:
    """Return the most memory that the Python workers have of each who scores on Spark."""
    workload = WORKLOADS["reviews, MiniLM"]
    rows = drawn(workload, scale / 4)
    source = on_spark.table(spark, rows, scratch, 1)
    ran = on_spark.contestants(spark, workload, artifact_of(workload), source, scratch)
    return {"mebibytes": {each.name: memory.peak_mebibytes(spark, each.name, partial(each.run, rows)) for each in ran}}


ALONE = {"growth and small runs": small, "partitions and skew": shapes, "memory": peaks}
