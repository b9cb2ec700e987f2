"""The session's settings, the ones for spark-submit, and tables that are known by name again."""

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from sparkcoil import session
from sparkcoil.errors import EnvironmentError_


def test_spark_submit_gets_the_same_settings() -> None:
    lines = (Path(__file__).parents[1] / "conf" / "spark-defaults.conf").read_text().splitlines()
    written = dict(line.split(maxsplit=1) for line in lines if line and not line.startswith("#"))
    assert written.pop("spark.jars.packages") == session.delta_package()
    assert written == {name: value for name, value in session.DEFAULTS.items() if value}


def test_given_settings_win_over_the_defaults() -> None:
    chosen = session.chosen_settings({"spark.sql.shuffle.partitions": "7", "spark.master": "local[3]"}, submitted=True)
    assert (chosen["spark.sql.shuffle.partitions"], chosen["spark.master"]) == ("7", "local[3]")
    assert chosen["spark.speculation"] == "false"


def test_jars_are_resolved_once(tmp_path: Path) -> None:
    assert "spark.jars.packages" in session.delta_jars(tmp_path)
    (tmp_path / "ivy" / "jars").mkdir(parents=True)
    (tmp_path / "ivy" / "jars" / "delta.jar").touch()
    session.keep_jars(tmp_path)
    assert session.delta_jars(tmp_path) == {"spark.jars": str(tmp_path / "ivy" / "jars" / "delta.jar")}


def test_without_java_the_message_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(EnvironmentError_, match=r"Spark needs Java 17 or newer; install it .* found none in JAVA_HOME="):
        session.check_java()


def test_a_table_forgotten_by_the_catalog_is_known_again(spark: SparkSession, home: Path) -> None:
    spark.range(3).write.format("delta").save(str(home / "warehouse" / "forgotten"))
    session.register_tables(spark)
    assert spark.table("forgotten").count() == 3


def test_workers_of_a_local_session_fork_from_a_process_that_has_torch(spark: SparkSession) -> None:
    from pyspark.sql.functions import udf

    @udf("string")
    def imported(number: int) -> str:
        import sys

        return str("torch" in sys.modules and "transformers" in sys.modules)

    assert {row[0] for row in spark.range(4).select(imported("id")).collect()} == {"True"}


def test_a_session_of_spark_connect_is_refused() -> None:
    from pyspark.sql.connect.session import SparkSession as Client

    with pytest.raises(EnvironmentError_, match=r"expected a session on Spark's driver, found one of Spark Connect.*jobs/score\.py"):
        session.check_classic(object.__new__(Client))
