"""docs/clusters.md: its options are spark-submit's, its settings Spark's, and what it says of files was seen on a standalone cluster."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import cluster
import pyspark
import pytest
from deltalake import DeltaTable

from sparkcoil import log_model, session

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "clusters.md").read_text()
SPARK = Path(pyspark.__file__).parent
DISCOVERY = ROOT / "docs" / "examples" / "gpu-discovery.sh"
# What users name themselves comes after these.
PREFIXES = ("spark.kubernetes.driverEnv.", "spark.kubernetes.driver.secretKeyRef.", "spark.yarn.appMasterEnv.", "spark.executorEnv.")
# Spark puts these together of a component, a resource and a word.
RESOURCE = re.compile(r"spark\.(?:driver|executor|task|worker)\.resource\.gpu\.(?:amount|discoveryScript|vendor)")
PUT_TOGETHER = {"spark.kubernetes.authenticate.driver.serviceAccountName": ("spark.kubernetes.authenticate.driver", ".serviceAccountName")}

pytestmark = pytest.mark.usefixtures("scratch")


def submits() -> list[str]:
    """Return the page's spark-submit commands, each as one line."""
    joined = PAGE.replace("\\\n", " ")
    return [line for block in re.findall(r"```sh\n(.*?)```", joined, re.DOTALL) for line in block.splitlines() if "spark-submit" in line]


@pytest.fixture(scope="module")
def names() -> set[str]:
    """What is written in the classes of Spark that name settings."""
    found: set[str] = set()
    for jar in (SPARK / "jars").glob("spark-*.jar"):
        if re.match(r"spark-(?:core|kubernetes|yarn)_", jar.name):
            with zipfile.ZipFile(jar) as classes:
                for name in classes.namelist():
                    if re.search(r"/(?:package|SparkConf|SparkSubmit\w*)\$?\.class$", name) or "/k8s/" in name or "/yarn/" in name:
                        found.update(text.decode() for text in re.findall(rb"[\w.]{4,}", classes.read(name)))
    return found


def is_known(setting: str, names: set[str]) -> bool:
    """Tell whether Spark's own code names a setting."""
    if RESOURCE.fullmatch(setting):
        return True
    if setting in PUT_TOGETHER:
        return all(part in names for part in PUT_TOGETHER[setting])
    prefix = next((each for each in PREFIXES if setting.startswith(each)), setting)
    return any(each.endswith(prefix) for each in names)  # before it may stand the text's length, which looks like a letter


def test_every_option_is_one_that_spark_submit_has() -> None:
    known = subprocess.run([SPARK / "bin" / "spark-submit", "--help"], capture_output=True, text=True, check=False)
    options = set(re.findall(r"^ +(--[\w-]+)", known.stdout + known.stderr, re.MULTILINE))
    used = {option for line in submits() for option in re.findall(r" (--[\w-]+)", line.split("jobs/score.py")[0])}
    assert len(used) > 8
    assert used - options == set()


def test_every_setting_is_one_that_spark_names(names: set[str]) -> None:
    read = "".join((ROOT / "docs" / name).read_text() for name in ("clusters.md", "performance.md", "security.md"))
    text = read.replace("spark.spark.", "spark.")  # a setting as a key of the run file's section of that name
    used = {each.rstrip(".") for each in re.findall(r"spark\.[a-z]\w*(?:\.\w+)+", text)}
    used = {each for each in used if not each.startswith(("spark.hadoop.", "spark.apache."))}
    assert len(used) > 20
    assert sorted(each for each in used if not is_known(each, names)) == []
    assert not is_known("spark.kubernetes.container.picture", names)


def test_the_discovery_script_says_in_spark_s_form_which_gpus_there_are(gpus: Path) -> None:
    done = subprocess.run([DISCOVERY], env={"PATH": f"{gpus}:{os.environ['PATH']}"}, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"name": "gpu", "addresses": ["0", "1"]}


def test_the_discovery_script_fails_where_there_is_no_driver() -> None:
    assert subprocess.run([DISCOVERY], env={"PATH": "/usr/bin:/bin"}, capture_output=True, check=False).returncode != 0


@pytest.fixture(scope="module")
def gpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an nvidia-smi that says that there are two GPUs."""
    folder = tmp_path_factory.mktemp("bin")
    (folder / "nvidia-smi").write_text("#!/bin/sh\nprintf '0\\n1\\n'\n")
    (folder / "nvidia-smi").chmod(0o755)
    return folder


class Submitted(NamedTuple):
    """A job on the cluster: its exit code, its report, what it said, and where its predictions are."""

    code: int
    report: dict[str, Any]
    said: str
    target: Path


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that has every package but sparkcoil: its path leads to where they are installed."""
    folder = tmp_path_factory.mktemp("environment") / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    packages = next(folder.glob("lib/python3*/site-packages"))
    (packages / "packages.pth").write_text(f"{SPARK.parent}\n")  # an editable install's own .pth there is not followed from here
    return folder


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, bare: Path) -> Path:
    """A folder with the jobs, the settings, the wheel as the page makes it, and a packed environment."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "jobs", folder / "jobs")
    shutil.copytree(ROOT / "conf", folder / "conf")
    make = re.findall(r"```sh\n(python -m pip wheel .*?)```", PAGE, re.DOTALL)[0]
    make = make.replace(" .\n", f" --no-build-isolation {ROOT}\n").replace("python ", f"{sys.executable} ")
    subprocess.run(["bash", "-e", "-c", make], cwd=folder, check=True, capture_output=True)
    subprocess.run(["tar", "-czf", folder / "environment.tar.gz", "-C", bare, "."], check=True)
    return folder


@pytest.fixture(scope="module")
def submitted(checkout: Path, bare: Path, gpus: Path, examples: Path, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Submitted:
    """The page's command for a standalone cluster, with its GPU settings, from a driver that has no sparkcoil either."""
    logged = log_model(examples / "models" / "docstring_topic", task="text-classification")
    target = checkout / "scored"
    sections = {
        "name": "docstrings-topic",
        "model": {"uri": logged.uri},
        "source": {
            "path": str(examples / "docstrings" / "docstrings.parquet"),
            "format": "parquet",
            "where": "package = 'mailbox'",
            "keys": ["module", "qualname"],
            "columns": {"text": "body"},
        },
        "target": {"path": str(target)},
    }
    (checkout / "conf" / "docstrings-topic.yaml").write_text(json.dumps(sections))
    command = next(line for line in submits() if "spark://" in line and "--py-files" in line)
    jars = session.delta_jars(session.delta_folder())["spark.jars"]
    given = (
        f" --conf spark.jars.packages= --jars {jars} --conf spark.executor.resource.gpu.amount=1 --conf spark.task.resource.gpu.amount=1 "
    )
    command = command.replace("--executor-cores 4 --executor-memory 2g", "--executor-cores 1").replace(" --py-files", given + "--py-files")
    settings = {"spark.worker.resource.gpu.amount": "2", "spark.worker.resource.gpu.discoveryScript": str(DISCOVERY)}
    python = {"PYSPARK_PYTHON": "./environment/bin/python", "PYSPARK_DRIVER_PYTHON": str(bare / "bin" / "python")}
    path = f"{gpus}:{SPARK / 'bin'}:{os.environ['PATH']}"
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PATH", path)
        with cluster.standalone(tmp_path_factory.mktemp("cluster"), workers=1, worker_settings=settings) as master:
            command = command.replace("spark://master.example:7077", master)
            environment = {**kept, **python, "PATH": path}
            command = f"timeout 400 {command}"  # a job that is given no executor waits for ever
            done = subprocess.run(command, shell=True, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines()
    return Submitted(done.returncode, json.loads(lines[-1]) if lines else {}, done.stderr, target)


@pytest.mark.long("clusters")
@pytest.mark.timeout(900)
def test_the_wheel_and_a_packed_environment_are_all_that_executors_need(submitted: Submitted) -> None:
    assert submitted.code == 0, submitted.said[-3000:]
    assert "Connected to Spark cluster with app ID" in submitted.said
    assert submitted.report["rows"]["ok"] == len(DeltaTable(str(submitted.target)).to_pandas()) > 0


def test_spark_submit_ends_with_the_job_s_exit_code_and_prints_its_report_last(tmp_path: Path) -> None:
    command = [SPARK / "bin" / "spark-submit", ROOT / "jobs" / "score.py", tmp_path / "missing.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert json.loads(done.stdout.strip().splitlines()[-1])["exit_code"] == 2
