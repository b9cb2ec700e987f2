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

import stores  # noqa: E402
import suite  # noqa: E402
from suite import pytest_addoption, pytest_collection_modifyitems  # noqa: E402, F401

FETCH_JARS = "from sparkcoil import start_session; start_session().stop()"
# As few tasks as will do, expressions interpreted in place of being compiled, plans neither adapted nor shown in full, and no statistics of
# files: each costs more than the few rows that are in it. Jobs in processes of their own have Spark's own settings.
SETTINGS = {
    "spark.master": "local[2]",
    "spark.sql.shuffle.partitions": "1",
    "spark.databricks.delta.snapshotPartitions": "1",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.ui.explainMode": "simple",
    "spark.databricks.delta.stats.collect": "false",
    # It lives for minutes: the second compiler, which scripts/test turns off, is worth its time here.
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=4",
}


def pytest_configure(config: pytest.Config) -> None:
    """Make warnings that our own code causes into errors."""
    suite.pytest_configure(config)
    config.addinivalue_line("filterwarnings", "error:::sparkcoil")
    # A process of pytest-xdist has no main file, by which pyspark.sql.connect tells that doctests are running, and ends it.
    main = sys.modules["__main__"]
    main.__file__ = getattr(main, "__file__", pytest.__file__)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A temporary folder for the processes that a module starts: a killed one leaves its files, and MLflow an archive of each model."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TMPDIR", str(tmp_path_factory.mktemp("scratch")))
        yield


@pytest.fixture(scope="session")
def alone() -> FileLock:
    """A lock for what only one of several processes of tests may do at a time."""
    (ROOT / ".cache").mkdir(exist_ok=True)
    return FileLock(ROOT / ".cache" / "tests.lock")


@pytest.fixture(scope="session")
def examples(alone: FileLock) -> Path:
    """A folder with the example data, and models of the examples' shapes that are hardly trained; kept until what makes them changes."""
    import tiny_examples

    with alone:
        return tiny_examples.kept()


@pytest.fixture(scope="session")
def trained(alone: FileLock) -> Path:
    """The folder with the example data and the models that the quickstart trains, which takes minutes; kept likewise."""
    with alone:
        subprocess.run([ROOT / "scripts" / "make_examples"], check=True, cwd=ROOT)
    return ROOT / ".cache"


@pytest.fixture(scope="session")
def jars(alone: FileLock) -> None:
    """Delta's jars on this disk, which the first session fetches."""
    from sparkcoil import session

    with alone:
        if "spark.jars" not in session.delta_jars(session.delta_folder()):
            subprocess.run([sys.executable, "-c", FETCH_JARS], check=True, cwd=ROOT)


@pytest.fixture(scope="session")
def home(jars: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for this session's MLflow store and warehouse, which jobs started by tests share."""
    folder = tmp_path_factory.mktemp("home")
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    stores.open_store(folder)
    return folder


@pytest.fixture(scope="session")
def spark(home: Path) -> Iterator["SparkSession"]:  # noqa: F821
    """A local session on two cores."""
    from sparkcoil import start_session

    session = start_session({**SETTINGS, "spark.sql.warehouse.dir": str(home / "warehouse")}, name="tests")
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
    """The URI of a docstring classifier, by its alias."""
    from sparkcoil import log_model

    log_model(examples / "models" / "docstring_topic", task="text-classification", name="docstring_topic", alias="champion")
    return "models:/docstring_topic@champion"


@pytest.fixture(scope="session")
def audio_model(examples: Path, home: Path) -> str:
    """The URI of a keypad model, by its alias."""
    from sparkcoil import log_model

    log_model(examples / "models" / "keypad", task="automatic-speech-recognition", name="keypad", alias="champion")
    return "models:/keypad@champion"
