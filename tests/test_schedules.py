"""docs/schedules.md and its examples: each exit code is answered as the page says, and each file asks for what the job takes."""

import contextlib
import io
import json
import os
import re
import runpy
import shlex
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
import pytest
import runs
import yaml
from pyspark.sql import SparkSession

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "docs" / "examples"
PAGE = (ROOT / "docs" / "schedules.md").read_text()


@pytest.fixture
def toy(tmp_path: Path) -> Callable[..., list[str]]:
    """Make a job that ends with one exit code after the other, prints a report as its last line, and counts how often it was started."""

    def made(*codes: int) -> list[str]:
        job = tmp_path / "job.sh"
        job.write_text(
            "#!/usr/bin/env bash\n"
            f"codes=({' '.join(map(str, codes))})\n"
            f"echo x >>{tmp_path}/started\n"
            f"code=${{codes[$(wc -l <{tmp_path}/started) - 1]}}\n"
            'echo "a line before"\necho "said of $*" >&2\n'
            'echo "{\\"status\\": \\"done\\", \\"exit_code\\": $code, \\"message\\": \\"because\\"}"\nexit "$code"\n'
        )
        job.chmod(0o755)
        return [str(job)]

    return made


def started(folder: Path) -> int:
    return len((folder / "started").read_text().split())


def nightly(job: list[str], state: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the script for cron with a job of ours."""
    settings = {"SPARKCOIL_JOB": shlex.join(job), "SPARKCOIL_STATE": str(state), "SPARKCOIL_WAIT": "0"}
    script = [EXAMPLES / "score-nightly.sh", "conf/tickets.yaml", *arguments]
    return subprocess.run(script, env={**os.environ, **settings}, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("codes", "ends", "starts", "says"),
    [
        ((0,), 0, 1, ""),
        ((2,), 2, 1, "the run file is wrong"),
        ((3,), 3, 1, "refused before scoring"),
        ((4,), 4, 1, "over the error budget"),
        ((5,), 0, 1, ""),
        ((1, 137, 0), 0, 3, ""),
        ((1, 1, 1), 1, 3, "ended with 1"),
        ((1, 4), 4, 2, "over the error budget"),
    ],
)
def test_the_script_for_cron_answers_each_exit_code(
    toy: Callable[..., list[str]], tmp_path: Path, codes: tuple[int, ...], ends: int, starts: int, says: str
) -> None:
    done = nightly(toy(*codes), tmp_path / "state", "--set", "rows.max_failed=3")
    assert (done.returncode, started(tmp_path)) == (ends, starts)
    assert done.stdout == ""
    assert (says in done.stderr) if says else (done.stderr == "")
    reports = [json.loads(line) for line in (tmp_path / "state" / "tickets.reports.jsonl").read_text().splitlines()]
    assert [each["exit_code"] for each in reports] == list(codes)
    assert "said of conf/tickets.yaml --set rows.max_failed=3" in (tmp_path / "state" / "tickets.log").read_text()


def test_the_script_leaves_a_run_alone_that_is_still_at_work(toy: Callable[..., list[str]], tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    holder = subprocess.Popen(["flock", state / "tickets.lock", "sleep", "60"])
    try:
        while subprocess.run(["flock", "--nonblock", state / "tickets.lock", "true"], check=False).returncode == 0:
            pass
        done = nightly(toy(0), state)
    finally:
        holder.kill()
        holder.wait()
    assert (done.returncode, done.stderr) == (0, "")
    assert not (tmp_path / "started").exists()


def test_the_crontab_s_line_starts_the_script_with_a_run_file_that_is_there() -> None:
    [line] = [each for each in re.findall(r"```crontab\n(.*?)```", PAGE, re.DOTALL)[0].splitlines() if each.startswith("0 2 * * * ")]
    script, conf = line.split()[-2:]
    assert os.access(ROOT / script, os.X_OK)
    assert (ROOT / conf).is_file()


class FailAtOnce(Exception):
    """Stands for Airflow's AirflowFailException."""


@pytest.fixture
def dag(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The DAG's module, with stand-ins for the decorators: they note what they were told, and what they decorate is kept."""
    kept: dict[str, Any] = {"tasks": {}}

    class Kept:
        def __init__(self, function: Callable[..., Any], settings: dict[str, Any]) -> None:
            self.function, self.settings = function, settings
            kept["tasks"][function.__name__] = self

        def __call__(self, *upstream: Any) -> "Kept":
            return self

        def __rshift__(self, other: Any) -> Any:
            return other

    def task(function: Any = None, **settings: Any) -> Any:
        return Kept(function, settings) if function else lambda given: Kept(given, settings)

    task.short_circuit, task.bash = task, task  # type: ignore[attr-defined]

    def dag(**settings: Any) -> Any:
        kept["settings"] = settings
        return lambda function: function

    sdk, exceptions = types.ModuleType("airflow.sdk"), types.ModuleType("airflow.exceptions")
    sdk.dag, sdk.task = dag, task  # type: ignore[attr-defined]
    exceptions.AirflowFailException = FailAtOnce  # type: ignore[attr-defined]
    for name, module in {"airflow": types.ModuleType("airflow"), "airflow.sdk": sdk, "airflow.exceptions": exceptions}.items():
        monkeypatch.setitem(sys.modules, name, module)
    return {**runpy.run_path(str(EXAMPLES / "airflow_dag.py")), **kept}


def test_the_dag_fails_at_once_where_trying_again_would_not_help(
    dag: dict[str, Any], toy: Callable[..., list[str]], tmp_path: Path
) -> None:
    assert dag["report_of"](toy(0), cwd=str(tmp_path)) == {"status": "done", "exit_code": 0, "message": "because"}
    for code, kind in {
        1: subprocess.CalledProcessError,
        2: FailAtOnce,
        3: FailAtOnce,
        4: FailAtOnce,
        5: subprocess.CalledProcessError,
    }.items():
        (tmp_path / "started").unlink()
        with pytest.raises(kind, match=str(code)):
            dag["report_of"](toy(code), cwd=str(tmp_path))


def test_the_dag_tries_again_runs_one_at_a_time_and_skips_dbt_where_nothing_was_due(dag: dict[str, Any]) -> None:
    assert dag["settings"]["max_active_runs"] == 1
    assert dag["tasks"]["score"].settings["retries"] == 3
    assert dag["tasks"]["is_new"].function({"status": "done"})
    assert not dag["tasks"]["is_new"].function({"status": "nothing_due"})
    assert dag["tasks"]["build"].function() in PAGE


def test_the_dag_s_command_is_the_job_s(dag: dict[str, Any]) -> None:
    assert (ROOT / "jobs" / "score.py").is_file()
    assert (ROOT / dag["CONF"]).is_file()
    assert (ROOT / dag["SUBMIT"][-1]).is_file()


def test_the_dag_s_function_is_the_page_s() -> None:
    shown = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0]
    assert shown in (EXAMPLES / "airflow_dag.py").read_text()


@pytest.fixture(scope="module")
def bundle() -> dict[str, Any]:
    return dict(yaml.safe_load((EXAMPLES / "databricks.yml").read_text()))


def test_the_bundle_s_files_and_clusters_are_there(bundle: dict[str, Any]) -> None:
    [job] = bundle["resources"]["jobs"].values()
    score, build = job["tasks"]
    assert (EXAMPLES / score["spark_python_task"]["python_file"]).is_file()
    assert (EXAMPLES / build["dbt_task"]["project_directory"] / "dbt_project.yml").is_file()
    assert (EXAMPLES / bundle["artifacts"]["sparkcoil"]["path"] / "setup.py").is_file()
    assert {each["job_cluster_key"] for each in job["tasks"]} == {each["job_cluster_key"] for each in job["job_clusters"]}
    assert job["max_concurrent_runs"] == 1
    used = set(re.findall(r"\$\{var\.(\w+)\}", (EXAMPLES / "databricks.yml").read_text()))
    assert used == set(bundle["variables"])
    assert f"bundle run -t {next(iter(bundle['targets']))} {next(iter(bundle['resources']['jobs']))}" in PAGE


@pytest.fixture(scope="module")
def report(spark: SparkSession, text_model: str, bundle: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the bundle's task prints at last, over a small table, with its own parameters but for where things are."""
    folder = tmp_path_factory.mktemp("volume")
    [job] = bundle["resources"]["jobs"].values()
    conf, target = job["tasks"][0]["spark_python_task"]["parameters"]
    runs.make_table(spark, "scheduled", [("m", "q", "parse a message"), ("m", "r", None)], "module STRING, qualname STRING, body STRING")
    keyed = {"table": "scheduled", "keys": ["module", "qualname"], "columns": {"text": "body"}}
    config = runs.text_run(text_model, "scheduled", "elsewhere", source=keyed, rows={"max_failed_share": 1})
    (folder / Path(conf).name).write_text(config.model_dump_json())
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patched, contextlib.redirect_stdout(printed):
        patched.setattr(sys, "argv", ["databricks_score.py", str(folder / Path(conf).name), f"{target.split('=')[0]}=scheduled_scored"])
        runpy.run_path(str(EXAMPLES / "databricks_score.py"), run_name="__main__")
    return dict(json.loads(printed.getvalue().strip().splitlines()[-1]))


def test_the_bundle_s_task_scores_with_its_parameters_and_leaves_the_session_as_it_was(spark: SparkSession, report: dict[str, Any]) -> None:
    assert (report["status"], report["rows"]["ok"], report["rows"]["failed"]) == ("done", 1, 1)
    assert spark.table("scheduled_scored").count() == 2


def test_dbt_s_model_is_the_page_s_and_builds_on_a_prediction_table(spark: SparkSession, report: dict[str, Any]) -> None:
    sources = yaml.safe_load((EXAMPLES / "dbt" / "models" / "scoring.yml").read_text())
    model = (EXAMPLES / "dbt" / "models" / "docstring_topics.sql").read_text()
    assert f"```sql\n{model}```" in PAGE
    known = {(each["name"], table["name"]) for each in sources["sources"] for table in each["tables"]}
    assert known == set(re.findall(r"source\('(\w+)', '(\w+)'\)", model))
    [row] = spark.sql(jinja2.Template(model).render(source=lambda schema, table: "scheduled_scored")).collect()
    assert (row.qualname, bool(row.topic)) == ("q", True)
