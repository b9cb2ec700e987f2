"""An Airflow DAG: score what is due every night, then let dbt build what depends on the predictions.

The report of a run is the task's XCom. What a person has to mend (exit codes 2, 3 and 4) fails at once; anything else is tried again,
and goes on where it stopped.
"""

import json
import subprocess
from datetime import datetime, timedelta
from typing import Any

from airflow.exceptions import AirflowFailException
from airflow.sdk import dag, task  # Airflow 2: from airflow.decorators import dag, task

CHECKOUT = "/opt/sparkcoil"
CONF = "conf/docstrings-topic.yaml"
SUBMIT = ["spark-submit", "--master", "spark://master.example:7077", "--properties-file", "conf/spark-defaults.conf"]


def report_of(command: list[str], cwd: str = CHECKOUT) -> dict[str, Any]:
    """Return the report of a job; raises AirflowFailException where trying again would not help."""
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, text=True, check=False)
    lines = done.stdout.strip().splitlines()
    report: dict[str, Any] = json.loads(lines[-1]) if lines else {}
    if done.returncode in (2, 3, 4):
        raise AirflowFailException(f"exit code {done.returncode}: {report.get('exceeded') or report.get('message')}")
    done.check_returncode()
    return report


@dag(schedule="0 2 * * *", start_date=datetime(2026, 1, 1), catchup=False, max_active_runs=1)
def docstrings_topic() -> None:
    """Score, then dbt."""

    @task(retries=3, retry_delay=timedelta(minutes=2))
    def score() -> dict[str, Any]:
        return report_of([*SUBMIT, "jobs/score.py", CONF])

    @task.short_circuit
    def is_new(report: dict[str, Any]) -> bool:
        return bool(report["status"] == "done")

    @task.bash(cwd="/opt/dbt")
    def build() -> str:
        return "dbt build --select source:scoring+"

    is_new(score()) >> build()


docstrings_topic()
