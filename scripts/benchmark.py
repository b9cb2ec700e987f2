"""Runs sparkcoil and its peers side by side, and writes what was measured as JSON; run by scripts/benchmark."""

import json
import os
import platform
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import torch
import transformers
import typer

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "scripts")]
from benchmarks import bare, checkpoints, contest, engine, held  # noqa: E402
from benchmarks.workloads import WORKLOADS, Workload, drawn  # noqa: E402

from sparkcoil import precision  # noqa: E402

CACHE = ROOT / ".cache" / "benchmark"
RESULTS = Path(os.environ.get("BENCHMARK_RESULTS") or ROOT / "docs" / "benchmarks")
NOTED = ("computed_rows", "forwards", "computed", "useful", "out_of_memory", "seconds")
app = typer.Typer()

Scale = Annotated[float, typer.Option(help="rows, as a share of each workload's own")]
Times = Annotated[int, typer.Option(help="rounds", min=1)]


def logged(workload: Workload) -> Path:
    """Return the folder of a workload's model as it is logged."""
    models = CACHE / f"models-{checkpoints.REVISION}"
    folder = models / f"{workload.model}-{workload.task}"
    if not (folder / "MLmodel").is_file():
        from sparkcoil.registry import write_model  # a GPU machine to which logged models were brought has no MLflow

        write_model(checkpoints.made(workload.model, models / "checkpoints"), folder, task=workload.task)
    return folder


def environment() -> dict[str, Any]:
    """Return where this is measured."""
    cpu = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), "")
    packages = {name: installed(name) for name in ("pyspark", "delta-spark", "mlflow", "transformers", "torch", "pyarrow", "pandas")}
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {"cpu": cpu, "cpus": os.cpu_count(), "gpu": gpu, "python": platform.python_version(), **packages, "load": os.getloadavg()[0]}


def installed(name: str) -> str | None:
    """Return the version of a package, None where it is not installed: the engine alone needs neither Spark nor MLflow."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def keep(name: str, found: dict[str, Any]) -> None:
    """Write what was measured of a workload, in place of what was measured of it before."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    file = RESULTS / f"{name}.json"
    known = {each["workload"]: each for each in (json.loads(file.read_text()) if file.is_file() else [])}
    known[found["workload"]] = {**found, "environment": environment()}
    file.write_text(json.dumps([*known.values()], indent=1) + "\n")
    print(json.dumps(found), flush=True)


def formats(workload: Workload, dtype: str) -> list[str]:
    """Return the number formats a workload is timed in: float32, and a shorter one where it classifies texts."""
    return ["float32"] if dtype == "float32" or workload.task != "text-classification" else ["float32", dtype]


def beside(workload: Workload, artifact: Path, device: str, dtype: str, times: int, rows: list[Any]) -> dict[str, Any]:
    """Return what a workload took each contestant without Spark; raise Disagreement before that unless outputs agree."""
    mine = [engine.ours(workload, artifact, device, each) for each in formats(workload, dtype)]
    natives = [engine.native(workload, artifact, device, batch) for batch in workload.batches]
    agreed = agreements(mine, natives, rows, workload)
    loops = [contest.fastest(bare.contestants(workload, artifact, device, engine.format_of(each), rows), rows) for each in mine]
    timings = contest.timed([*mine, *loops, *natives], rows, times)
    noted = {each.name: {key: each.noted[key] for key in NOTED} for each in mine}
    return {
        "workload": workload.name,
        "rows": len(rows),
        "unit": workload.unit,
        "units": round(mine[0].noted["units"], 1),
        "agreement": agreed,
        "seconds": contest.rounded(timings),
        "noted": noted,
        "peak_mebibytes": contest.peak_mebibytes(),
    }


def agreements(mine: list[contest.Contestant], natives: list[contest.Contestant], rows: list[Any], workload: Workload) -> dict[str, Any]:
    """Return how each of ours agrees with the native one at batch size 1.

    Texts that hang on near ties may differ in as many rows as its own do at other sizes, and two standard errors of that share.
    """
    others = [each.run(rows) for each in natives]
    alone = others.pop(workload.batches.index(1))
    with_itself = min((held.share_equal(alone, each) for each in others), default=1.0)
    apart = 1 - with_itself
    allowed = apart + 2 * (apart * with_itself / len(rows)) ** 0.5 if workload.near_ties else 0.0
    found = {each.name: held.held(each.run(rows), alone, held.tolerance(engine.format_of(each)), texts_apart=allowed) for each in mine}
    return {"ours": found, "native_with_itself": with_itself}


@app.command("engine")
def without_spark(only: str = "", device: str = "cpu", dtype: str = "fastest", times: Times = 3, scale: Scale = 0.25) -> None:
    """Time the engine layer beside the native pipeline and the bare loop; of texts that are classified, in a shorter format too."""
    quiet()
    torch.set_num_threads(1)
    torch.backends.cudnn.allow_tf32 = False  # so that everyone's float32 is that, in convolutions too
    short = (precision.native(device) or "float32") if dtype == "fastest" else dtype
    apart = 0
    for workload in WORKLOADS.values():
        if only in workload.name and not (workload.gpu and device == "cpu"):
            try:
                found = beside(workload, logged(workload), device, short, times, drawn(workload, scale))
            except held.Disagreement as problem:
                apart, found = apart + 1, {"workload": workload.name, "disagreement": str(problem)}
            keep("engine" if device == "cpu" else f"engine-{device}", found)
    if apart:
        raise typer.Exit(1)


@app.command()
def padding() -> None:
    """Count what is padding in a whole window of each workload whose texts are only read: 10,000 rows, too many to be timed here."""
    quiet()
    for workload in WORKLOADS.values():
        if workload.unit == "tokens" and not workload.near_ties and not workload.gpu:
            keep("padding", {"workload": workload.name, "window_padding": engine.window_padding(workload, logged(workload))})


@app.command("spark")
def with_spark(only: str = "", times: Times = 3, scale: Scale = 1.0) -> None:
    """Time whole jobs on Spark over Delta tables of one file and of 64, each written to a table of its own."""
    quiet()
    from benchmarks import jobs

    import sparkcoil

    apart = 0
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        spark = sparkcoil.start_session({"spark.master": "local[2,4]", "spark.driver.memory": "3g"}, name="benchmark")
        for name, files in jobs.TABLES:
            title, workload = jobs.job_name(name, files), WORKLOADS[name]
            if only in title:
                try:
                    found = jobs.job(spark, workload, logged(workload), files, made(folder, title), times, drawn(workload, scale))
                except held.Disagreement as problem:
                    apart, found = apart + 1, {"workload": title, "disagreement": str(problem)}
                keep("spark", found)
        for title, measure in jobs.ALONE.items():
            if only in title:
                keep("spark", {"workload": title, **measure(spark, logged, made(folder, title), times, scale)})
        spark.stop()
    if apart:
        raise typer.Exit(1)


def made(folder: str, title: str) -> Path:
    """Return a new folder within another."""
    (place := Path(folder) / title).mkdir()
    return place


@app.command()
def report() -> None:
    """Make docs/benchmarks/README.md and its plots of what was measured last."""
    from benchmarks import page

    page.write(RESULTS)


def quiet() -> None:
    """Keep progress bars and warnings out of the figures."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()


if __name__ == "__main__":
    app()
