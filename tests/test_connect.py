"""Sessions of Spark Connect: refused at every door, and what their clients can read."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sparkcoil import testing

# A server and a client of Spark Connect; what is refused there is refused in test_session.py for any session of that kind.
pytestmark = [pytest.mark.long("clusters"), pytest.mark.usefixtures("scratch")]

DOORS = ("start_session", "run", "run_stream", "plan", "preview", "score", "scoring_udf", "register")


@pytest.fixture(scope="module")
def found(jars: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a client in another process was told, and what it read."""
    folder = tmp_path_factory.mktemp("connect")
    script = Path(__file__).with_name("doors.py")
    done = subprocess.run([sys.executable, str(script), str(folder)], cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("door", DOORS)
def test_a_door_refuses_a_session_of_spark_connect(found: dict[str, Any], door: str) -> None:
    assert found["said"][door].startswith("EnvironmentError_: expected a session on Spark's driver, found one of Spark Connect")
    assert "jobs/score.py" in found["said"][door]


def test_every_door_is_tried(found: dict[str, Any]) -> None:
    assert tuple(found["said"]) == DOORS


def test_a_client_reads_a_global_view_that_the_driver_made_with_a_function(found: dict[str, Any]) -> None:
    assert found["read"] == {str(i): testing.hash_of(str(i)) for i in range(3)}
