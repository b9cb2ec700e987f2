"""The child process of supervision.py: it loads a model, scores what it is handed, and says when each batch begins and ends."""

import faulthandler
import os
import queue
import resource
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

from sparkcoil import batching, scorer, watchdog, weights
from sparkcoil.errors import RefusedError, SparkcoilError, first_line
from sparkcoil.scoring import Record, Scoring, Stats
from sparkcoil.spec import Spec
from sparkcoil.tasks import Row
from sparkcoil.watchdog import Watch

LOST_DEVICE = 70


@dataclass(frozen=True)
class Loading:
    """What a child loads: the spec, the model's files on this machine, and the device and the threads that are the task's."""

    spec: Spec
    artifact: Path
    device: str
    threads: int


def main(number: int) -> None:
    """Score what is asked for over a connection until the one who asks has gone."""
    prepare()
    channel = Connection(number)
    asked = requests(channel)
    loading: Loading = asked.get()
    try:
        before = weights.marks(loading.artifact)
        scoring, about = loaded(loading, watch(channel, loading.spec.timeout))
    except Exception as error:
        refuse(channel, error)
    channel.send(("done", about))
    while True:
        records, stats = scored(scoring, asked.get(), channel)
        try:
            weights.refuse_changed(loading.artifact, before)
        except SparkcoilError as error:
            refuse(channel, error)
        channel.send(("done", records, stats))


def prepare() -> None:
    """Let the process be the first to go where memory runs out, and write its stack where it crashes, but no core dump: that holds rows."""
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def requests(channel: Connection) -> "queue.Queue[Any]":
    """Return a queue of what is asked for; the process ends with the one who asks, whatever it is doing."""
    received: queue.Queue[Any] = queue.Queue()

    def receive() -> None:
        while True:
            try:
                received.put(channel.recv())
            except (EOFError, OSError):
                os._exit(0)

    threading.Thread(target=receive, daemon=True).start()
    return received


def watch(channel: Connection, timeout: float | None) -> AbstractContextManager[None]:
    """Return what each batch is computed within: the one who asks is told when it begins, of signs of life, and when it ends."""
    if timeout is None:
        return nullcontext()
    # The one who asks waits no longer than the limit; this is for a child that nobody waits for any more.
    own = watchdog.ending(2 * timeout + 60)

    def begins() -> None:
        own.begins()
        channel.send(("begins",))

    def ends() -> None:
        own.ends()
        channel.send(("ends",))

    return Watch(begins, ends, watchdog.PAUSE * timeout)


def loaded(loading: Loading, watch: AbstractContextManager[None]) -> tuple[Scoring, Mapping[str, Any]]:
    """Return what scores, and what a window's note says of it."""
    import torch

    torch.set_num_threads(loading.threads)
    scorer.quieten(loading.device)
    placement = replace(loading.spec.placement, device=loading.device)
    engine = scorer.engine_of(loading.spec, loading.artifact, placement)
    return scorer.scoring_of(loading.spec, engine, watch), {"unit": engine.unit, **scorer.where(engine, placement)}


def scored(scoring: Scoring, rows: Sequence[Row], channel: Connection) -> tuple[list[Record], Stats]:
    """Return the records of rows and what they cost; the process ends where there are none."""
    try:
        return scoring.score(rows)
    except SparkcoilError as error:
        refuse(channel, error)
    except Exception as error:
        traceback.print_tb(error.__traceback__)  # without its text, which may quote a row
        os._exit(LOST_DEVICE if batching.is_fatal(error) else 1)


def refuse(channel: Connection, error: Exception) -> NoReturn:
    """End the process after saying why, where no row is to blame."""
    kind = type(error) if isinstance(error, RefusedError) else SparkcoilError
    text = str(error) if isinstance(error, SparkcoilError) else f"{type(error).__name__}: {first_line(error)}"
    channel.send(("refused", kind.__name__, text))
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
