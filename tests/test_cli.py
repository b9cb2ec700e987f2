"""The scoring job as a process: its exit codes, and the JSON on its last line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jobs
import pytest
from pyspark.sql import SparkSession
from runs import make_table

from sparkcoil import ending


def write_conf(folder: Path, **changes: object) -> Path:
    file = folder / "run.yaml"
    sections = {
        "name": "cli",
        "model": {"uri": "models:/docstring_topic@champion"},
        "source": {"path": str(folder / "in"), "keys": ["id"], "columns": {"text": "body"}},
        "target": {"path": str(folder / "out")},
        **changes,
    }
    file.write_text(json.dumps(sections))
    return file


def test_a_wrong_run_file_exits_2_with_every_problem_and_starts_no_spark(tmp_path: Path) -> None:
    conf = write_conf(tmp_path, modl={}, task="text-clasification", rows={"max_failed_share": "lots"})
    ended = jobs.score(conf, "--set", "source.kyes=[x]", cwd=tmp_path, JAVA_HOME="/no/java")
    assert (ended.code, ended.report["exit_code"], ended.report["error"]) == (2, 2, "ConfigError")
    for sentence in (
        "modl: unknown key; did you mean 'model'?",
        "task: unknown task, found 'text-clasification'; did you mean 'text-classification'?",
        "rows.max_failed_share: expected a number from 0 to 1, found 'lots'",
        "source.kyes: unknown key; did you mean 'keys'?",
    ):
        assert sentence in ended.report["message"]
        assert sentence in ended.said


@pytest.mark.parametrize(("argument", "said"), [("--version", "sparkcoil 0.1.0"), ("-h", "Usage: sparkcoil "), ("--help", "log-model")])
def test_the_console_command_says_its_version_and_how_it_is_used(argument: str, said: str) -> None:
    code = "from sparkcoil.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, argument], capture_output=True, text=True, check=True)
    assert said in done.stdout.replace("-c ", "sparkcoil ")


def test_an_unexpected_exception_is_told_on_stderr_alone(capfd: pytest.CaptureFixture[str]) -> None:
    def verb() -> str:
        raise ValueError("canary-9b1f")

    with pytest.raises(SystemExit) as ended:
        ending.finish(verb)
    said = capfd.readouterr()
    assert (ended.value.code, json.loads(said.out)) == (1, {"exit_code": 1, "error": "ValueError", "message": "see stderr"})
    assert "canary-9b1f" in said.err


def test_a_verb_waits_for_mlflow_no_longer_than_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "7")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_TIMEOUT", raising=False)
    with pytest.raises(SystemExit):
        ending.finish(lambda: "{}")
    assert (os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"], os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"]) == ("7", "20")


def test_a_missing_source_exits_3(spark: SparkSession, text_model: str, tmp_path: Path) -> None:
    ended = jobs.here("score", write_conf(tmp_path), cwd=tmp_path)
    assert (ended.code, ended.report["error"]) == (3, "SourceError")
    assert not (tmp_path / "out").exists()


def test_past_the_error_budget_it_exits_4_with_the_report(spark: SparkSession, text_model: str, tmp_path: Path) -> None:
    frame = make_table(spark, "cli_source", [(1, None), (2, "canary-9b1f")])
    frame.write.format("delta").save(str(tmp_path / "in"))
    ended = jobs.here("score", write_conf(tmp_path), cwd=tmp_path)
    assert (ended.code, ended.report["status"], ended.report["rows"]["unpublished"]) == (4, "budget_exceeded", 2)
    assert ended.report["failures"][0]["code"] == "null_input"
    assert "canary-9b1f" not in ended.said + json.dumps(ended.report)


def test_a_gpu_that_is_not_there_exits_3(spark: SparkSession, text_model: str, tmp_path: Path) -> None:
    make_table(spark, "cli_source", [(2, "text")]).write.format("delta").save(str(tmp_path / "in"))
    ended = jobs.here("score", write_conf(tmp_path), "--set", "model.device=cuda", cwd=tmp_path)
    assert (ended.code, ended.report["error"]) == (3, "EnvironmentError_")
    assert "refused by the executor on" in ended.report["message"]


def test_a_job_leaves_a_session_that_it_did_not_start(spark: SparkSession, tmp_path: Path) -> None:
    jobs.here("sql", "SELECT 1 AS one", cwd=tmp_path)
    assert spark.range(3).count() == 3
