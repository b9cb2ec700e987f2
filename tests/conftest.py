"""What tests share: one Spark session, one MLflow store in a temporary folder, and the two example models logged in it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

# Files that take minutes come first, longest first: none of the processes should be left alone with one at the end.
LONG = (
    *("test_tutorials", "test_ways", "test_notebooks", "test_getting_started", "test_task_contract", "test_clusters", "test_cluster"),
    *("test_cli", "test_crashes", "test_chaos", "test_readme", "test_moving", "test_monitor", "test_page"),
)

FETCH_JARS = """
from sparkcoil import session
if "spark.jars" not in session.delta_jars(session.delta_folder()):
    session.start_session().stop()
"""


def pytest_configure(config: pytest.Config) -> None:
    """Make warnings that our own code causes into errors."""
    config.addinivalue_line("filterwarnings", "error:::sparkcoil")
    # A process of pytest-xdist has no main file, by which pyspark.sql.connect tells that doctests are running, and ends it.
    main = sys.modules["__main__"]
    main.__file__ = getattr(main, "__file__", pytest.__file__)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take long in front of the others, which stay in their order."""
    places = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path.stem, len(LONG)))


@pytest.fixture(scope="session")
def alone() -> FileLock:
    """A lock for what only one of several processes of tests may do at a time."""
    (ROOT / ".cache").mkdir(exist_ok=True)
    return FileLock(ROOT / ".cache" / "tests.lock")


@pytest.fixture(scope="session")
def examples(alone: FileLock) -> Path:
    """The folder with the example data and models, made once and kept until the scripts that make them change."""
    with alone:
        subprocess.run([ROOT / "scripts" / "make_examples"], check=True, cwd=ROOT)
    return ROOT / ".cache"


@pytest.fixture(scope="session")
def jars(alone: FileLock) -> None:
    """Delta's jars on this disk, which the first session fetches."""
    with alone:
        subprocess.run([sys.executable, "-c", FETCH_JARS], check=True, cwd=ROOT)


@pytest.fixture(scope="session")
def home(jars: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for this session's MLflow store and warehouse, which jobs started by tests share."""
    folder = tmp_path_factory.mktemp("home")
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    import mlflow

    mlflow.set_experiment(experiment_id=mlflow.create_experiment("tests", artifact_location=f"file://{folder}/artifacts"))
    os.environ["MLFLOW_EXPERIMENT_NAME"] = "tests"
    return folder


@pytest.fixture(scope="session")
def spark(home: Path) -> Iterator["SparkSession"]:  # noqa: F821
    """A local session on two cores."""
    from sparkcoil import start_session

    session = start_session({"spark.master": "local[2]", "spark.sql.warehouse.dir": str(home / "warehouse")}, name="tests")
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


@pytest.fixture
def server() -> Iterator["Server"]:  # noqa: F821
    """A server on loopback that nothing may call."""
    import canary

    with canary.listening() as found:
        yield found


@pytest.fixture(scope="session")
def text_model(examples: Path, home: Path) -> str:
    """The URI of the trained docstring classifier, by its alias."""
    from sparkcoil import log_model

    log_model(examples / "models" / "docstring_topic", task="text-classification", name="docstring_topic", alias="champion")
    return "models:/docstring_topic@champion"


@pytest.fixture(scope="session")
def audio_model(examples: Path, home: Path) -> str:
    """The URI of the trained keypad model, by its alias."""
    from sparkcoil import log_model

    log_model(examples / "models" / "keypad", task="automatic-speech-recognition", name="keypad", alias="champion")
    return "models:/keypad@champion"
