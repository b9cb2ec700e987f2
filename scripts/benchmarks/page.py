"""What was measured as a page with a table for each workload, and as plots; run by `scripts/benchmark report`."""

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt

mpl.rcParams["svg.fonttype"] = "none"  # text that can be found, and is half as large
OURS, BARE = "sparkcoil", "bare loop"
OPENING = """# Benchmarks

Made by `./scripts/benchmark engine`, `./scripts/benchmark spark` and `./scripts/benchmark report`; all figures are in the JSON files.

- These are the figures of few rows (in the tables), since the machine is slow.
- Models have real shapes and random weights, made by the script; texts and recordings are drawn by a seed, with lengths like real ones.
- Everyone takes turns, round by round, in one run on one machine; the first time, which loads models, is not counted. Outputs are held
  against each other before anything is timed. All compute in float32 with one thread for each worker, but for what is marked otherwise.
- The *bare loop* is PyTorch alone: inputs are in memory as tensors, sorted and cut into batches of the best of four sizes, and nothing is
  made of the outputs. **R** is its seconds over ours: 1 would be nothing lost. It computes equal rows each, and has no beginnings of
  prompts to share, so that R may be above 1 where we do.
- The native pipeline is timed at several batch sizes, over rows in the order in which they come, as users call it. Where transformers has
  none, texts are written by `model.generate`, batch by batch. Recordings are decoded for it by soundfile and soxr: its own way starts an
  ffmpeg for each.
- MLflow's `spark_udf` loses the pipeline's `truncation=True` and then dies of the first long text; it is told again through `model_config`.
- Ray Data and Daft run in an environment and processes of their own, after the others; Ray Data starts its workers anew in every round.
"""
Found = Mapping[str, Any]


def medians(found: Found) -> dict[str, float]:
    """Return the median seconds of everyone who was timed."""
    return {name: statistics.median(each) for name, each in found["seconds"].items() if isinstance(each, list) and each}


def best(seconds: Mapping[str, float], *, bare: bool) -> float:
    """Return the fewest seconds of the bare loops, or of the peers."""
    return min(each for name, each in seconds.items() if name.startswith(BARE) == bare and not name.startswith(OURS))


def table(found: Found) -> Iterator[str]:
    """Yield a workload's table: seconds and spread of each, rates, and how many times as long as ours each takes."""
    seconds = medians(found)
    ours = next(each for name, each in seconds.items() if name.startswith(OURS))
    yield "| who | seconds, median (range) | rows/s | times ours |\n|---|---|---|---|"
    for name, each in seconds.items():
        spread = f"{min(found['seconds'][name]):.1f} to {max(found['seconds'][name]):.1f}"
        yield f"| {name} | {each:.2f} ({spread}) | {found['rows'] / each:.1f} | {each / ours:.2f} |"
    for name, each in found["seconds"].items():
        if isinstance(each, str):
            yield f"| {name} | did not run: {each} | | |"


def engine_section(found: Found) -> str:
    """Return what a workload came to without Spark."""
    seconds, noted = medians(found), found["noted"]
    ours = next(each for name, each in seconds.items() if name.startswith(OURS))
    stages = ", ".join(f"{name} {each:.2f} s" for name, each in noted["seconds"].items())
    agreed = f"equal in {found['agreement']['equal']:.1%} of rows"
    if "largest_difference" in found["agreement"]:
        agreed += f", scores at most {found['agreement']['largest_difference']:.0e} apart"
    facts = [
        f"R = {best(seconds, bare=True) / ours:.2f}",
        f"padding efficiency {noted['useful'] / noted['computed']:.3f}",
        f"{best(seconds, bare=False) / ours:.2f} times as fast as the peers' best setting",
        f"{found['units'] / ours:,.0f} {found['unit']} a second",
        f"{agreed} (native at other batch sizes: {found['agreement']['native_with_itself']:.1%})",
    ]
    return "\n".join([f"### {found['workload']}", "", "; ".join(facts) + f". Last round: {stages}.", "", *table(found), ""])


def spark_section(found: Found) -> str:
    """Return what a workload came to as a job on Spark."""
    lines = [f"### {found['workload']}", "", *table(found), ""]
    for name, noted in found["noted"].items():
        told = {key: noted[key] for key in ("dtype", "padding_efficiency", "computed_rows", "forwards", "model_loads") if key in noted}
        lines.append(f"- {name}: {', '.join(f'{key} {each}' for key, each in told.items())}; stages {noted['seconds']}")
    apart = ", ".join(f"{name} {share:.1%}" for name, share in found["equal"].items() if not name.startswith(OURS))
    return "\n".join([*lines, f"- labels equal to ours: {apart}", ""])


def small_section(found: Found) -> str:
    """Return what small runs, and runs of twice and four times the rows, took."""
    rows = [f"| {name} | {each['total']:.2f} | {each.get('score', 0):.2f} |" for name, each in found["seconds"].items()]
    return "\n".join([f"### {found['workload']}", "", "| run | seconds in all | of them scoring |\n|---|---|---|", *rows, ""])


def plot(measured: Sequence[Found], place: Path, title: str) -> None:
    """Draw, for each workload, how many times as long as ours each of the others takes."""
    shown = [each for each in measured if "rows" in each]
    if not shown:
        return
    figure, axes = plt.subplots(len(shown), 1, figsize=(8, 1.1 + 1.5 * len(shown)), constrained_layout=True, squeeze=False)
    for axis, found in zip(axes[:, 0], shown, strict=True):
        seconds = medians(found)
        ours = next(each for name, each in seconds.items() if name.startswith(OURS))
        names = [*seconds][::-1]
        colours = ["#2a9d8f" if name.startswith(OURS) else "#8d99ae" if name.startswith(BARE) else "#e9a13b" for name in names]
        bars = axis.barh(names, [seconds[name] / ours for name in names], color=colours)
        axis.bar_label(bars, fmt="%.2f", padding=2, fontsize=6)
        axis.set_title(found["workload"], fontsize=8, loc="left")
        axis.tick_params(labelsize=6)
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title, fontsize=9)
    mpl.rcParams["svg.hashsalt"] = "sparkcoil"  # else each drawing has other identifiers
    figure.savefig(place, metadata={"Date": None})
    plt.close(figure)


def write(folder: Path) -> None:
    """Write README.md and the plots of a folder from what was measured into it."""
    parts = [OPENING]
    titles = {"engine": "Without Spark: the engine", "engine-cuda": "Without Spark, on a GPU", "spark": "Whole jobs on Spark"}
    for name, title in titles.items():
        if not (folder / f"{name}.json").is_file():
            continue
        measured = json.loads((folder / f"{name}.json").read_text())
        parts += [f"## {title}", "", f"![times as long as sparkcoil]({name}.svg)", ""]
        plot(measured, folder / f"{name}.svg", f"{title}: times as long as sparkcoil, fewer is better")
        for each in measured:
            section = engine_section if name != "spark" else spark_section if "rows" in each else small_section
            parts.append(section(each))
        parts += ["Measured on " + ", ".join(f"{key} {each}" for key, each in measured[-1]["environment"].items() if each) + ".", ""]
    (folder / "README.md").write_text("\n".join(parts).rstrip() + "\n")
