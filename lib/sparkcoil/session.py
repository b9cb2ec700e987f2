"""A Spark session that reads and writes Delta, set up for scoring; an existing one is taken as it is."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import pyspark
from pyspark import SparkConf, SparkContext
from pyspark.sql import SparkSession

from sparkcoil import cache, disks
from sparkcoil.errors import EnvironmentError_

# The same settings for spark-submit are in conf/spark-defaults.conf; a test holds the two together.
DEFAULTS: Mapping[str, str] = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    # Keys and hashes of timestamps are rendered as text, which must not depend on where the driver runs.
    "spark.sql.session.timeZone": "UTC",
    # A second copy of a task would load a second model and score the same rows twice.
    "spark.speculation": "false",
    # A worker that crashes in native code leaves its Python stack in the error.
    "spark.python.worker.faulthandler.enabled": "true",
    # An empty value counts as unset: without bytecode files each worker compiles torch and transformers anew.
    "spark.executorEnv.PYTHONDONTWRITEBYTECODE": "",
    "spark.executorEnv.HF_HUB_OFFLINE": "1",
    "spark.executorEnv.TOKENIZERS_PARALLELISM": "false",
    "spark.ui.showConsoleProgress": "false",
    # Delta cuts the state of every table into 50: for each commit 50 tasks that do next to nothing.
    "spark.databricks.delta.snapshotPartitions": "8",
}

# With Spark's defaults Delta makes 50 and 200 tiny tasks for every query: a trivial write took 37 s on two cores.
LOCAL_DEFAULTS: Mapping[str, str] = {
    # Four tries, as on a cluster: a worker that is killed costs its task, not the run.
    "spark.master": "local[*,4]",
    "spark.driver.memory": "2g",
    "spark.driver.host": "127.0.0.1",
    "spark.sql.shuffle.partitions": str(os.cpu_count() or 2),
    "spark.databricks.delta.snapshotPartitions": "2",
    "spark.ui.enabled": "false",
}


# Without this Ivy looks into ~/.m2 first, and one that holds POMs without jars makes it fail.
IVY_SETTINGS = """<ivysettings>
  <settings defaultResolver="central"/>
  <resolvers><ibiblio name="central" m2compatible="true"/></resolvers>
</ivysettings>
"""


def start_session(settings: Mapping[str, str] | None = None, *, name: str = "sparkcoil") -> SparkSession:
    """Return the active session, or a new one that reads and writes Delta, with `settings` over sparkcoil's defaults.

    Raises EnvironmentError_ without Java 17, SparkcoilError where a disk is full.
    What spark-submit was given wins over the defaults, not over `settings`.
    """
    active = SparkSession.getActiveSession()
    if active is not None:
        check_classic(active)
        return active
    submitted = "PYSPARK_GATEWAY_PORT" in os.environ
    if submitted:
        SparkContext._ensure_initialized()  # until then SparkConf knows nothing of what spark-submit was given, not even the master
    else:
        check_java()
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    # Without it workers start whatever `python3` is on the PATH.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    chosen = chosen_settings(settings or {}, submitted=submitted)
    builder = SparkSession.builder
    for key, value in chosen.items():
        builder = builder.config(key, value)
    with disks.naming(lambda: disks.scratch(chosen.get("spark.local.dir"))):  # where Delta's jars are copied to
        spark = builder.appName(name).getOrCreate()
    check_classic(spark)
    if chosen.get("spark.jars.ivy", "").startswith(str(delta_folder())):
        keep_jars(delta_folder())
    register_tables(spark)
    return spark


def check_classic(session: object) -> None:
    """Pass if a session has a driver's JVM beside it; raises EnvironmentError_ for one of Spark Connect, which has none."""
    if type(session).__module__.startswith("pyspark.sql.connect."):
        raise EnvironmentError_(
            "expected a session on Spark's driver, found one of Spark Connect, from which a model's files cannot be handed to "
            "the executors; score on the driver, such as by spark-submit jobs/score.py, and read the prediction table from here"
        )


def chosen_settings(settings: Mapping[str, str], *, submitted: bool) -> dict[str, str]:
    """Return the settings that a new session is made with: the given ones, then the submitted ones, then the defaults."""
    given = {**dict(SparkConf().getAll()), **settings}
    master = given.get("spark.master", LOCAL_DEFAULTS["spark.master"])
    defaults = {**DEFAULTS, **(LOCAL_DEFAULTS if master.startswith("local") else {})}
    if master.startswith("local") and not submitted:
        defaults |= daemon(given)
    jars = {} if submitted or "spark.jars.packages" in given else delta_jars(delta_folder())
    if jars and "spark.jars" in given:
        jars["spark.jars"] = ",".join([given["spark.jars"], *jars.get("spark.jars", "").split(",")]).rstrip(",")
    return {**defaults, **given, **jars}


def daemon(given: Mapping[str, str]) -> dict[str, str]:
    """Return the settings by which Python workers fork from a process that has torch imported, where this library is a folder."""
    library = Path(__file__).parent
    if not library.is_dir():
        return {}
    path = [str(library.parent), given.get("spark.executorEnv.PYTHONPATH", "")]
    return {"spark.python.daemon.module": "sparkcoil.daemon", "spark.executorEnv.PYTHONPATH": os.pathsep.join(filter(None, path))}


def delta_package() -> str:
    """Return the Maven coordinates of the Delta build for the Spark and delta-spark that are installed."""
    spark = ".".join(pyspark.__version__.split(".")[:2])
    return f"io.delta:delta-spark_{spark}_2.13:{version('delta-spark')}"


def delta_folder() -> Path:
    """Return where Delta's jars are kept."""
    return cache.folder("jars", delta_package().replace(":", "_"))


def delta_jars(folder: Path) -> dict[str, str]:
    """Return the settings that bring Delta: its jars on this disk, or, the first time, how Ivy fetches them."""
    kept = folder / "jars.txt"
    if kept.exists():
        return {"spark.jars": kept.read_text()}
    ivy = folder / "ivysettings.xml"
    ivy.write_text(IVY_SETTINGS)
    return {"spark.jars.packages": delta_package(), "spark.jars.ivy": str(folder / "ivy"), "spark.jars.ivySettings": str(ivy)}


def keep_jars(folder: Path) -> None:
    """Note the jars that Ivy has fetched, so that the next session starts without it, offline too."""
    jars = sorted((folder / "ivy" / "jars").glob("*.jar"))
    unfinished = folder / f"jars.{os.getpid()}"
    unfinished.write_text(",".join(map(str, jars)))
    unfinished.rename(folder / "jars.txt")


def check_java() -> None:
    """Pass if Java 17 or newer can be started; raises EnvironmentError_ with what to do if not."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which(str(Path(home) / "bin" / "java") if home else "java")
    expected = "Spark needs Java 17 or newer; install it (such as openjdk-17-jre-headless) or set JAVA_HOME"
    if java is None:
        raise EnvironmentError_(f"{expected}; found none{f' in JAVA_HOME={home}' if home else ' on the PATH'}")
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', said)
    if found and int(found.group(1)) < 17:
        raise EnvironmentError_(f"{expected}; found Java {found.group(1)} at {java}")


def register_tables(spark: SparkSession) -> None:
    """Make the Delta tables of a local warehouse known by name again, which Spark's in-memory catalog forgets.

    Does nothing where a metastore is configured. (An embedded Derby metastore would let only one process in at a time.)
    """
    if spark.conf.get("spark.sql.catalogImplementation") != "in-memory":
        return
    warehouse = Path(str(spark.conf.get("spark.sql.warehouse.dir")).removeprefix("file:"))
    for log in sorted(warehouse.glob("*/_delta_log")):
        if not re.fullmatch(r"\w+", log.parent.name):
            continue  # this catalog takes no such name
        register_table(spark, log.parent.name, log.parent)
    for log in sorted(warehouse.glob("*.db/*/_delta_log")):
        database = log.parent.parent.name.removesuffix(".db")
        spark.sql(f"CREATE DATABASE IF NOT EXISTS `{database}`")
        register_table(spark, f"{database}.{log.parent.name}", log.parent)


def register_table(spark: SparkSession, name: str, location: Path) -> None:
    """Make one Delta table known by name, if no table of that name is."""
    if not spark.catalog.tableExists(name):
        quoted = ".".join(f"`{part}`" for part in name.split("."))
        spark.sql(f"CREATE TABLE {quoted} USING delta LOCATION '{location}'")
