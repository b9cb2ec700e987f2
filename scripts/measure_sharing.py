"""Measures what four Python workers on a cluster hold of one model; run by scripts/measure_sharing."""

import json
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))
import cluster  # noqa: E402
import runs  # noqa: E402
import tiny_encoders  # noqa: E402

import sparkcoil  # noqa: E402
from sparkcoil.registry import write_model  # noqa: E402

WIDE = {"hidden_size": 1024, "num_hidden_layers": 4, "num_attention_heads": 16, "intermediate_size": 4096, "initializer_range": 0.02}
ROWS = 2_000


def workers_memory(scratch: Path) -> int:
    """The bytes of memory that a cluster's Python workers hold now; a page that several share counts in parts (PSS)."""
    total = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if b"pyspark.daemon" in (process / "cmdline").read_bytes() and scratch in (process / "cwd").readlink().parents:
                told = (process / "smaps_rollup").read_text()
                total += int(next(line for line in told.splitlines() if line.startswith("Pss:")).split()[1]) * 1024
        except (OSError, StopIteration):
            continue
    return total


def weights_memory(scratch: Path) -> int:
    """The part of it that is the model's file, mapped: pages that the workers of one node share, and can give back."""
    total, counted = 0, False
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if scratch in (process / "cwd").readlink().parents:
                for line in (process / "smaps").read_text().splitlines():
                    if not line.split(":")[0].isidentifier():
                        counted = line.endswith("model.safetensors")
                    elif counted and line.startswith("Pss:"):
                        total += int(line.split()[1]) * 1024
        except OSError:
            continue
    return total


@contextmanager
def peak_memory(scratch: Path) -> Iterator[list[int]]:
    """Samples the workers' memory during the block; the list holds the highest sum."""
    peak, ended = [0], threading.Event()

    def sample() -> None:
        while not ended.wait(0.2):
            peak[0] = max(peak[0], workers_memory(scratch))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()


def score(spark: object, model: Path, scratch: Path) -> tuple[int, dict]:
    """The highest memory of the workers while a table is scored, and the run's throughput."""
    source = {"path": str(scratch / "in"), "keys": ["id"], "columns": {"text": "body"}}
    target = {"path": str(scratch / f"out-{model.name}")}
    with peak_memory(scratch) as peak:
        report = sparkcoil.run(spark, runs.text_run("-", "-", "-", model={"uri": str(model)}, source=source, target=target))
    return peak[0], dict(report.throughput)


def main() -> None:
    """Builds both models, scores with both, prints the difference."""
    os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{tempfile.mkdtemp()}/mlflow.db")
    with tempfile.TemporaryDirectory() as folder, cluster.standalone(Path(folder), cores=2) as master:
        scratch = Path(folder)
        for name, size in (("tiny", {}), ("wide", WIDE)):
            built = tiny_encoders.build(scratch / f"built-{name}", "AutoModelForSequenceClassification", **size)
            write_model(built / "model", scratch / name, task="text-classification")
        spark = sparkcoil.start_session({"spark.master": master, "spark.executor.memory": "1g"}, name="sharing")
        spark.range(ROWS).selectExpr("id", "concat('text number ', id) AS body").write.format("delta").save(str(scratch / "in"))
        before, _ = score(spark, scratch / "tiny", scratch)
        during, throughput = score(spark, scratch / "wide", scratch)
        weights = sorted(path for path in scratch.glob("worker*/**/model.safetensors") if path.stat().st_size > 10**8)
        archives = sorted(path for path in scratch.glob("worker*/**/*.packed") if path.stat().st_size > 10**8)
        size = weights[0].stat().st_size
        found = {
            "model_megabytes": size // 10**6,
            "model_loads": throughput["model_loads"],
            "peak_megabytes_of_all_workers": during // 10**6,
            "beyond_a_tiny_model_megabytes": (during - before) // 10**6,
            "copies_of_the_model_in_memory": round((during - before) / size, 2),
            "of_which_mapped_weights_megabytes": weights_memory(scratch) // 10**6,
            "copies_on_the_workers_disks": len(weights),
            "archives_left": len(archives),
        }
        print(json.dumps(found), flush=True)
        spark.stop()


if __name__ == "__main__":
    main()
