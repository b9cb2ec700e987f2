"""The report of a run as one HTML file, made from the target alone: the notes in its commits, and its rows at their versions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import time

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from py4j.protocol import Py4JError  # type: ignore[import-untyped]
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from sparkcoil import account, charts, distributions, figures, noting, past, sink, tables, thumbnails
from sparkcoil.account import Material
from sparkcoil.config import RunConfig
from sparkcoil.errors import TargetError
from sparkcoil.figures import Part
from sparkcoil.pinned import Run
from sparkcoil.report import Clock, Progress
from sparkcoil.sink import Target
from sparkcoil.spread import PREVIOUS, THIS
from sparkcoil.tasks import OWN_LABELS
from sparkcoil.thumbnails import Thumbnail

# Commits of others among which those of a run that has just ended, and the last one of the run before, are looked for.
AMONG = 64
# A run is held against the one before where that had no more rows, or no more than so many times its own: to count the rows of the
# great first run again for each small one after it would cost more than these do.
FEW_ROWS, TIMES = 100_000, 20


@dataclass(frozen=True)
class Page:
    """The report of a run as the text of an HTML file that needs no other."""

    run_id: str
    html: str

    def write(self, path: Path | str) -> Path:
        """Write the file, and return its path."""
        Path(path).write_text(self.html, encoding="utf-8")
        return Path(path)


def make_report(spark: SparkSession, config: RunConfig, run_id: str | None = None, *, images: int = 0) -> Page:
    """Return the report of a past run into the config's target, of the newest one unless it is named; MLflow is not asked.

    With `images`, it shows thumbnails of so many of the images that were scored, of those that can be read from the source now.
    Raises TargetError where the target is missing, or its history knows no such run, and ConfigError where rows have no images.
    """
    if images:
        thumbnails.check(config, str(config.task))
    named = config.target
    target = Target(named.table, named.path, tuple(config.source.keys), (), StructType(), config.task or "")
    if not sink.exists(spark, target):
        raise TargetError(f"target: {target.name}: expected a prediction table, found none")
    table = sink.opened(spark, target)
    found = past.index(table)
    mine = past.of_run(found, run_id, target=target.name)
    before = past.before(found, mine[0])
    parts = {part.version: part for part in past.parts(table, only=[*mine, *([before] if before else [])])}
    material = told(spark, config, target, [parts[each.version] for each in mine], parts[before.version] if before else None)
    last = mine[-1]
    return rendered(material, thumbnails.taken(spark, config, rows_of(spark, target, last, last.version), images) if images else None)


def of_ended(spark: SparkSession, run: Run, progress: Progress, clock: Clock) -> Material:
    """Return all that is known of a run that has just ended: what its target tells, and what it has not published."""
    found = past.parts(sink.opened(spark, run.target), AMONG + progress.commits)
    mine = [part for part in found if part.run_id == run.id]
    before = past.before(found, mine[0] if mine else None)
    if before is not None and (past.due(before) or 0) > max(FEW_ROWS, TIMES * progress.total):
        before = None
    if progress.waiting:
        noted = figures.of(progress, clock.read(), began=clock.began, is_last=False)
        mine.append(Part(run.id, None, time(), None, {**noted, "run": noting.described(spark, run, clock)}))
    material = told(spark, run.config, run.target, mine, before)
    left = account.unpublished([failure for each in progress.waiting for failure in each.failures])
    return replace(material, counts=[*material.counts, *left], exceeded=progress.exceeded)


def told(spark: SparkSession, config: RunConfig, target: Target, mine: Sequence[Part], before: Part | None) -> Material:
    """Return all that the target tells of a run, from its commits and its rows."""
    last = next((part for part in reversed(mine) if part.version is not None), None)
    wanted = [(of, part) for of, part in ((THIS, last), (PREVIOUS, before)) if part is not None] if last else []
    named = OWN_LABELS not in config.source.columns
    try:
        frames = [(of, rows_of(spark, target, part, part.version)) for of, part in wanted]
        counts, rows_at = distributions.counted(frames, target.keys, named=named), None
    except (PySparkException, Py4JError):  # VACUUM may have removed what old versions are made of
        newest = tables.newest(sink.opened(spark, target)).version
        frames = [(of, rows_of(spark, target, part, newest)) for of, part in wanted]
        counts, rows_at = distributions.counted(frames, target.keys, named=named), newest
    return Material(mine[0].run_id, target.name, target.keys, mine, before, counts, rows_at=rows_at)


def rows_of(spark: SparkSession, target: Target, part: Part, version: int | None) -> DataFrame:
    """Return the rows that a run has in the target at a version."""
    return sink.read(spark, target, version).where(F.col("run_id") == part.run_id)


def rendered(material: Material, images: Sequence[Thumbnail] | None = None) -> Page:
    """Return the page of all that is known of a run, with thumbnails where there are some; whatever comes from data is escaped."""
    environment = Environment(loader=PackageLoader("sparkcoil", ""), autoescape=True, undefined=StrictUndefined)
    template = environment.get_template("report.html.jinja")
    html = template.render(account=account.of(material), images=images, svg=lambda chart: Markup(charts.svg(chart)))
    return Page(material.run_id, html)
