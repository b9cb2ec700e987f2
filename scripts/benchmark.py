"""Runs sparkcoil and its peers side by side, and writes what was measured; run by scripts/benchmark."""

import json
import logging
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import torch
import transformers
import typer

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "scripts")]
from benchmarks import bare, checkpoints, engine, rounds  # noqa: E402
from benchmarks.workloads import WORKLOADS, Workload  # noqa: E402

from sparkcoil.registry import write_model  # noqa: E402

log = logging.getLogger("benchmark")
app = typer.Typer()


def logged(workload: Workload, cache: Path) -> Path:
    """Return the folder of a workload's model as it is logged."""
    folder = cache / f"{workload.model}-{workload.task.replace('/', '-')}"
    if not (folder / "MLmodel").is_file():
        write_model(checkpoints.made(workload.model, cache / "checkpoints"), folder, task=workload.task)
    return folder


def measured(workload: Workload, artifact: Path, device: str, dtype: str, times: int, scale: float) -> dict[str, Any]:
    """Return what a workload took each contestant, after their outputs were held against each other."""
    rows = workload.rows(max(2, int(workload.count * scale)))
    mine = engine.ours(workload, artifact, device, dtype)
    natives = [engine.native(workload, artifact, device, batch) for batch in workload.batches]
    agreed = rounds.agreement(mine.run(rows), natives[0].run(rows))
    loop = rounds.fastest(bare.contestants(workload, artifact, device, dtype, rows), rows)
    loop.run(rows)
    timings = rounds.timed([mine, loop, *natives], rows, times)
    return {
        "workload": workload.name,
        "rows": len(rows),
        "unit": workload.unit,
        "units": mine.noted["units"],
        "agreement": {**agreed, "within": rounds.within(agreed, dtype)},
        "seconds": {each.name: each.seconds for each in timings},
        "medians": {each.name: round(each.median, 3) for each in timings},
        "noted": {key: mine.noted[key] for key in ("computed_rows", "forwards", "computed", "useful", "out_of_memory", "seconds")},
    }


@app.command()
def main(
    only: Annotated[str, typer.Option(help="workloads whose name holds this")] = "",
    device: str = "cpu",
    dtype: str = "float32",
    times: Annotated[int, typer.Option(help="rounds", min=1)] = 3,
    scale: Annotated[float, typer.Option(help="rows, as a share of each workload's own")] = 1.0,
) -> None:
    """Time the engine layer."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    cache = Path(os.environ.get("SPARKCOIL_BENCHMARK", ROOT / ".cache" / "benchmark"))
    for workload in WORKLOADS.values():
        if only in workload.name:
            print(json.dumps(measured(workload, logged(workload, cache), device, dtype, times, scale)), flush=True)


if __name__ == "__main__":
    app()
