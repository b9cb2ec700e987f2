"""Proves "one output row per input row, whatever fails": kills things under running jobs and checks every row; run by scripts/chaos."""

import os
import platform
import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "scripts")]
import cluster  # noqa: E402
from havoc import families, full, moments, page  # noqa: E402
from havoc.families import Asked  # noqa: E402

RESULTS = Path(os.environ.get("CHAOS_RESULTS") or ROOT / "docs")
# With -1 the master replaces executors for ever; by itself it gives an application up after ten.
MASTER = {"spark.deploy.maxExecutorRetries": "-1"}
# What a cluster for small tables is given, so that two slow cores do not spend their time on empty tasks and on importing torch.
ON_CLUSTER = {
    "spark.driver.host": cluster.HOST,
    "spark.ui.enabled": "false",
    "spark.sql.shuffle.partitions": "4",
    "spark.databricks.delta.snapshotPartitions": "2",
    "spark.python.daemon.module": "sparkcoil.daemon",
    "spark.executorEnv.PYTHONPATH": str(ROOT / "lib"),
}
LOCAL = {"spark.master": "local[2,30]"}
# These need no cluster: a lock, and what a finished target says, are the same under any master.
AT_HOME = ("disks", "points", "committers", "streams", "twice", "rerun", "controls")
FAMILIES = {**families.FAMILIES, **moments.FAMILIES, "disks": full.disks}
app = typer.Typer()

Names = Annotated[list[str], typer.Argument(metavar="[FAMILY]...", help=f"of {', '.join(FAMILIES)}; all by default")]
Rows = Annotated[int, typer.Option(min=20, help="rows of the table")]
Kills = Annotated[int | None, typer.Option(min=0, help="kills of a family, or pairs for `twice`; by default as many as the docs say")]
DEFAULT_KILLS = {"drivers": 30, "points": 100, "streams": 10}
RowSeconds = Annotated[float, typer.Option(min=0, help="how long the model takes for a row where something is killed")]
Local = Annotated[bool, typer.Option("--local", help="no cluster, but Spark's local mode; not for `executors`")]
Seed = Annotated[int, typer.Option(help="of what is random: when and what is killed")]


def environment(where: str) -> dict[str, Any]:
    """Return where this is tried."""
    cpu = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), "")
    packages = {name: version(name) for name in ("pyspark", "delta-spark", "deltalake")}
    return {"Spark's master": where, "cpu": cpu, "cpus": os.cpu_count(), "python": platform.python_version(), **packages}


@contextmanager
def master(folder: Path, *, local: bool) -> Iterator[dict[str, str]]:
    """Give Spark's settings for the block: of local mode, or of a cluster that runs as long."""
    if local:
        yield LOCAL
        return
    folder.mkdir()
    with cluster.standalone(folder, master_settings=MASTER) as url:
        yield {**ON_CLUSTER, "spark.master": url}


@app.command()
def run(
    chosen: Names = [],  # noqa: B006  (typer reads the default)
    rows: Rows = 100_000,
    kills: Kills = None,
    row_seconds: RowSeconds = 0.003,
    local: Local = False,
    seed: Seed = 0,
) -> None:
    """Try families of failures one after the other; print a row of the table for each, and exit 1 unless all hold."""
    unknown = sorted({*chosen} - {*FAMILIES})
    if unknown or (local and "executors" in chosen):
        raise typer.BadParameter(f"families: {', '.join(unknown) or 'executors'}: expected some of {', '.join(FAMILIES)}")
    failed = []
    print(page.line([*page.HEADS]), flush=True)
    for name in [each for each in FAMILIES if each in (chosen or FAMILIES) and not (local and each == "executors")]:
        at_home = local or name in AT_HOME
        with tempfile.TemporaryDirectory(prefix="sparkcoil-chaos-") as folder, master(Path(folder) / "cluster", local=at_home) as spark:
            times = DEFAULT_KILLS.get(name, 20) if kills is None else kills
            asked = Asked(Path(folder) / "scene", spark, rows, times, row_seconds, random.Random(seed))
            where = LOCAL["spark.master"] if at_home else "standalone, 2 workers of 1 core"
            found = {**FAMILIES[name](asked).as_dict(), "environment": environment(where)}
        page.keep(RESULTS, found)
        print(page.line(page.cells(found)), *found["problems"], sep="\n", flush=True)
        failed += [] if page.holds(found) else [name]
    if failed:
        raise typer.Exit(1)


@app.command()
def report() -> None:
    """Make docs/chaos.md of what was found last."""
    page.write(RESULTS)


if __name__ == "__main__":
    app()
