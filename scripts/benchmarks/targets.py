"""What was aimed at, and which of it is missed by how much."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

OURS, BARE = "sparkcoil", "bare loop"
Found = Mapping[str, Any]
# Why a target is missed, by workload, as far as that is known.
CAUSES: Mapping[str, str] = {
    "tickets, MiniLM, 1 file": "Reading, planning and the commit take about two seconds, whatever the rows.",
    "reviews, MiniLM, 1 file": "Of two tasks one waits for the other, and reading, planning and the commit take about two seconds.",
    "zero-shot of ten labels, BERT-mini": "Everyone computes each text with each label; only the work around that is saved.",
    "templated chat, Llama": "Of 24 new tokens each takes a step, whose costs a small model has from torch and not from its size.",
    "translation, T5": "Each token of each text passes the model's layers, whoever writes it.",
    "translation, Marian": "Each token of each text passes the model's layers, whoever writes it.",
    "calls, Whisper-tiny": "Each window's encoder reads 30 seconds, whoever runs it; what is saved is in writing.",
    "calls, wav2vec2 with layer norm": "Every second is computed by everyone; batches gain a CPU nothing.",
    "calls, wav2vec2 with group norm": "Only recordings of exactly one length may share a batch, so that batches gain nothing.",
}


def medians(found: Found) -> dict[str, float]:
    """Return the median seconds of everyone who was timed."""
    return {name: statistics.median(each) for name, each in found["seconds"].items() if isinstance(each, list) and each}


def ours(found: Found) -> dict[str, float]:
    """Return our seconds by number format."""
    return {name.rpartition(", ")[2]: each for name, each in medians(found).items() if name.startswith(OURS)}


def theirs(found: Found) -> dict[str, float]:
    """Return the seconds of each peer, the default setting first."""
    return {name: each for name, each in medians(found).items() if not name.startswith((OURS, BARE))}


def ratio(found: Found, dtype: str) -> float | None:
    """Return R in a number format, None where no bare loop ran in it."""
    on_spark = "two_executors" in found
    names = [f"{BARE}, 1 of", f"{BARE}, 2 of"] if on_spark else [f"{BARE}, {dtype}"]
    loops = [each for name, each in medians(found).items() if name.startswith(tuple(names))]
    return min(loops) / ours(found)[dtype] if loops and not (on_spark and dtype != "float32") else None


def default(found: Found, dtype: str = "float32") -> float:
    """Return how many times as fast as the peers' default ours is: pipelines and `generate` row by row, `spark_udf` as documented."""
    return next(iter(theirs(found).values())) / ours(found)[dtype]


def best(found: Found, dtype: str = "float32") -> float:
    """Return how many times as fast as the fastest peer in its best setting ours is."""
    return min(theirs(found).values()) / ours(found)[dtype]


def padding(found: Found) -> float:
    """Return the share of what was computed that is no padding."""
    noted = found["noted"][f"{OURS}, float32"]
    return float(noted["padding_efficiency"] if "padding_efficiency" in noted else noted["useful"] / noted["computed"])


@dataclass(frozen=True)
class Target:
    """What a figure of a workload should be at least."""

    workload: str
    figure: str
    least: float
    of: Callable[[Found], float | None]


def over(name: str, dtype: str) -> Callable[[Found], float | None]:
    """Return the figure of how many times as fast as one peer ours is in a number format, None where either was not timed."""
    return lambda found: theirs(found)[name] / ours(found)[dtype] if name in theirs(found) and dtype in ours(found) else None


R, WINDOW = "R", "the padding efficiency of a whole window"
BEST, DEFAULT = "the speed over the peers' best setting", "the speed over the peers' default"
READ = ("tickets, MiniLM", "one long in 64, MiniLM")
TARGETS: Sequence[Target] = (
    *(Target(name, WINDOW, 0.99, lambda found: float(found["window_padding"])) for name in READ),
    *(Target(f"reviews, MiniLM{files}", R, 0.93, lambda found: ratio(found, "float32")) for files in ("", ", 1 file")),
    Target("reviews, BERT-mini", R, 0.85, lambda found: ratio(found, "float32")),
    Target("zero-shot of ten labels, BERT-mini", DEFAULT, 5, default),
    Target("translation, T5", BEST, 3, best),
    Target("translation, Marian", BEST, 3, best),
    Target("templated chat, Llama", BEST, 4, best),
    Target("calls, Whisper-tiny", BEST, 2, best),
    Target("calls, wav2vec2 with layer norm", BEST, 2, best),
    Target("calls, wav2vec2 with group norm", BEST, 2, best),
    Target("reviews, MiniLM, 1 file", "the speed of `fastest` over plain `spark_udf`", 2.5, over("plain spark_udf", "fastest")),
    Target("tickets, MiniLM, 1 file", "the speed of `fastest` over plain `spark_udf`", 3.5, over("plain spark_udf", "fastest")),
    Target("tickets, MiniLM, 1 file", "the speed over a pandas UDF at batch 32", 4, over("pandas UDF, batch 32", "float32")),
    Target("reviews, MiniLM, 1 file", "scoring on two executors over two bare loops", 0.95, lambda found: found["two_executors"]),
)


def judged(measured: Sequence[Found]) -> Iterator[str]:
    """Yield a line for each target of the workloads that were timed; one that is missed says by how much, and why where it is known."""
    by_name = {each["workload"]: each for each in measured if "rows" in each or "window_padding" in each}
    for target in TARGETS:
        found = by_name.get(target.workload)
        value = target.of(found) if found is not None and ("window_padding" in found) == (target.figure == WINDOW) else None
        if found is None or value is None:
            continue
        digits = 4 if target.figure == WINDOW else 2
        said = f"- {target.workload}: {target.figure} is {value:.{digits}f}, at least {target.least:g} was aimed at"
        yield f"{said}: met." if value >= target.least else f"{said}: **missed**.{reason(target, found)}"


def reason(target: Target, found: Found) -> str:
    """Return what is known of why a target is missed."""
    told = []
    loop = None if target.figure == WINDOW else ratio(found, "float32")
    if target.figure in (BEST, DEFAULT) and loop is not None:
        compared = best(found) if target.figure == BEST else default(found)
        told.append(f" The bare loop itself comes to {compared / loop:.2f}.")
    cause = CAUSES.get(target.workload)
    return "".join([*told, *([f" {cause}"] if cause else [])])
