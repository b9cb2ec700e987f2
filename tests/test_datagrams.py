"""What tasks tell the driver of their rows, over a socket on loopback."""

import json
import socket
import time
from collections.abc import Iterator

import pytest

from sparkcoil import datagrams
from sparkcoil.datagrams import Listener


@pytest.fixture
def listener() -> Iterator[Listener]:
    found = Listener("127.0.0.1", "127.0.0.1")
    yield found
    found.close()


def sent(address: str, *said: object) -> None:
    host, port, token = json.loads(address)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for each in said:
            sender.sendto(each if isinstance(each, bytes) else json.dumps([token, *each]).encode(), (host, port))  # type: ignore[misc]


def rows_heard(listener: Listener, expected: int) -> int:
    deadline = time.monotonic() + 20
    while listener.rows != expected and time.monotonic() < deadline:
        time.sleep(0.01)
    return listener.rows


def test_the_rows_of_all_partitions_add_up_and_a_second_try_counts_once(listener: Listener) -> None:
    sent(listener.expect(), (3, 0, 5), (3, 1, 7), (3, 0, 9), (3, 0, 2))
    assert rows_heard(listener, 16) == 16


def test_what_is_not_expected_does_not_count(listener: Listener) -> None:
    before = listener.expect()
    sent(before, (3, 0, 5))
    assert rows_heard(listener, 5) == 5
    now = listener.expect()
    sent(before, (3, 0, 50))
    sent(now, b"\xff", b"[]", b"7", b'["x", 1, 1, 1]', (3, "a", 1), (4, 0, 1))
    assert rows_heard(listener, 1) == 1


def test_where_nobody_listens_nothing_is_told() -> None:
    with datagrams.window(10) as computed:
        computed(0.5)
    assert datagrams.teller_here() is None
