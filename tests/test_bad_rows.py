"""Recordings of which some are bad, each in its own way: as many failed rows with the right codes, the others as without them."""

from pathlib import Path

from bad_media import BAD_AUDIO
from pyspark.sql import SparkSession
from runs import make_table, text_run

from sparkcoil import run

GOOD = 190
# As a cell it is read like any other base64.
KINDS = {name: each for name, each in BAD_AUDIO.items() if name != "base64_of_a_wav"}


def test_each_kind_of_bad_recording_costs_its_row_alone(spark: SparkSession, audio_model: str, examples: Path) -> None:
    files = sorted((examples / "keypad" / "recordings").iterdir())
    good = [(i, files[i % len(files)].read_bytes()) for i in range(GOOD)]
    assert len(KINDS) >= 33
    bad = [(GOOD + i, *kind) for i, kind in enumerate([(None, "null_input"), *((build(), code) for build, code in KINDS.values())])]
    source = {"keys": ["id"], "columns": {"audio": "content"}}
    for name, rows in {"clean": good, "mixed": [*good, *((key, cell) for key, cell, _ in bad)]}.items():
        make_table(spark, name, rows, "id BIGINT, content BINARY").unpersist()
        model = {"uri": audio_model, "options": {"max_seconds": 3600.0}}
        config = text_run("-", name, f"{name}_scored", model=model, source={"table": name, **source}, rows={"max_failed_share": 0.3})
        report = run(spark, config)
    assert (report.rows["ok"], report.rows["failed"]) == (GOOD, len(bad))
    scored = spark.table("mixed_scored")
    assert scored.count() == scored.select("id").distinct().count() == GOOD + len(bad)
    failed = {row["id"]: (row["error"]["stage"], row["error"]["code"]) for row in scored.where("status = 'failed'").collect()}
    assert failed == {key: ("input", code) for key, _, code in bad}
    outcome = ["id", "prediction", "warnings"]
    clean, mixed = (spark.table(f"{name}_scored").where("status = 'ok'").select(outcome) for name in ("clean", "mixed"))
    assert clean.exceptAll(mixed).count() == mixed.exceptAll(clean).count() == 0
