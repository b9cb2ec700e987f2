"""A process with a Spark Connect server and a client of it, which tries every door; prints what each said, and what the client can read."""

import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyspark.sql.connect.session import SparkSession as Client

import sparkcoil
from sparkcoil import testing
from sparkcoil.errors import SparkcoilError

PLUGIN = "org.apache.spark.sql.connect.SparkConnectPlugin"


def doors(client: Any, uri: str) -> dict[str, Callable[[], Any]]:
    """Return every public function that takes a session, or a DataFrame with one, as a call."""
    source = {"table": "texts", "keys": ["id"], "columns": {"text": "body"}}
    run = {"name": "doors", "model": {"uri": uri}, "source": source, "target": {"table": "scored"}}
    config = sparkcoil.RunConfig.model_validate(run)
    return {
        "start_session": started,
        "run": lambda: sparkcoil.run(client, config),
        "run_stream": lambda: sparkcoil.run_stream(client, config, reported=print),
        "plan": lambda: sparkcoil.plan(client, config),
        "preview": lambda: sparkcoil.preview(client, config),
        "score": lambda: sparkcoil.score(client.range(3), uri, keys="id", columns={"text": "id"}),
        "scoring_udf": lambda: sparkcoil.scoring_udf(client, uri),
        "register": lambda: sparkcoil.register(client, "hashed", uri),
    }


def started() -> Any:
    """Return the session that is started in a process whose sessions are Spark Connect's."""
    os.environ["SPARK_CONNECT_MODE_ENABLED"] = "1"
    try:
        return sparkcoil.start_session()
    finally:
        del os.environ["SPARK_CONNECT_MODE_ENABLED"]


def said(door: Callable[[], Any]) -> str:
    """Return which error a door ends with, and what it says."""
    try:
        return f"no error: {door()}"
    except SparkcoilError as error:
        return f"{type(error).__name__}: {error}"


def main() -> None:
    """Try the doors in a folder."""
    folder = Path(sys.argv[1])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {"spark.master": "local[1]", "spark.plugins": PLUGIN, "spark.connect.grpc.binding.port": str(port)}
    spark = sparkcoil.start_session(settings)
    uri = testing.write_echo_model(folder / "echo")
    sparkcoil.register(spark, "hashed", uri, on_error="null")
    spark.sql("SELECT id, hashed(CAST(id AS STRING)).echo AS echo FROM range(3)").createGlobalTempView("hashes")
    client = Client.builder.remote(f"sc://127.0.0.1:{port}").getOrCreate()
    read = {row["id"]: row["echo"] for row in client.sql("SELECT * FROM global_temp.hashes").collect()}
    print(json.dumps({"read": read, "said": {name: said(door) for name, door in doors(client, uri).items()}}), flush=True)
    client.stop()
    spark.stop()


if __name__ == "__main__":
    main()
