"""How the predictions of a run are spread, beside those of the run before: counts in, charts out. Knows nothing of Spark."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

THIS, PREVIOUS = "this", "previous"
# Of a prediction's fields: which are counted by value, and which by how long, many or much they are.
CATEGORIES = ("label", "language", "finish_reason", "aggregator")
AMOUNTS = {
    "text": "characters",
    "answer": "characters",
    "entities": "entities",
    "objects": "objects",
    "prompt_tokens": "tokens",
    "completion_tokens": "tokens",
    "duration": "seconds",
}
SCORE_BINS = 20
MOST_BARS = 12
LONGEST_LABEL = 26


@dataclass(frozen=True)
class Counted:
    """So many rows of a run (`of`) have a value of something; of failures there is an example's key as JSON."""

    of: str
    what: str
    value: str
    rows: int
    example: str | None = None


@dataclass(frozen=True)
class Chart:
    """A drawing in figures: `bars` and `columns` have a label for each value, a `line` holds each value from one of `at` to the next."""

    title: str
    note: str
    kind: Literal["line", "bars", "columns"]
    series: Mapping[str, Sequence[float]]
    labels: Sequence[str] = ()
    at: Sequence[float] = field(default_factory=tuple)
    axis: str = ""


def charts(counts: Sequence[Counted]) -> Iterator[Chart]:
    """Yield a chart for each field of the prediction of which something was counted."""
    for name in CATEGORIES:
        if found := by_run(counts, name):
            yield of_categories(name, found, rows_of(counts))
    if found := by_run(counts, "score"):
        yield of_scores(found)
    for name, unit in AMOUNTS.items():
        if found := by_run(counts, name):
            octaves = sorted({value for run in found.values() for value in run}, key=int)
            series = {SERIES[of]: shares(found[of], octaves) for of in found}
            labels = [between(int(each)) for each in octaves]
            note = f"Share of predictions by their {unit}. {distance(found)}"
            yield Chart(f"{name}: {unit} of a prediction", note, "bars", series, labels, axis="% of predictions")


SERIES = {THIS: "this run", PREVIOUS: "run before"}


def by_run(counts: Sequence[Counted], what: str) -> dict[str, Counter[str]]:
    """Return the rows by value of something for each run, this one first; empty where this run has none."""
    found: dict[str, Counter[str]] = {THIS: Counter(), PREVIOUS: Counter()}
    for each in counts:
        if each.what == what and each.of in found:
            found[each.of][each.value] += each.rows
    return {of: values for of, values in found.items() if values} if found[THIS] else {}


def rows_of(counts: Sequence[Counted]) -> Mapping[str, int]:
    """Return how many rows of each run are ok."""
    return {of: values["ok"] for of, values in by_run(counts, "status").items()}


def of_categories(name: str, found: Mapping[str, Counter[str]], ok: Mapping[str, int]) -> Chart:
    """Return the shares of the most frequent values, those of all others together."""
    together: Counter[str] = sum(found.values(), Counter())
    frequent = [value for value, _ in together.most_common(MOST_BARS)]
    # What was not counted, since there are too many different values, is among the others.
    others = {of: max(ok.get(of, 0), values.total()) - sum(values[value] for value in frequent) for of, values in found.items()}
    labels = [shortened(value) for value in frequent] + (["(others)"] if any(others.values()) else [])
    rows = {of: [*(values[value] for value in frequent), others[of]][: len(labels)] for of, values in found.items()}
    series = {SERIES[of]: [100 * each / max(1, sum(mine)) for each in mine] for of, mine in rows.items()}
    return Chart(f"{name}s", f"Share of predictions. {distance(found)}", "bars", series, labels, axis="% of predictions")


def of_scores(found: Mapping[str, Counter[str]]) -> Chart:
    """Return the shares of predictions by their score in steps of a twentieth; scores below 0 and above 1 are in steps of their own."""
    bins = [str(each) for each in range(SCORE_BINS)]
    outside = {str(end): label for end, label in ((-1, "<0"), (SCORE_BINS, ">1")) if any(str(end) in run for run in found.values())}
    bins = [*(["-1"] if "-1" in outside else []), *bins, *([str(SCORE_BINS)] if str(SCORE_BINS) in outside else [])]
    labels = [outside.get(each) or f"{int(each) / SCORE_BINS:.2f}" for each in bins]
    series = {SERIES[of]: shares(values, bins) for of, values in found.items()}
    return Chart("scores", f"Share of predictions by score. {distance(found)}", "columns", series, labels, axis="score, from")


def shares(values: Counter[str], order: Sequence[str]) -> list[float]:
    """Return how many of a hundred have each value."""
    return [100 * values[each] / values.total() for each in order]


def distance(found: Mapping[str, Counter[str]]) -> str:
    """Return in words how far two runs are apart, by the total variation of their shares; nothing where there is one."""
    if len(found) < 2:
        return ""
    this, previous = found[THIS], found[PREVIOUS]
    apart = sum(abs(this[each] / this.total() - previous[each] / previous.total()) for each in {*this, *previous}) / 2
    return f"Distance to the run before: {apart:.2f} (0: the same shares, 1: nothing in common)."


def between(octave: int) -> str:
    """Return what lies below a power of two and not below the one before."""
    return f"{2.0 ** (octave - 1):g} to {2.0**octave:g}"


def shortened(text: str) -> str:
    """Return a label that fits beside a bar and that XML can hold."""
    plain = "".join(each if each.isprintable() else "·" for each in text)
    return plain if len(plain) <= LONGEST_LABEL else f"{plain[: LONGEST_LABEL - 1]}…"
