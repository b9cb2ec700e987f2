"""What the report of a run says: its facts, charts and tables as a frozen value, made of figures and counts. Knows nothing of Spark."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from sparkcoil import effort, rates, shown, spread
from sparkcoil.effort import Totals
from sparkcoil.figures import Part
from sparkcoil.spread import THIS, Chart, Counted

MOST_FAILURES, MOST_SLOW = 20, 5
UNPUBLISHED = "unpublished"
FAILED = {"champion_failed": "only the champion failed", "challenger_failed": "only the challenger failed", "both_failed": "both failed"}


@dataclass(frozen=True)
class Material:
    """All that is known of a run: its commits and what it has not published, the run before, and what its rows were counted to.

    `exceeded` says what of the error budget was, `rows_at` the version whose rows were counted where it is not the run's own.
    """

    run_id: str
    target: str
    keys: Sequence[str]
    parts: Sequence[Part]
    before: Part | None
    counts: Sequence[Counted]
    exceeded: str | None = None
    rows_at: int | None = None


@dataclass(frozen=True)
class Table:
    """Rows of text under a head, or without one where each row is a name with what it has."""

    title: str
    note: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Account:
    """What the page says, from its top: a title, what became of the run in a sentence, facts, charts, tables."""

    title: str
    ended: str
    facts: Sequence[tuple[str, str]]
    charts: Sequence[Chart]
    tables: Sequence[Table]


def of(material: Material) -> Account:
    """Return what is to be said of a run; what its commits do not tell is left out."""
    totals = effort.totals_of(material.parts)
    taken = [effort.throughput(material.parts), effort.stages(totals), effort.worker_stages(totals), effort.lengths(totals)]
    tables = [failures(material), gates(material.parts), challenger(material.parts), pairs(material.parts)]
    tables += [slowest(material.parts, totals), warnings(material), lineage(material, totals), environment(totals)]
    return Account(
        title=str(totals.run.get("name", material.target)),
        ended=ended(material, totals),
        facts=tuple(facts(totals, material.counts)),
        charts=tuple(each for each in (*taken, *spread.charts(material.counts)) if each is not None),
        tables=tuple(each for each in tables if each.rows),
    )


def ended(material: Material, totals: Totals) -> str:
    """Return in a sentence what became of a run."""
    rows = f"{totals.rows['rows']:,} rows published"
    if material.exceeded:
        return f"Ended over its limits: {material.exceeded}. {rows}, {totals.unpublished:,} scored and not published."
    if totals.due is None:
        return f"{rows}. Its commits hold no figures: it was made before they did."
    if totals.is_done:
        return f"Done: {rows}, of {totals.due:,} due."
    return f"Under way, or ended early: {rows}, of {totals.due:,} due."


def facts(totals: Totals, counts: Sequence[Counted]) -> Iterator[tuple[str, str]]:
    """Yield the figures at the top of the page by name."""
    rows, windows, scoring = totals.rows, totals.windows, totals.seconds.get("score")
    for name, said in {"ok": "ok", "failed": "failed", "copied": "copied", "gone": "left the source"}.items():
        if rows.get(name) or (name in rows and name in ("ok", "failed")):
            yield said, f"{rows[name]:,}"
    if "copied" in rows and rows["rows"]:
        yield "failed share", f"{rows['failed'] / rows['rows']:.2%}"
    if totals.elapsed is not None:
        yield "took", spoken(totals.elapsed)
    if scoring and windows.get("rows"):
        yield "rows per second", f"{windows['rows'] / scoring:,.1f}"
        yield f"{windows['unit']} per second", f"{windows['units'] / scoring:,.0f}"
    if windows.get("computed"):
        yield "padding efficiency", f"{windows['useful'] / windows['computed']:.1%}"
    if cut := sum(each.rows for each in counts if (each.of, each.what, each.value) == (THIS, "warning", "truncated")):
        yield "cut inputs", f"{cut:,}"
    if (per_hour := totals.run.get("per_hour")) is not None and totals.elapsed is not None and rows["rows"]:
        yield "cost per 1,000 rows", f"{per_hour * totals.elapsed / 3_600 / rows['rows'] * 1_000:,.4g}"


def failures(material: Material) -> Table:
    """Return failures by stage and code, each with an example's key, masked."""
    found = [each for each in material.counts if each.what == "failure" and each.of in (THIS, UNPUBLISHED)]
    rows = [
        [
            *each.value.split("/", 1),
            f"{each.rows:,}" + ("" if each.of == THIS else ", not published"),
            *((masked(each.example), digest(each.example)) if each.example else ("", "")),
        ]
        for each in sorted(found, key=lambda each: -each.rows)[:MOST_FAILURES]
    ]
    names = ", ".join(f"`{name}`" for name in material.keys)
    sql = f"SELECT * FROM … WHERE left(sha2(to_json(struct({names})), 256), 4) = '…'"
    note = f"Of a key the first and the last character are shown. Who may read the table finds the row by its hash: {sql}"
    return Table("failures", note, ("stage", "code", "rows", "a key", "hash"), rows)


def masked(example: str) -> str:
    """Return a key as JSON with its values masked: their first and last character, nothing of a short one."""
    values = json.loads(example)
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}
    return ", ".join(f"{name}={text[0] + '…' + text[-1] if len(text) > 7 else '…'}" for name, text in texts.items())


def digest(example: str) -> str:
    """Return the start of the hash by which a row is found again."""
    return hashlib.sha256(example.encode()).hexdigest()[:4]  # enough among the failures of a run, too little to find a key by trying


def slowest(parts: Sequence[Part], totals: Totals) -> Table:
    """Return the windows that took longest for what was in them."""
    windows = [window for part in parts if part.figures for window in part.figures.get("slowest", ())]
    chosen = sorted(windows, key=lambda each: -each["seconds"] / max(each["units"], 1e-3))[:MOST_SLOW]
    unit = totals.windows.get("unit", "units")
    rows = [
        [
            f"{each['at']:,.1f}" if "at" in each else "",
            *(f"{each['seconds']:,.2f}", f"{each['rows']:,}", f"{each['units']:,.0f}"),
            *(f"{each['units'] / max(each['seconds'], 1e-3):,.0f}", str(each["forwards"]), f"{each['device']}, process {each['worker']}"),
        ]
        for each in chosen
    ]
    head = ("from second", "seconds", "rows", unit, "per second", "passes", "where")
    note = "A window is what a worker sorts by length and cuts into batches; these took longest for what they held."
    return Table("slowest windows", note, head, rows)


def newest(parts: Sequence[Part], name: str) -> Any:
    """Return what the last commit says that says anything of a name, None where none does."""
    return next((part.figures[name] for part in reversed(parts) if part.figures and name in part.figures), None)


def gates(parts: Sequence[Part]) -> Table:
    """Return what each gate of the run allowed, and what was found."""
    rows = [
        [each["gate"], f"{each['allowed']:g}", "" if each["found"] is None else f"{each['found']:.4g}", "yes" if each["holds"] else "no"]
        for each in newest(parts, "gates") or ()
    ]
    return Table("gates", "Nothing is published where one does not hold.", ("gate", "allowed", "found", "holds"), rows)


def challenger(parts: Sequence[Part]) -> Table:
    """Return how far a second model agrees with the one that the run is made with."""
    found = newest(parts, "challenger")
    if found is None:
        return Table("champion and challenger", "", (), ())
    judged = "" if found["agreement"] is None else f"{found['agree']:,}, {found['agreement']:.1%}"
    rows = {
        "challenger": next(part.figures["run"].get("challenger", "") for part in reversed(parts) if part.figures),
        "rows that both scored": f"{found['compared']:,}",
        "of these they agree on": judged,
        "mean distance": "" if found["mean_distance"] is None else f"{found['mean_distance']:.4g}",
        **{said: f"{found[name]:,}" for name, said in FAILED.items() if found[name]},
    }
    note = "The mean distance is that of scores, or of embeddings 1 less the cosine."
    return Table("champion and challenger", note, (), [[*each] for each in rows.items() if each[1]])


def pairs(parts: Sequence[Part]) -> Table:
    """Return the labels that both models gave the same rows."""
    found = (newest(parts, "challenger") or {}).get("labels", ())
    rows = [[each["champion"], each["challenger"], f"{each['rows']:,}"] for each in found]
    return Table("labels of both", "The most frequent pairs.", ("champion", "challenger", "rows"), rows)


def warnings(material: Material) -> Table:
    """Return how many rows have each warning, such as of an input that was cut."""
    found = sorted((each for each in material.counts if each.what == "warning" and each.of == THIS), key=lambda each: -each.rows)
    note = "truncated: the input was longer than the model reads, and was cut."
    return Table("warnings", note, ("warning", "rows"), [[each.value, f"{each.rows:,}"] for each in found])


def lineage(material: Material, totals: Totals) -> Table:
    """Return what was made from what: versions of the source, of the model and of the target."""
    run = totals.run
    versions = [part.version for part in material.parts if part.version is not None]
    made = f" at version {versions[0]}" + (f" to {versions[-1]}" if len(versions) > 1 else "") if versions else ""
    at = [datetime.fromtimestamp(part.at, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC") for part in material.parts[-1:]]
    rows = [["run", material.run_id], ["ended" if totals.is_done else "last heard of", *at]]
    if run:
        source, model = run["source"], run["model"]
        rows += [["source", shown.at_version(source)]]
        rows += [["model", model["uri"]], ["model's files", f"sha256 {model['digest']}"]]
    rows += [["target", material.target + made]]
    if material.before is not None:
        rows += [["run before", f"{material.before.run_id}, to version {material.before.version}"]]
    gone = material.rows_at is not None
    note = f"Rows were counted at version {material.rows_at}, since files of the run's own are no longer there." if gone else ""
    return Table("lineage", note, (), rows)


def environment(totals: Totals) -> Table:
    """Return what the run was and went on: task, options, versions, machine."""
    run, windows = totals.run, totals.windows
    if not run:
        return Table("environment", "", (), ())
    rows = {"task": run["task"], **{f"option {name}": value for name, value in run["options"].items()}, "started by": run["user"]}
    where = {
        "device": windows.get("device", ""),
        "number format": windows.get("dtype", ""),
        **{name: windows.get(name, "") for name in rates.REMARKS},
    }
    machine = {"slots": str(run["slots"]), "master": run["master"], "trusted": "; ".join(run["trusted"]), **run["environment"]}
    return Table("environment", "", (), [[*each] for each in {**rows, **where, **machine}.items() if each[1]])


def unpublished(failures: Sequence[Mapping[str, Any]]) -> list[Counted]:
    """Return the failures of what a run has not published."""
    return [Counted(UNPUBLISHED, "failure", f"{each['stage']}/{each['code']}", each["rows"], each["example"]) for each in failures]


def spoken(seconds: float) -> str:
    """Return a length of time as people write it."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes, left = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {left} s"
