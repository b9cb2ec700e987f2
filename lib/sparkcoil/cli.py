"""The verbs of the jobs and of the console command: parse, call, print, exit code. Spark starts only for a good run file."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparkcoil.ending import finish
from sparkcoil.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Conf = Annotated[Path, typer.Argument(metavar="CONF", help="the run file, such as conf/docstrings-topic.yaml")]
Set = Annotated[list[str], typer.Option("--set", metavar="KEY.PATH=VALUE", help="a value in place of the run file's; may be repeated")]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="score rows again that failed before")]
RetryCode = Annotated[list[str], typer.Option(metavar="CODE", help="score rows again that failed with this code; may be repeated")]
Progress = Annotated[str, typer.Option(help="what to show on stderr: auto, bar, lines (one a minute), json (the same as JSON) or none")]
StatusFile = Annotated[Path | None, typer.Option(help="a file of JSON that says how far the run is, written anew every few seconds")]


def score(
    conf: Conf,
    set_: Set = [],  # noqa: B006  (typer reads the default)
    retry_failed: RetryFailed = False,
    retry_code: RetryCode = [],  # noqa: B006
    progress: Progress = "auto",
    status_file: StatusFile = None,
) -> None:
    """Score what is due of a source table into its target; the last line printed is the run's report as JSON."""

    def scored() -> str | None:
        from sparkcoil import display, native
        from sparkcoil.runfile import load_config

        if status_file:
            display.begin(status_file, conf.stem)
        display.kind_of(progress)
        shown: Any = {"progress": progress, "status_file": status_file}
        config = load_config(conf, set_)
        if config.mode != "batch" and (retry_failed or retry_code):
            raise ConfigError(str(conf), [f"mode: {config.mode}: --retry-failed and --retry-code are for mode: batch"])
        from sparkcoil.pipeline import run
        from sparkcoil.stream import run_stream

        with session(config.spark, name=config.name) as spark:
            if config.mode != "batch":
                run_stream(spark, config, reported=lambda report: print(report.to_json(), flush=True), **shown)
                return None
            report = run(spark, config, retry_failed=retry_failed or retry_code or False, **shown)
            if unheeded := native.not_followed(report.options_ignored):
                print(f"sparkcoil: {config.name}: not followed: {unheeded}", file=sys.stderr)
            return report.to_json()

    finish(scored, status_file=status_file)


def plan(
    conf: Conf,
    set_: Set = [],  # noqa: B006
    retry_failed: RetryFailed = False,
    retry_code: RetryCode = [],  # noqa: B006
    max_hours: Annotated[float | None, typer.Option(help="exit 3 where the estimate is longer")] = None,
    max_cost: Annotated[float | None, typer.Option(help="exit 3 where the estimate costs more, by the run file's cost.per_hour")] = None,
    preview: Annotated[int, typer.Option(min=0, help="score so many rows, and show them")] = 0,
) -> None:
    """Say what a run would do and about how long it would take; nothing is written, and the last line printed is the plan as JSON."""

    def planned() -> str:
        from sparkcoil.runfile import load_config

        config = load_config(conf, set_)
        from sparkcoil import forecast, pinned
        from sparkcoil.report import Clock

        with session(config.spark, name=f"plan of {config.name}") as spark:
            clock = Clock()
            with clock.stage("prepare"):
                this = pinned.prepared(spark, config)
            made = forecast.planned(spark, this, clock, retry_failed=retry_failed or retry_code or False)
            if preview:
                for row in forecast.previewed(spark, this, count=preview).collect():
                    print(json.dumps(row.asDict(recursive=True), default=str))
            forecast.within(made, max_hours=max_hours, max_cost=max_cost)
            print(made)
            return made.to_json()

    finish(planned)


def sql(
    query: Annotated[str, typer.Argument(metavar="SQL", help="a file that ends in .sql, or the statements themselves")],
    function: Annotated[list[str], typer.Option(metavar="NAME=URI", help="a model as a function; may be repeated")] = [],  # noqa: B006
    on_error: Annotated[str, typer.Option(help="what a failed row gives: struct, null or raise")] = "struct",
    rows: Annotated[int, typer.Option(min=1, help="show so many rows of each result")] = 20,
) -> None:
    """Do SQL statements with models as functions; the last line printed says how it ended, as JSON."""

    def done() -> str:
        from sparkcoil import statements

        asked, uris = statements.read(query), statements.models(function)
        with session({}, name="sql") as spark:
            statements.do(spark, asked, uris, on_error=on_error, rows=rows, shown=print)
            return json.dumps({"exit_code": 0, "statements": len(asked)})

    finish(done)


def report(
    conf: Conf,
    set_: Set = [],  # noqa: B006
    run: Annotated[str | None, typer.Option(metavar="RUN_ID", help="the run_id of the run; the newest unless given")] = None,
    out: Annotated[Path, typer.Option(help="the HTML file to write")] = Path("report.html"),
    images: Annotated[int, typer.Option(min=0, max=200, help="show thumbnails of so many of the run's images")] = 0,
) -> None:
    """Write the report of a past run as one HTML file, from its target alone; the last line printed says where it is, as JSON."""

    def reported() -> str:
        from sparkcoil.runfile import load_config

        config = load_config(conf, set_)
        from sparkcoil.page import make_report

        with session(config.spark, name=f"report of {config.name}") as spark:
            made = make_report(spark, config, run, images=images)
            return json.dumps({"report": str(made.write(out)), "run_id": made.run_id, "exit_code": 0})

    finish(reported)


def log_model(
    checkpoint: Annotated[Path, typer.Argument(help="a directory made by save_pretrained: of a model, or of an adapter")],
    task: Annotated[str, typer.Option(help="the task, such as text-classification")],
    name: Annotated[str | None, typer.Option(help="register the model under this name")] = None,
    alias: Annotated[str | None, typer.Option(help="and point this alias at the new version")] = None,
    base: Annotated[Path | None, typer.Option(help="the checkpoint directory of an adapter's base model")] = None,
    prompt_template: Annotated[
        str | None, typer.Option(help="a text with {prompt} where a row's text goes, and {name} where a column does")
    ] = None,
    option: Annotated[list[str], typer.Option(metavar="NAME=VALUE", help="an inference option to log, value as YAML; repeatable")] = [],  # noqa: B006
    known_answers: Annotated[
        Path | None, typer.Option(help="JSON lines of inputs, with a `prediction` or not, that each executor has to answer alike")
    ] = None,
) -> None:
    """Log a checkpoint in MLflow with its task; the last line printed says where it went, as JSON."""

    def logged() -> str:
        settings = options_of(option)
        from sparkcoil.registry import log_model as log

        named: dict[str, Any] = {"name": name, "alias": alias, "base": base, "prompt_template": prompt_template}
        done = log(checkpoint, task=task, options=settings, known_answers=known_answers, **named)
        return json.dumps(vars(done))

    finish(logged)


@contextmanager
def session(settings: Mapping[str, str], *, name: str) -> Iterator["SparkSession"]:
    """Have a session for the block, which ends with it unless it was there before, as in a notebook."""
    from pyspark.sql import SparkSession

    from sparkcoil.session import start_session

    was_active = SparkSession.getActiveSession() is not None
    spark = start_session(settings, name=name)
    try:
        yield spark
    finally:
        if not was_active:
            spark.stop()


def options_of(written: Sequence[str]) -> dict[str, Any]:
    """Return options by name, of texts such as `top_k=3`; raises ConfigError with every one that cannot be read."""
    import yaml

    found: dict[str, Any] = {}
    problems = []
    for each in written:
        name, equals, value = each.partition("=")
        if not name or not equals:
            problems.append(f"--option: expected name=value, found {each!r}")
        elif name in found:
            problems.append(f"--option: {name} is given more than once")
        try:
            found[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            problems.append(f"--option: the value of {name} is not YAML")
    if problems:
        raise ConfigError("log_model", problems)
    return found


def say_version(asked: bool) -> None:
    """Print the version and end, if it was asked for."""
    if asked:
        print(f"sparkcoil {version('sparkcoil')}")
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", callback=say_version, is_eager=True, help="print the version")]


def main() -> None:
    """Run the console command."""
    settings = {"help_option_names": ["-h", "--help"]}
    app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, context_settings=settings)

    @app.callback()
    def sparkcoil(_: Version = False) -> None:
        """Score tables with transformers models logged in MLflow, on Spark, into Delta."""

    app.command()(score)
    app.command()(plan)
    app.command()(sql)
    app.command()(report)
    app.command()(log_model)
    app()
