"""How many rows each running task has done, told to the driver by datagrams: Spark itself hears of a task's rows at its end.

A datagram that is lost, or cannot be sent, is made up for by the next one, and ends nothing. It holds numbers alone.
"""

import json
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

# The local property of Spark by which tasks know where to tell it.
PROPERTY = "sparkcoil.listener"
EVERY_SECONDS = 1.0
LARGEST = 512
MOST_TASKS = 1_000_000


class Listener:
    """A socket on the driver, and the thread that reads it; only what is told with the last token counts."""

    def __init__(self, bind: str, host: str) -> None:
        """Open a socket at an address of the driver's, which tasks know as `host`; raises OSError where there is none to be had."""
        family, kind, _, _, address = socket.getaddrinfo(bind, 0, type=socket.SOCK_DGRAM)[0]
        self.socket = socket.socket(family, kind)
        self.socket.bind(address)
        self.socket.settimeout(EVERY_SECONDS)
        self.host, self.token, self.over = host, "", threading.Event()
        self.heard: dict[tuple[str, int, int], int] = {}
        threading.Thread(target=self.listen, name="sparkcoil-listener", daemon=True).start()

    def expect(self) -> str:
        """Forget what was heard, and return the property of the tasks that are to be heard from now on."""
        self.token, self.heard = secrets.token_hex(8), {}
        return json.dumps([self.host, self.socket.getsockname()[1], self.token])

    @property
    def rows(self) -> int:
        """How many rows the tasks have done."""
        return sum(rows for (token, *_), rows in self.heard.copy().items() if token == self.token)

    def listen(self) -> None:
        """Read datagrams until `close`."""
        while not self.over.is_set():
            with suppress(OSError):
                self.hear(self.socket.recv(LARGEST))
        self.socket.close()

    def hear(self, datagram: bytes) -> None:
        """Note what a task says, unless it is not one of those that are expected; one that is tried again counts once."""
        with suppress(ValueError, TypeError, OverflowError):
            token, stage, partition, rows = json.loads(datagram)
            if self.token and token == self.token and len(self.heard) < MOST_TASKS:
                place = token, int(stage), int(partition)
                self.heard[place] = max(self.heard.get(place, 0), int(rows))

    def close(self) -> None:
        """Let the thread end by itself, within a second."""
        self.over.set()


@dataclass
class Teller:
    """What a task tells the driver of its rows: how many it has `done` in the windows before, and about how many of this one."""

    about: tuple[str, int, int]
    task: int
    address: Any
    sender: socket.socket
    done: int = 0
    told: float = -EVERY_SECONDS

    def tell(self, rows: int) -> None:
        """Send the number of rows, once and without waiting."""
        self.told = time.monotonic()
        with suppress(OSError):
            self.sender.sendto(json.dumps([*self.about, rows]).encode(), self.address)


_teller: Teller | None = None


@contextmanager
def window(rows: int) -> Iterator[Callable[[float], None]]:
    """Tell the driver of a window of so many rows, where it listens; gives what is called with the share that is computed."""
    teller = teller_here()
    if teller is None:
        yield lambda share: None
        return

    def computed(share: float) -> None:
        if time.monotonic() - teller.told >= EVERY_SECONDS:
            teller.tell(teller.done + int(share * rows))

    yield computed
    teller.done += rows
    teller.tell(teller.done)


def teller_here() -> Teller | None:
    """Return what tells of this process's task, None where nobody listens."""
    global _teller
    from pyspark import TaskContext

    context = TaskContext.get()
    listener = context.getLocalProperty(PROPERTY) if context is not None else None
    if context is None or not listener:
        return None
    if _teller is None or _teller.task != context.taskAttemptId():
        host, port, token = json.loads(listener)
        about = (token, context.stageId(), context.partitionId())
        try:
            family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
            _teller = Teller(about, context.taskAttemptId(), address, socket.socket(family, kind))
        except OSError:  # no such host from here: Spark's own counts have to do
            return None
    return _teller
