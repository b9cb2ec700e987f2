"""Measures the memory of two Python workers that hear large recordings; run by scripts/measure_media."""

import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import numpy as np
import soundfile
import transformers
import typer

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))
import cluster  # noqa: E402
import runs  # noqa: E402
import ways  # noqa: E402

import sparkcoil  # noqa: E402
from sparkcoil.registry import write_model  # noqa: E402

RATE, CHANNELS, WIDTH = 48_000, 2, 3
# As the whole of a cell, an expression that is not the column itself, the bytes cross to the worker.
FORMS = {"files": "content", "cells": "named_struct('bytes', content)"}


def record(folder: Path, files: int, megabytes: int, large: int) -> None:
    """Write recordings of noise, all different, and a large one."""
    folder.mkdir()
    noise = np.random.default_rng(1)
    for number, size in enumerate([*[megabytes] * files, large]):
        with soundfile.SoundFile(folder / f"{number:04d}.wav", "w", RATE, CHANNELS, "PCM_24") as file:
            second = noise.uniform(-0.2, 0.2, (RATE, CHANNELS))
            for _ in range(size * 10**6 // (RATE * CHANNELS * WIDTH)):
                file.write(second)


def peaks(scratch: Path) -> Iterator[tuple[str, int, int]]:
    """Yield kind, number and highest memory so far of each Python process that works on the cluster."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            kind = "worker" if b"pyspark.daemon" in command else "decoder" if b"sparkcoil.sandbox" in command else None
            if kind and scratch in (process / "cwd").readlink().parents:
                told = (process / "status").read_text()
                yield kind, int(process.name), int(told.split("VmHWM:")[1].split()[0]) // 1024
        except (OSError, IndexError):
            continue


@contextmanager
def watched(scratch: Path) -> Iterator[dict[tuple[str, int], int]]:
    """Note the highest memory of each process during the block, in MiB."""
    highest: dict[tuple[str, int], int] = {}
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.2):
            highest.update({(kind, number): peak for kind, number, peak in peaks(scratch)})

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield highest
    finally:
        ended.set()
        thread.join()


def score(spark: object, scratch: Path, form: str) -> Mapping[str, object]:
    """Return what a run over the files took, where they cross as a form."""
    source = {"path": str(scratch / "calls"), "format": "binaryFile", "keys": ["path"], "columns": {"audio": FORMS[form]}}
    if form == "cells":  # the large one does not fit into the heaps of these executors
        source["where"] = f"length < {50 * 10**6}"
    target = {"path": str(scratch / f"scored-{form}")}
    started = time.perf_counter()
    with watched(scratch) as highest:
        config = runs.text_run("-", "-", "-", model={"uri": str(scratch / "model")}, source=source, target=target)
        report = sparkcoil.run(spark, config)
    of_kind = {kind: sorted((peak for (each, _), peak in highest.items() if each == kind), reverse=True) for kind in ("worker", "decoder")}
    return {
        "form": form,
        "rows": {name: report.rows[name] for name in ("ok", "failed")},
        "failures": [dict(each) for each in report.failures],
        "audio_seconds": report.throughput["units"],
        "seconds": round(time.perf_counter() - started),
        "peak_mebibytes_of_workers": of_kind["worker"],
        "peak_mebibytes_of_decoders": of_kind["decoder"],
    }


def main(files: Annotated[int, typer.Option()] = 300, megabytes: int = 10, large: int = 600, forms: str = "files,cells") -> None:
    """Records, scores each form, and prints a line for each."""
    os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{tempfile.mkdtemp()}/mlflow.db")
    with tempfile.TemporaryDirectory() as folder, cluster.standalone(Path(folder), cores=1) as master:
        scratch = Path(folder)
        record(scratch / "calls", files, megabytes, large)
        model, *parts = ways.speech(scratch / "built")
        # As far apart as those of real models: what attention takes grows with the square of the number of frames.
        config = transformers.Wav2Vec2Config.from_dict({**model.config.to_dict(), "conv_kernel": (40, 20), "conv_stride": (20, 16)})
        for part in (transformers.Wav2Vec2ForCTC(config), *parts):
            part.save_pretrained(scratch / "checkpoint")
        write_model(scratch / "checkpoint", scratch / "model", task="automatic-speech-recognition")
        spark = sparkcoil.start_session({"spark.master": master, "spark.executor.memory": "1800m"}, name="media")
        for form in forms.split(","):
            print(json.dumps(score(spark, scratch, form)), flush=True)
        spark.stop()


if __name__ == "__main__":
    typer.run(main)
