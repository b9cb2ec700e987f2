"""A thousand recordings, fifty of them bad in ten ways: fifty failed rows with the right codes, the others as without them."""

from pathlib import Path

from bad_media import BAD_AUDIO
from pyspark.sql import SparkSession
from runs import make_table, text_run

from sparkcoil import run

GOOD, REPEATS = 950, 5


def test_fifty_bad_recordings_cost_fifty_rows(spark: SparkSession, audio_model: str, examples: Path) -> None:
    files = sorted((examples / "keypad" / "recordings").iterdir())
    good = [(i, files[i % len(files)].read_bytes()) for i in range(GOOD)]
    assert len(BAD_AUDIO) >= 33
    kinds = [(None, "null_input"), *((build(), code) for build, code in list(BAD_AUDIO.values())[::4][:9])]
    bad = [(GOOD + i, *kinds[i % 10]) for i in range(10 * REPEATS)]
    source = {"keys": ["id"], "columns": {"audio": "content"}}
    for name, rows in {"clean": good, "mixed": [*good, *((key, cell) for key, cell, _ in bad)]}.items():
        make_table(spark, name, rows, "id BIGINT, content BINARY").unpersist()
        config = text_run(audio_model, name, f"{name}_scored", source={"table": name, **source}, rows={"max_failed_share": 0.06})
        report = run(spark, config)
    assert (report.rows["ok"], report.rows["failed"]) == (950, 50)
    scored = spark.table("mixed_scored")
    assert scored.count() == scored.select("id").distinct().count() == 1000
    failed = {row["id"]: (row["error"]["stage"], row["error"]["code"]) for row in scored.where("status = 'failed'").collect()}
    assert failed == {key: ("input", code) for key, _, code in bad}
    outcome = ["id", "prediction", "warnings"]
    clean, mixed = (spark.table(f"{name}_scored").where("status = 'ok'").select(outcome) for name in ("clean", "mixed"))
    assert clean.exceptAll(mixed).count() == mixed.exceptAll(clean).count() == 0
