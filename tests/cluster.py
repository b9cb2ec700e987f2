"""A standalone Spark cluster on loopback from the pip package alone: one master and, unless asked, two workers of one core."""

import os
import re
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pyspark

HOST = "127.0.0.1"


def free_port() -> int:
    """Return a port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@contextmanager
def standalone(
    folder: Path,
    workers: int = 2,
    cores: int = 1,
    *,
    master_settings: Mapping[str, str] = {},
    worker_settings: Mapping[str, str] = {},
) -> Iterator[str]:
    """Run a cluster for the block and give its master's URL; its processes are ended afterwards."""
    spark_class = Path(pyspark.__file__).parent / "bin" / "spark-class"
    port, web = free_port(), free_port()
    master = f"spark://{HOST}:{port}"
    # Executors know nothing of a tracking server, a hub, a proxy or a user's home.
    kept = {name: os.environ[name] for name in ("PATH", "JAVA_HOME", "JAVA_TOOL_OPTIONS", "LANG", "TMPDIR") if name in os.environ}
    environment = {**kept, "HOME": str(folder), "SPARK_LOCAL_IP": HOST, "SPARK_NO_DAEMONIZE": "1", "SPARK_LOG_DIR": str(folder)}
    for variable, settings in {"SPARK_MASTER_OPTS": master_settings, "SPARK_WORKER_OPTS": worker_settings}.items():
        environment[variable] = " ".join(f"-D{name}={value}" for name, value in settings.items())
    deploy = "org.apache.spark.deploy"
    commands = [[spark_class, f"{deploy}.master.Master", "--host", HOST, "--port", str(port), "--webui-port", str(web)]]
    for number in range(workers):
        place = ["--work-dir", folder / f"worker{number}", "--webui-port", "0"]
        commands.append([spark_class, f"{deploy}.worker.Worker", "--host", HOST, "--cores", str(cores), "--memory", "2g", *place, master])
    processes = []
    try:
        for number, command in enumerate(commands):
            log = (folder / f"process{number}.log").open("w")
            processes.append(subprocess.Popen(list(map(str, command)), stdout=log, stderr=log, env=environment))
        wait_for_workers(f"http://{HOST}:{web}/json/", workers)
        yield master
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            process.wait(timeout=30)


def wait_for_workers(url: str, workers: int) -> None:
    """Return when the master knows all workers; raises TimeoutError after three minutes."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        try:
            said = urllib.request.urlopen(url, timeout=5).read().decode()
            if int((re.search(r'"aliveworkers"\s*:\s*(\d+)', said) or ["", "0"])[1]) >= workers:
                return
        except OSError:
            pass
        time.sleep(0.3)
    raise TimeoutError(f"the cluster at {url} has fewer than {workers} workers")
