"""Images of a table scored on Spark, and their thumbnails in a report that asks for them."""

import base64
import io
import re
from pathlib import Path

import pytest
import tiny_vision
from PIL import Image
from pyspark.sql import SparkSession
from runs import make_table, text_run

from sparkcoil import RunReport, log_model, make_report, run
from sparkcoil.config import RunConfig
from sparkcoil.errors import ConfigError

DRAWN = [tiny_vision.drawn(40 + 30 * i, 300, i) for i in range(6)]
BAD = b"<svg xmlns='http://www.w3.org/2000/svg'/>"


@pytest.fixture(scope="module")
def config(spark: SparkSession, home: Path, tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    """A run over six images in a table and one that cannot be decoded."""
    folder = tmp_path_factory.mktemp("seen")
    model = log_model(tiny_vision.tiny_classifier(folder, "vit") / "model", task="image-classification")
    rows = [(i, tiny_vision.png(each)) for i, each in enumerate(DRAWN)]
    make_table(spark, "looked_at", [*rows, (6, BAD)], "id BIGINT, body BINARY")
    sections = {"source": {"table": "looked_at", "keys": ["id"], "columns": {"image": "body"}}, "rows": {"max_failed_share": 0.5}}
    return text_run(model.uri, "looked_at", "looked_at_scored", task="image-classification", **sections)


@pytest.fixture(scope="module")
def report(spark: SparkSession, config: RunConfig) -> RunReport:
    """What the run reported; tests only read it and its target."""
    return run(spark, config)


def test_an_image_that_cannot_be_decoded_fails_alone(spark: SparkSession, report: RunReport) -> None:
    assert (report.rows["ok"], report.rows["failed"]) == (6, 1)
    failed = spark.table("looked_at_scored").where("status = 'failed'").select("id", "error.stage", "error.code").collect()
    assert [tuple(row) for row in failed] == [(6, "input", "unsupported_image")]


def test_the_report_shows_images_only_where_they_are_asked_for(spark: SparkSession, config: RunConfig, report: RunReport) -> None:
    shown = [
        re.findall(r'src="data:image/png;base64,([^"]*)"[^>]*>([^<]*)', make_report(spark, config, images=each).html) for each in (0, 4, 9)
    ]
    assert list(map(len, shown)) == [0, 4, 6]
    said = {row["label"] for row in spark.table("looked_at_scored").select("prediction.label").collect()}
    for content, caption in shown[2]:
        thumbnail = Image.open(io.BytesIO(base64.b64decode(content)))
        assert max(thumbnail.size) == 128 and caption.split()[0] in said


def test_the_report_says_so_where_no_image_can_be_read(spark: SparkSession, config: RunConfig, report: RunReport) -> None:
    blind = config.model_copy(update={"source": config.source.model_copy(update={"columns": {"image": "'/nowhere/a.png'"}})})
    found = make_report(spark, blind, images=3).html
    assert "none of those that were scored can be read now" in found and "<img" not in found
    assert "some of the images" not in make_report(spark, blind).html


def test_a_run_without_images_is_refused(spark: SparkSession, report: RunReport) -> None:
    with pytest.raises(ConfigError, match=r"given no image by source\.columns"):
        make_report(spark, text_run("-", "looked_at", "looked_at_scored"), images=3)
