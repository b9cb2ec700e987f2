"""The page of a run: made by the run itself, made again from the target alone, and looked at in a browser."""

import html
import json
import logging
import re
import shutil
import subprocess
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jobs
import mlflow
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType
from runs import make_table, text_run

from sparkcoil import RunReport, make_report, page, run, tracking
from sparkcoil.errors import BudgetExceeded, RefusedError
from sparkcoil.figures import Part
from sparkcoil.page import Page
from sparkcoil.sink import Target

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CANARY = "canary-9b1f"
tracked = partial(text_run, tracking="mlflow")
Runs = tuple[RunReport, RunReport]
Pages = tuple[Page, Page]


def texts(count: int, topic: str) -> list[tuple[str, str | None]]:
    """Return rows whose first has no text, and whose second has one that is cut."""
    return [("key-0-secret", None), ("key-1", "socket " * 3000), *((f"key-{i}", f"{topic} number {i} {CANARY}") for i in range(2, count))]


@pytest.fixture(scope="module")
def runs(spark: SparkSession, text_model: str) -> Runs:
    """Two runs into one target, the second of two chunks; tests only read it."""
    sections: dict[str, Any] = {
        "name": "tickets <script>alert(1)</script>",
        "rows": {"max_failed_share": 0.5},
        "cost": {"per_hour": 3.6},
    }
    make_table(spark, "paged", texts(30, "Return the socket"), "id STRING, body STRING")
    first = run(spark, tracked(text_model, "paged", "paged_scored", **sections))
    make_table(spark, "paged", texts(40, "Parse the XML document"), "id STRING, body STRING")
    return first, run(spark, tracked(text_model, "paged", "paged_scored", **sections, batching={"chunk_rows": 20}))


def logged(report: RunReport) -> Any:
    """Return the MLflow run of a report."""
    return mlflow.search_runs(filter_string=f"tags.`sparkcoil.run_id` = '{report.run_id}'", output_format="list")[0]


@pytest.fixture(scope="module")
def pages(spark: SparkSession, text_model: str, runs: Runs) -> Pages:
    """The page of each run, made again from the target."""
    config = text_run(text_model, "paged", "paged_scored", cost={"per_hour": 3.6})
    return make_report(spark, config, runs[0].run_id), make_report(spark, config)


def test_a_run_logs_its_page_its_metrics_over_time_and_what_it_made(runs: Runs) -> None:
    found = logged(runs[1])
    assert runs[1].run_id in mlflow.artifacts.load_text(f"{found.info.artifact_uri}/report.html")
    history = mlflow.MlflowClient().get_metric_history(found.info.run_id, "chunk.rows_per_second")
    assert [each.step for each in history] == [0, 1]
    assert found.data.metrics["chunk.units_per_second"] > 0 and found.data.metrics["chunk.failed_share"] == 0
    made = {tag.value: each.dataset for each in found.inputs.dataset_inputs for tag in each.tags if tag.key == "mlflow.data.context"}
    version = json.loads(made["predictions"].source)["delta_table_version"]
    assert (made["predictions"].name, version) == ("paged_scored", runs[1].target["version"])


def test_the_page_made_again_is_the_one_that_was_logged(runs: Runs, pages: Pages) -> None:
    for report, made in zip(runs, pages, strict=True):
        assert made.run_id == report.run_id
        assert made.html == mlflow.artifacts.load_text(f"{logged(report).info.artifact_uri}/report.html")


def test_the_page_says_what_the_run_did(runs: Runs, pages: Pages) -> None:
    said = " ".join(re.sub(r"<[^>]*>", " ", pages[0].html).split())
    assert "Done: 30 rows published, of 30 due." in said
    assert "ok 29 failed 1 failed share 3.33%" in said and "cut inputs 1" in said and "cost per 1,000 rows" in said
    assert "input null_input 1 id=k…t" in said
    assert "paged at version 0" in said and "models:/docstring_topic/1" in said and "paged_scored at version 1" in said
    for chart in ("throughput", "where the time went", "what workers did", "length of inputs", "labels", "scores"):
        assert f"<h2>{chart}</h2>" in pages[0].html
    assert "Distance to the run before" not in said
    again = " ".join(re.sub(r"<[^>]*>", " ", pages[1].html).split())
    assert f"run before {runs[0].run_id}, to version 1" in again and again.count("Distance to the run before") == 2
    assert "2 commits" in again and "paged_scored at version 2 to 3" in again


def test_the_page_needs_no_network_and_holds_no_row(pages: Pages) -> None:
    for made in pages:
        assert not re.findall(r"(?:src|href|url|@import|action)\s*[=(]?\s*[\"']?(?:https?:)?//", made.html)
        assert set(re.findall(r' href="(.)', made.html)) <= {"#"}
        assert CANARY not in made.html and "key-" not in made.html and "secret" not in made.html
        assert "<script" not in made.html and "tickets &lt;script&gt;" in made.html


def test_the_notes_in_commits_are_small_and_hold_no_key_and_no_row(spark: SparkSession, runs: Runs) -> None:
    notes = [each["userMetadata"] for each in spark.sql("DESCRIBE HISTORY paged_scored").collect() if each["userMetadata"]]
    assert len(notes) == 3
    assert all(len(note) < 4_096 and "key-" not in note and CANARY not in note for note in notes)


def test_an_unknown_run_is_refused_with_the_nearest(spark: SparkSession, text_model: str, runs: Runs) -> None:
    known = runs[0].run_id
    with pytest.raises(RefusedError, match=f"no run '{known[:-1]}' in its history of 2; the nearest: {known}, {runs[1].run_id}"):
        make_report(spark, text_run(text_model, "paged", "paged_scored"), known[:-1])
    with pytest.raises(RefusedError, match="target: never_scored: expected a prediction table, found none"):
        make_report(spark, text_run(text_model, "paged", "never_scored"))


def test_where_its_version_is_gone_rows_are_counted_as_they_are_now(spark: SparkSession, text_model: str, runs: Runs) -> None:
    target = Target("paged_scored", None, ("id",), (), StructType(), "")
    lost = Part(runs[1].run_id, 99, 0.0, 40, None)
    found = page.told(spark, text_run(text_model, "paged", "paged_scored"), target, [lost], None)
    assert found.rows_at == runs[1].target["version"]
    assert {each.value: each.rows for each in found.counts if each.what == "status"} == {"ok": 38}


def test_an_old_run_whose_commits_have_no_figures_has_a_page_too(spark: SparkSession, text_model: str, runs: Runs) -> None:
    note = json.dumps({"sparkcoil": {"run_id": runs[0].run_id, "mark": None}})
    rows = spark.table("paged_scored").where(F.col("run_id") == runs[1].run_id).withColumn("run_id", F.lit(runs[0].run_id))
    rows.write.format("delta").mode("overwrite").option("userMetadata", note).saveAsTable("paged_old")
    said = make_report(spark, text_run(text_model, "paged", "paged_old")).html
    assert "38 rows published. Its commits hold no figures" in said and "<h2>labels</h2>" in said


def test_past_the_error_budget_the_page_has_what_was_not_published(spark: SparkSession, text_model: str) -> None:
    make_table(spark, "paged_poor", texts(4, "text"), "id STRING, body STRING")
    with pytest.raises(BudgetExceeded) as caught:
        run(spark, tracked(text_model, "paged_poor", "paged_poor_scored"))
    said = mlflow.artifacts.load_text(f"{logged(caught.value.report).info.artifact_uri}/report.html")
    assert "Ended over its limits: rows.max_failed_share: 1 of 4 due rows failed" in said and "4 scored and not published" in said
    assert ">1, not published</td>" in said and "id=k…t" in said and "key-" not in said


def test_a_page_that_cannot_be_made_is_a_warning(
    spark: SparkSession, text_model: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    make_table(spark, "paged_broken", [(1, CANARY)])

    def broken(*_: object) -> None:
        raise ValueError(CANARY)

    monkeypatch.setattr(page, "of_ended", broken)
    with caplog.at_level(logging.WARNING, logger=tracking.log.name):
        report = run(spark, tracked(text_model, "paged_broken", "paged_broken_scored"))
    assert report.exit_code == 0 and logged(report).data.metrics["rows.ok"] == 1
    assert "the page of the run was not made: ValueError" in caplog.text and CANARY not in caplog.text
    monkeypatch.setattr(page, "of_ended", broken)
    assert run(spark, tracked(text_model, "paged_broken", "paged_broken_scored")).status == "nothing_due"


def test_the_job_writes_the_page_and_says_where(spark: SparkSession, runs: Runs, home: Path, tmp_path: Path) -> None:
    conf = tmp_path / "run.yaml"
    sections = {
        "name": "again",
        "model": {"uri": "models:/no_such_model@gone"},  # nothing is asked of MLflow
        "source": {"table": "paged", "keys": ["id"], "columns": {"text": "body"}},
        "target": {"path": str(home / "warehouse" / "paged_scored")},
    }
    conf.write_text(json.dumps(sections))
    ended = jobs.here("report", conf, "--run", runs[0].run_id, "--out", "out.html", cwd=tmp_path)
    assert ended.code == 0, ended.said[-3000:]
    assert ended.report == {"report": "out.html", "run_id": runs[0].run_id, "exit_code": 0}
    assert "Done: 30 rows published" in (tmp_path / "out.html").read_text()


# What a browser makes of the page in a frame as wide as a phone: does it fit, how large is each text, and what contrast does it have?
LOOK = """
const frame = document.querySelector('iframe');
frame.onload = () => {
  const page = frame.contentDocument, view = frame.contentWindow;
  const rgb = (colour) => colour.match(/[\\d.]+/g).slice(0, 3).map((each) => each / 255);
  const light = (colour) => rgb(colour)
    .map((each) => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4)
    .reduce((sum, each, i) => sum + each * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = view.getComputedStyle(at).backgroundColor;
      if (colour !== 'rgba(0, 0, 0, 0)') return colour;
    }
  };
  const said = [...page.querySelectorAll('h1, h2, p, dt, dd, th, td, svg text')].filter((each) => each.textContent.trim());
  const texts = said.map((each) => {
    const style = view.getComputedStyle(each), drawn = each.ownerSVGElement;
    const scale = drawn ? drawn.getBoundingClientRect().width / drawn.viewBox.baseVal.width : 1;
    const [one, two] = [light(drawn ? style.fill : style.color), light(behind(each))].sort((a, b) => b - a);
    return {text: each.textContent.trim().slice(0, 30), pixels: parseFloat(style.fontSize) * scale, contrast: (one + 0.05) / (two + 0.05)};
  });
  const outside = [...page.querySelectorAll('svg text')].filter((each) => {
    const box = each.getBoundingClientRect(), around = each.ownerSVGElement.getBoundingClientRect();
    return box.left < around.left - 1 || box.right > around.right + 1;
  }).map((each) => each.textContent.trim());
  const root = page.documentElement;
  const found = {width: root.scrollWidth, svgs: page.querySelectorAll('svg').length, paper: light(behind(page.body)), texts, outside};
  document.body.textContent = 'FOUND' + JSON.stringify(found) + 'END';
};
"""


def looked_at(made: Page, folder: Path, *, width: int, dark: bool) -> dict[str, Any]:
    """Return what a browser says of the page."""
    frame = f'<iframe srcdoc="{html.escape(made.html)}" style="width: {width}px; height: 800px; border: 0"></iframe>'
    (folder / "frame.html").write_text(f"<meta charset=utf-8><body>{frame}<script>{LOOK}</script>", encoding="utf-8")
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=5000", scheme]
    command = [str(CHROMIUM), *options, "--dump-dom", (folder / "frame.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    found = re.search("FOUND(.*)END", html.unescape(done.stdout), re.DOTALL)
    assert found, done.stdout[-2000:]
    return dict(json.loads(found[1]))


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
@pytest.mark.parametrize(("width", "dark"), [(360, False), (360, True), (1100, False)])
def test_in_a_browser_it_fits_and_can_be_read(pages: Pages, tmp_path: Path, width: int, dark: bool) -> None:
    found = looked_at(pages[1], tmp_path, width=width, dark=dark)
    texts: Sequence[dict[str, Any]] = found["texts"]
    assert found["width"] <= width and found["svgs"] >= 6 and len(texts) > 80
    assert (found["paper"] < 0.1) == dark
    assert [each for each in texts if each["pixels"] < 10] == []
    assert [each for each in texts if each["contrast"] < 4.5] == []
    assert found["outside"] == []
