"""What was measured as a page with a table for each workload, and as plots; run by `scripts/benchmark report`."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt

from benchmarks import targets
from benchmarks.targets import Found

mpl.rcParams["svg.fonttype"] = "none"  # text that can be found, and is half as large
OPENING = """# Benchmarks

Made by `./scripts/benchmark engine`, `padding`, `spark` and `report`, workload by workload (`--only NAME --scale SHARE`); all figures
are in the JSON files.

- These are the figures of few rows (their count is in the first table) and three rounds, since the machine is slow and noisy.
- Models have real shapes and random weights, made by the script; texts and recordings are drawn by a seed, with lengths like real ones.
- Everyone takes turns, round by round, in one run on one machine; the first time, which loads what a process keeps, is not counted.
  A pandas UDF loads its pipeline in every task, as users write it. On Spark bare loops, Ray Data and Daft come after the others.
  All compute in float32 with one thread for each worker, but for what is marked otherwise; `fastest` is bfloat16 here, in which few
  labels change whose scores are near (how many is said below), and is held against peers in float32, since those do not choose a format.
- Plain `spark_udf` takes a table as it lies: one of one file is one task, on one of the two CPUs. Those that are repartitioned have six.
- *Tickets* are short messages of which 40 in 100 are exact duplicates, *reviews* are longer and all different; *one long in 64* has one
  text in 64 that is much longer than the others.
- Outputs are held against the native pipeline's at batch size 1 before anything is timed, and a workload whose outputs disagree is not:
  scores and embeddings may be 1e-4 apart in float32 and 5e-3 in a shorter format, texts must be equal. What models with random weights
  generate hangs on near ties, so that native texts differ between batch sizes: as many of ours may differ as of those from each other,
  and two standard errors of that share.
  On Spark, labels are held against ours, rows aside whose two best scores are nearer than twice the tolerance.
- The *bare loop* is PyTorch alone: inputs are in memory as tensors, sorted and cut into batches of the best of four sizes, and nothing is
  made of the outputs. **R** is its seconds over ours: 1 would be nothing lost. It computes equal rows each, and has no beginnings of
  prompts to share, and its texts that are over wait for the others of their batch, so that R may be above 1. On Spark it is the better of
  one process and two, at the better of two sizes, without reading or writing; the factors there are of the last round, by the seconds of
  the run's own report, which begin after the call.
- Of the factors, *kernel* is how fast padded tokens are computed, the bare loop being 1 (above it where duplicates are left out), *feed*
  the share of a worker's time in the model, *balance* how evenly slots are busy, *besides Spark* the share of a run that is scoring.
- The native pipeline is timed at several batch sizes (with group norm at 1 alone), over rows in the order in which they come, as users
  call it; its default is batch 1, that of sentence-transformers is 32 and sorted by length.
  Where transformers has none, texts are written by `model.generate`, batch by batch. Recordings are decoded for it by soundfile and soxr:
  its own way starts an ffmpeg for each. The default on Spark is `spark_udf` as MLflow documents it.
- MLflow's `spark_udf` loses the pipeline's `truncation=True` and then dies of the first long text; it is told again through `model_config`.
- Ray Data and Daft run in an environment and processes of their own, after the others; Ray Data starts its workers anew in every round.
- On the GPU there were one or two rounds, and float32 is that without TF32, in convolutions too. Its CPU's cores make tokens of texts for
  ours, for the native pipeline text by text. BERT-base agreed with a CPU within 1.2e-6 in float32, but its random weights are more than the
  tolerance apart in bfloat16, so that nobody was timed beside it: ours alone took 2.26 s in float32 and 0.50 s in bfloat16 for 2,000
  reviews, and 0.69 s and 0.23 s for 3,000 tickets. For the other workloads there was no time on that machine.
"""


def headline(measured: Sequence[Found]) -> Iterator[str]:
    """Yield the table that says for each workload what R is, and how many times as fast as its peers ours is."""
    yield "| workload | rows | ours | R | times as fast as peers' default | as peers' best setting |\n|---|---|---|---|---|---|"
    for found in measured:
        if "disagreement" in found:
            yield f"| {found['workload']} | | not timed, since outputs disagree | | | |"
        elif "rows" in found:
            for dtype in targets.ours(found):
                r = targets.ratio(found, dtype)
                said = "" if r is None else f"{r:.2f}"
                peers = f"{targets.default(found, dtype):.2f} | {targets.best(found, dtype):.2f}"
                yield f"| {found['workload']} | {found['rows']:,} | {dtype} | {said} | {peers} |"
    yield ""


def table(found: Found) -> Iterator[str]:
    """Yield a workload's table: seconds and spread of each, rates, and how many times as long as ours in float32 each takes."""
    seconds = targets.medians(found)
    ours = targets.ours(found)["float32"]
    yield "| who | seconds, median (range) | rows/s | times ours |\n|---|---|---|---|"
    for name, each in seconds.items():
        spread = f"{min(found['seconds'][name]):.1f} to {max(found['seconds'][name]):.1f}"
        yield f"| {name} | {each:.2f} ({spread}) | {found['rows'] / each:.1f} | {each / ours:.2f} |"
    for name, each in found["seconds"].items():
        if isinstance(each, str):
            yield f"| {name} | did not run: {each} | | |"


def engine_section(found: Found) -> str:
    """Return what a workload came to without Spark."""
    ours, agreement = targets.ours(found)["float32"], found["agreement"]
    noted = found["noted"][f"{targets.OURS}, float32"]
    stages = ", ".join(f"{name} {each:.2f} s" for name, each in noted["seconds"].items())
    several = len(targets.theirs(found)) > 1
    itself = [f"native at other batch sizes equal to itself in {agreement['native_with_itself']:.1%} of rows"] if several else []
    facts = [
        f"padding efficiency {targets.padding(found):.3f}",
        f"{found['units'] / ours:,.0f} {found['unit']} a second",
        *itself,
        *(f"{name} {agreed(each)}" for name, each in agreement["ours"].items()),
    ]
    return "\n".join([f"### {found['workload']}", "", "; ".join(facts) + f". Last round: {stages}.", "", *table(found), ""])


def agreed(agreement: Mapping[str, float]) -> str:
    """Return how outputs agree."""
    said = f"equal in {agreement['equal']:.1%}"
    if "largest_difference" in agreement:
        said += f", at most {agreement['largest_difference']:.1e} apart"
    return said + (f", cosine at least {agreement['smallest_cosine']:.7f}" if "smallest_cosine" in agreement else "")


def spark_section(found: Found) -> str:
    """Return what a workload came to as a job on Spark."""
    lines = [f"### {found['workload']}", "", *table(found), ""]
    product = " x ".join(f"{name} {each:.3f}" for name, each in found["factors"].items())
    lines.append(f"- R against two bare loops, in the last round: {math.prod(found['factors'].values()):.3f} = {product}")
    lines.append(f"- scoring on two executors takes two bare loops' seconds divided by {found['two_executors']:.3f}")
    for name, noted in found["noted"].items():
        told = {key: noted[key] for key in ("dtype", "padding_efficiency", "computed_rows", "forwards", "model_loads") if key in noted}
        lines.append(f"- {name}: {', '.join(f'{key} {each}' for key, each in told.items())}; stages {noted['seconds']}")
    others = ", ".join(f"{name} {share:.1%}" for name, share in found["others"].items())
    lines.append(f"- labels unlike ours, near ties aside: {others}; `fastest` {agreed(found['agreement'])}")
    return "\n".join([*lines, ""])


def small_section(found: Found) -> str:
    """Return what our own runs took that are not held against a peer."""
    runs = found["runs"].items() if "runs" in found else ((name, {"seconds": each}) for name, each in found["seconds"].items())
    rows = [
        f"| {name} | {each['seconds']['total']:.2f} | {each['seconds'].get('score', 0):.2f} | {each.get('padding_efficiency', '')} "
        f"| {each.get('units_per_second', '')} |"
        for name, each in runs
    ]
    head = "| run | seconds in all | of them scoring | padding efficiency | tokens a second |\n|---|---|---|---|---|"
    return "\n".join([f"### {found['workload']}", "", head, *rows, ""])


def memory_section(found: Found) -> str:
    """Return the most memory that the Python workers of each had."""
    rows = [f"| {name} | {each:,} |" for name, each in found["mebibytes"].items()]
    head = "| who | MiB of all Python workers, shared pages counted once |\n|---|---|"
    return "\n".join([f"### {found['workload']}", "", head, *rows, ""])


def section(found: Found) -> str:
    """Return what is said of a workload in detail."""
    if "disagreement" in found:
        return f"### {found['workload']}\n\nNot timed: {found['disagreement']}.\n"
    if "rows" in found:
        return (spark_section if "two_executors" in found else engine_section)(found)
    return (memory_section if "mebibytes" in found else small_section)(found)


def padding_section(counted: Sequence[Found]) -> Iterator[str]:
    """Yield how little of a whole window is padding."""
    if counted:
        yield "## Padding of a whole window\n"
        yield "Of the different ones among 10,000 rows, as many as a worker on a CPU sorts and cuts at once; counted, not timed.\n"
        yield "| workload | share of what is computed that is no padding |\n|---|---|"
        yield from (f"| {each['workload']} | {each['window_padding']:.4f} |" for each in counted)
        yield ""


def plot(measured: Sequence[Found], place: Path, title: str) -> None:
    """Draw, for each workload, how many times as long as ours each of the others takes."""
    shown = [each for each in measured if "rows" in each]
    if not shown:
        return
    figure, axes = plt.subplots(len(shown), 1, figsize=(8, 1.1 + 1.5 * len(shown)), constrained_layout=True, squeeze=False)
    for axis, found in zip(axes[:, 0], shown, strict=True):
        seconds = targets.medians(found)
        ours = targets.ours(found)["float32"]
        names = [*seconds][::-1]
        colours = [
            "#2a9d8f" if name.startswith(targets.OURS) else "#8d99ae" if name.startswith(targets.BARE) else "#e9a13b" for name in names
        ]
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
    titles = {"engine": "Without Spark: the engine", "engine-cuda": "Without Spark, on a GPU", "spark": "Whole jobs on Spark"}
    files = {name: folder / f"{name}.json" for name in titles}
    measured = {name: json.loads(file.read_text()) for name, file in files.items() if file.is_file()}
    parts = [OPENING, "## In short", ""]
    for name, each in measured.items():
        parts += [f"{titles[name]}:", "", *headline(each)]
    windows = folder / "padding.json"
    counted = json.loads(windows.read_text()) if windows.is_file() else []
    judged = [*judged_here({"padding": counted, **measured})]
    parts += ["## Targets", "", f"{sum(each.endswith(': met.') for each in judged)} of {len(judged)} are met.", "", *judged, ""]
    parts += padding_section(counted)
    for name, each in measured.items():
        parts += [f"## {titles[name]}", "", f"![times as long as sparkcoil]({name}.svg)", ""]
        plot(each, folder / f"{name}.svg", f"{titles[name]}: times as long as sparkcoil, fewer is better")
        parts += map(section, each)
        parts += ["Measured on " + ", ".join(f"{key} {value}" for key, value in each[-1]["environment"].items() if value) + ".", ""]
    (folder / "README.md").write_text("\n".join(parts).rstrip() + "\n")


def judged_here(measured: Mapping[str, Sequence[Found]]) -> Iterator[str]:
    """Yield a line for each target, all of which are of a CPU."""
    for name, each in measured.items():
        if name != "engine-cuda":
            yield from targets.judged(each)
