"""Every run file in conf/ does its job: its model is logged as docs/tutorials.md says, its run is the file as it stands."""

import shlex
import subprocess
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jiwer
import pytest
import stores
from filelock import FileLock
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkcoil import RunReport, load_config, log_model, run

ROOT = Path(__file__).parents[1]
# Five trainings, and ten runs with what they make.
pytestmark = [pytest.mark.long("tutorials"), pytest.mark.timeout(3600)]
ROWS = 100
# A field of the prediction, the column with what it should be, and the least share of rows where it is: well below what training prints.
FLOORS = {
    "order-notes": ("text", "note", 0.9),
    "translate-forecasts": ("text", "german", 0.9),
    "support-chat": ("text", "reply", 0.9),
    "support-chat-openai": ("text", "reply", 0.9),
    "questions-to-sql": ("text", "sql", 0.9),
    # Half of the docstrings are of packages that the model does not know.
    "docstrings-topic": ("label", "package", 0.4),
    "keypad-transcripts": ("text", "keys", 0.8),
    "calls-transcripts": ("text", "transcript", 0.5),
    "sounds-class": ("label", "sound", 0.9),
    "drawings-sign": ("label", "sign", 0.9),
}

Row = dict[str, Any]


class Scored(NamedTuple):
    """What a run reported, what the same run reported when nothing had changed, and the prediction table."""

    first: RunReport
    second: RunReport
    rows: list[Row]


@pytest.fixture(scope="module")
def scripts() -> Iterator[None]:
    """What the scripts import is there to be imported."""
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(ROOT / "scripts")
        yield


@pytest.fixture(scope="module")
def page(scripts: None) -> Any:
    """The module that writes docs/tutorials.md."""
    from pages import tutorials

    return tutorials


@pytest.fixture(scope="module")
def one(scripts: None) -> Any:
    """The module that writes what the page shows of one tutorial."""
    from pages import tutorial

    return tutorial


@pytest.fixture(scope="module")
def data(trained: Path, alone: FileLock) -> Path:
    """The folder with the tutorials' data and models beside the other examples, made once like those."""
    with alone:
        subprocess.run([ROOT / "scripts" / "make_examples", "tutorials"], check=True, cwd=ROOT)
    return trained


@pytest.fixture(scope="module")
def models(data: Path, page: Any, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Every model of a run file, logged as the page says, or as the quickstart does, in a store of their own."""
    with stores.opened(tmp_path_factory.mktemp("tutorials")):
        log_models(data, page)
        yield


def log_models(data: Path, page: Any) -> None:
    """Log the quickstart's models and the page's."""
    for name, task in {"docstring_topic": "text-classification", "keypad": "automatic-speech-recognition"}.items():
        log_model(data / "models" / name, task=task, name=name, alias="champion")
    for name, given in models_of(page).items():
        base = {"base": ROOT / given["--base"]} if "--base" in given else {}
        log_model(ROOT / given["checkpoint"], task=given["--task"], name=name, alias="champion", **base)


def models_of(page: Any) -> dict[str, dict[str, str]]:
    """Return what the page gives to jobs/log_model.py, by the name of the model, of all that are the tutorials' own."""
    found = {}
    for log in {each.log for each in page.TUTORIALS if each.right}:
        checkpoint, *words = shlex.split(log)
        given = {"checkpoint": checkpoint, **options(words)}
        name = given.pop("--name")
        found[name] = given
    return found


def options(words: Sequence[str]) -> dict[str, str]:
    """Return the options of a command line with their values."""
    return dict(zip(words[::2], words[1::2], strict=True))


@pytest.fixture(scope="module")
def tables(spark: SparkSession, scripts: None, data: Path) -> Iterator[None]:
    """The first rows of the source tables, in a database of their own."""
    import make_tables

    spark.sql("CREATE DATABASE tutorials")
    spark.catalog.setCurrentDatabase("tutorials")
    for name, frame in {**make_tables.quickstart(spark, data), **make_tables.tutorials(spark, data)}.items():
        few(frame).write.format("delta").saveAsTable(name)
    yield
    spark.catalog.setCurrentDatabase("default")


def few(frame: DataFrame) -> DataFrame:
    """Return a table's first rows, or some from all over it where rows have no numbers."""
    return frame.where("id <= 100") if "id" in frame.columns else frame.orderBy(F.hash(*frame.drop("content").columns)).limit(ROWS)


@pytest.fixture(scope="module")
def scored(spark: SparkSession, tables: None, models: None) -> Callable[[str], Scored]:
    """What came of a run file by its name; it is run, and run again, when a test first asks."""

    @cache
    def of(name: str) -> Scored:
        config = load_config(ROOT / "conf" / f"{name}.yaml")
        reports = run(spark, config), run(spark, config)
        rows = spark.table(str(config.target.table)).orderBy(*config.source.keys).collect()
        return Scored(*reports, [row.asDict(recursive=True) for row in rows])

    return of


def test_every_run_file_is_run_here() -> None:
    assert {path.stem for path in (ROOT / "conf").glob("*.yaml")} == set(FLOORS)


@pytest.mark.parametrize("name", FLOORS)
def test_every_row_is_scored_and_a_second_run_has_nothing_due(scored: Callable[[str], Scored], name: str) -> None:
    first, second, rows = scored(name)
    assert (first.status, first.rows["ok"], first.rows["failed"]) == ("done", len(rows), 0)
    assert (second.status, second.rows["due"], second.rows["source"]) == ("nothing_due", 0, len(rows))


@pytest.mark.parametrize("name", FLOORS)
def test_predictions_are_the_right_ones(scored: Callable[[str], Scored], name: str) -> None:
    field, right, floor = FLOORS[name]
    rows = scored(name).rows
    assert sum(row["prediction"][field].strip() == row[right] for row in rows) / len(rows) >= floor


def texts(segments: Sequence[Row]) -> list[str]:
    """Return what is said in each segment."""
    return [each["text"].strip() for each in segments]


def test_few_words_of_calls_are_wrong(scored: Callable[[str], Scored]) -> None:
    rows = scored("calls-transcripts").rows
    assert jiwer.wer([row["transcript"] for row in rows], [row["prediction"]["text"] for row in rows]) <= 0.1


def test_segments_of_calls_lie_in_order_where_the_words_are_said(scored: Callable[[str], Scored]) -> None:
    rows = scored("calls-transcripts").rows
    for segments in (row["prediction"]["segments"] for row in rows):
        times = [each[name] for each in segments for name in ("start", "end")]
        assert segments and times == sorted(times)
    right = [row for row in rows if texts(row["prediction"]["segments"]) == texts(row["groups"])]
    pairs = [pair for row in right for pair in zip(row["prediction"]["segments"], row["groups"], strict=True)]
    apart = sorted(abs(heard[name] - said[name]) for heard, said in pairs for name in ("start", "end"))
    assert len(right) >= len(rows) / 3 and apart[len(apart) // 2] <= 0.1


def test_queries_give_what_the_right_ones_give(scored: Callable[[str], Scored], scripts: None) -> None:
    from tutorials.questions import result

    rows = scored("questions-to-sql").rows
    same = [result(row["schema"], row["prediction"]["text"]) == result(row["schema"], row["sql"]) for row in rows]
    assert sum(same) / len(rows) >= 0.9


def test_options_of_a_request_hold_for_its_row_alone(scored: Callable[[str], Scored]) -> None:
    rows = scored("support-chat-openai").rows
    cut = [row for row in rows if row["max_tokens"] is not None]
    assert {row["prediction"]["response"]["usage"]["completion_tokens"] - row["max_tokens"] for row in cut} == {0}
    assert {row["prediction"]["response"]["choices"][0]["finish_reason"] for row in cut} == {"length"}
    others = [row["prediction"] for row in rows if row["max_tokens"] is None]
    assert {each["response"]["choices"][0]["finish_reason"] for each in others} == {"stop"}
    assert len({len(each["text"]) for each in others}) > 5
    assert not [row for row in rows if row["stop"] and row["stop"] in row["prediction"]["text"]]


def test_an_answer_depends_on_the_turns_before_the_question(scored: Callable[[str], Scored]) -> None:
    answers: dict[str, set[str]] = {}
    for row in scored("support-chat").rows:
        answers.setdefault(row["messages"][-1]["content"], set()).add(row["prediction"]["text"])
    assert max(map(len, answers.values())) > 1


def test_the_page_shows_rows_as_they_come_out(scored: Callable[[str], Scored], page: Any, one: Any) -> None:
    shown = (ROOT / "docs" / "tutorials.md").read_text(encoding="utf-8")
    # What docstrings there are depends on the version of Python.
    for tutorial in (each for each in page.TUTORIALS if each.right):
        rows = scored(tutorial.conf).rows[: one.SHOWN]
        right = [row for row in rows if one.is_right(tutorial, row)]
        assert [row for row in right if one.line(tutorial, row) not in shown] == []


def test_the_page_shows_rows_of_every_tutorial(page: Any, one: Any) -> None:
    results = page.results_in((ROOT / "docs" / "tutorials.md").read_text(encoding="utf-8"))
    assert {each.conf: results.get(each.conf, "").count("\n| ") for each in page.TUTORIALS} == {
        each.conf: one.SHOWN + 2 for each in page.TUTORIALS
    }


def test_the_script_logs_every_model_as_the_page_does(page: Any) -> None:
    lines = (ROOT / "scripts" / "make_tutorials").read_text(encoding="utf-8").splitlines()
    logged = [shlex.split(line)[1:] for line in lines if line.strip().startswith("log ")]
    script = {name: {"checkpoint": f".cache/models/{folder}", **options(words)} for folder, name, *words in logged}
    assert script == models_of(page)
