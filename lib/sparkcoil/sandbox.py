"""Decodes in a child process: a decoder that crashes, hangs or takes too much memory costs one row, and not the worker.

Each thread has a child of its own, which lives as long as the thread and is started anew where it has ended. What it is handed is an open
file, never a path; it holds none of the worker's environment, writes to no file and can take no more than its share of memory.
Its failures are RowError("input", code, message), beside those of media.py and raster.py:

decoder_crashed     the decoder has ended twice on this file, the second time in a fresh process
decoder_timeout     the decoder took longer than a minute, and of a recording a hundredth of `max_seconds` more
<medium>_too_large  decoding took more than 2 GiB of memory
"""

import json
import math
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from sparkcoil.errors import EnvironmentError_, RowError

if TYPE_CHECKING:  # what decodes one medium need not be there for another
    from sparkcoil.media import Recording
    from sparkcoil.raster import Pixels

LEAST_SECONDS, SECONDS_SHARE = 60, 0.01
MEMORY_BYTES = 2**31
# What it takes to start Python and to find its libraries; a worker's environment also holds secrets.
KEPT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR")
MESSAGE_BYTES = 65_536

_own = threading.local()


def probe(file: BinaryIO, *, max_seconds: float) -> float:
    """Return what media.probe returns."""
    return float(asked({"do": "probe", "max_seconds": max_seconds}, file)[0]["seconds"])


def read(file: BinaryIO, sampling_rate: int, *, start: float, seconds: float | None, max_seconds: float) -> "Recording":
    """Return what media.read returns."""
    from sparkcoil.media import Recording

    request = {"do": "read", "sampling_rate": sampling_rate, "start": start, "seconds": seconds, "max_seconds": max_seconds}
    answer, payload = asked(request, file)
    return Recording(np.frombuffer(payload, np.float32), answer["seconds"], tuple(answer["warnings"]))


def probe_image(file: BinaryIO, *, max_pixels: int) -> tuple[int, int]:
    """Return what raster.probe returns."""
    height, width = asked({"do": "probe_image", "max_pixels": max_pixels}, file)[0]["size"]
    return height, width


def read_image(file: BinaryIO, *, max_pixels: int) -> "Pixels":
    """Return what raster.read returns."""
    from sparkcoil.raster import Pixels

    answer, payload = asked({"do": "read_image", "max_pixels": max_pixels}, file)
    return Pixels(np.frombuffer(payload, np.uint8).reshape(answer["shape"]))


@contextmanager
def in_memory(content: bytes) -> Iterator[BinaryIO]:
    """Open bytes for the block as a file that can be handed to the child."""
    descriptor = os.memfd_create("medium") if hasattr(os, "memfd_create") else None
    with tempfile.TemporaryFile(buffering=0) if descriptor is None else os.fdopen(descriptor, "w+b", buffering=0) as file:
        rest = memoryview(content)
        while rest:
            rest = rest[file.write(rest) :]
        yield file


def asked(request: Mapping[str, Any], file: BinaryIO) -> tuple[Mapping[str, Any], bytearray]:
    """Return the child's answer, trying once more in a fresh one: what ended it may have been left over from another file."""
    within = math.ceil(LEAST_SECONDS + SECONDS_SHARE * request.get("max_seconds", 0))
    try:
        answer, payload = own_child().ask({**request, "within": within}, file)
    except RowError as error:
        if error.code == "decoder_timeout":
            raise
        answer, payload = own_child().ask({**request, "within": within}, file)
    if "code" in answer:
        raise RowError("input", answer["code"], answer["message"], retryable=answer["retryable"])
    return answer, payload


def own_child() -> "Child":
    """Return the thread's child, started where there is none that lives."""
    child: Child | None = getattr(_own, "child", None)
    if child is None or child.owner != os.getpid() or child.ended:
        _own.child = child = Child()
    return child


class Child:
    """A process that decodes what it is asked for, one file at a time."""

    def __init__(self) -> None:
        """Start it and wait until it is ready; raises EnvironmentError_ where it cannot be."""
        self.owner, self.ended = os.getpid(), False
        self._ours, theirs = socket.socketpair()
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        environment = {**kept, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        with theirs:
            number = theirs.fileno()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "sparkcoil.sandbox", str(number)],
                env=environment,
                pass_fds=[number],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        try:
            self._answer()
        except EOFError:
            raise EnvironmentError_(f"the process that decodes files does not start: {sys.executable} ended at once") from None

    def __del__(self) -> None:
        """Let it go: it ends when nobody is left to ask it."""
        if self.owner == os.getpid():
            self._ours.close()
            self._process.wait()

    def ask(self, request: Mapping[str, Any], file: BinaryIO) -> tuple[Mapping[str, Any], bytearray]:
        """Return the answer with the bytes that go with it; raises RowError where the child has ended instead."""
        try:
            socket.send_fds(self._ours, [json.dumps(request).encode()], [file.fileno()])
            return self._answer()
        except (ConnectionError, EOFError):
            self.ended = True
            raise self._failure() from None

    def _answer(self) -> tuple[Mapping[str, Any], bytearray]:
        size, payload_size = (int.from_bytes(self._received(8), "big") for _ in range(2))
        return json.loads(self._received(size)), self._received(payload_size)

    def _received(self, size: int) -> bytearray:
        content = bytearray(size)
        rest = memoryview(content)
        while rest:
            count = self._ours.recv_into(rest)
            if not count:
                raise EOFError
            rest = rest[count:]
        return content

    def _failure(self) -> RowError:
        if self._process.wait() == -signal.SIGALRM:
            return RowError("input", "decoder_timeout", "decoding took too long and was ended")
        return RowError("input", "decoder_crashed", "the decoder crashed on this file")


def main(number: int) -> None:
    """Answer what is asked over a socket until the one who asks has gone."""
    with socket.socket(fileno=number) as channel:
        limit()
        answer(channel, {})
        while True:
            message, files, _, _ = socket.recv_fds(channel, MESSAGE_BYTES, 1)
            if not message:
                return
            request = json.loads(message)
            with os.fdopen(files[0], "rb", buffering=0) as file:
                # Not in time, the signal ends the process whatever the decoder is doing.
                signal.alarm(request.pop("within"))
                found, payload = done(request, file)
                signal.alarm(0)
            answer(channel, found, payload)


def limit() -> None:
    """Take from the process what no decoder needs: more memory, files to write, a core dump."""
    for kind, size in ((resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(kind)[1]
        with suppress(ValueError, OSError):  # some systems know a limit and do not let it be set
            resource.setrlimit(kind, (size, size) if hard == resource.RLIM_INFINITY or hard > size else (hard, hard))


def done(request: Mapping[str, Any], file: BinaryIO) -> tuple[Mapping[str, Any], memoryview]:
    """Return the answer to a request, or the row's failure; the exception's text stays here, since it may quote the row."""
    given = {name: each for name, each in request.items() if name != "do"}
    medium = "image" if "max_pixels" in given else "audio"
    try:
        return ANSWERS[request["do"]](file, **given)
    except RowError as error:
        return {"code": error.code, "message": error.message, "retryable": error.retryable}, memoryview(b"")
    except MemoryError:
        return {"code": f"{medium}_too_large", "message": "decoding takes too much memory", "retryable": False}, memoryview(b"")
    except Exception as error:
        told = f"decoding raised {type(error).__name__}"
        return {"code": f"undecodable_{medium}", "message": told, "retryable": False}, memoryview(b"")


def probed(file: BinaryIO, **given: Any) -> tuple[Mapping[str, Any], memoryview]:
    """Return a recording's duration."""
    from sparkcoil import media

    return {"seconds": media.probe(file, **given)}, memoryview(b"")


def heard(file: BinaryIO, **given: Any) -> tuple[Mapping[str, Any], memoryview]:
    """Return a recording's samples."""
    from sparkcoil import media

    found = media.read(file, **given)
    return {"seconds": found.seconds, "warnings": found.warnings}, found.samples.data.cast("B")


def measured(file: BinaryIO, **given: Any) -> tuple[Mapping[str, Any], memoryview]:
    """Return an image's height and width."""
    from sparkcoil import raster

    return {"size": raster.probe(file, **given)}, memoryview(b"")


def seen(file: BinaryIO, **given: Any) -> tuple[Mapping[str, Any], memoryview]:
    """Return an image's pixels."""
    from sparkcoil import raster

    values = np.ascontiguousarray(raster.read(file, **given).values)
    return {"shape": values.shape}, values.data.cast("B")


ANSWERS = {"probe": probed, "read": heard, "probe_image": measured, "read_image": seen}


def answer(channel: socket.socket, found: Mapping[str, Any], payload: memoryview | bytes = b"") -> None:
    """Send an answer with the bytes that go with it."""
    text = json.dumps(found).encode()
    channel.sendall(len(text).to_bytes(8, "big") + len(payload).to_bytes(8, "big") + text)
    channel.sendall(payload)


if __name__ == "__main__":
    main(int(sys.argv[1]))
