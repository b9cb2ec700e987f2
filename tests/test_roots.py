"""A row names files under declared roots alone, and nothing else is ever opened: no URL, no file outside, no pipe."""

import os
import socket
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
from canary import Server

from sparkcoil import roots
from sparkcoil.errors import RowError

CANARY = b"canary-4711"


@dataclass(frozen=True)
class Place:
    """A root with a file in it, beside a folder that is none with a canary in it."""

    root: Path
    outside: Path


@pytest.fixture
def place(tmp_path: Path) -> Place:
    found = Place(tmp_path / "calls", tmp_path / "private")
    (found.root / "deep").mkdir(parents=True)
    found.outside.mkdir()
    (found.root / "a.wav").write_bytes(b"inside")
    (found.root / "deep" / "b.wav").write_bytes(b"deeper")
    (found.outside / "canary.wav").write_bytes(CANARY)
    return found


def content(name: str | bytes, *declared: object) -> bytes:
    with roots.opened(name, [roots.declared(str(each)) for each in declared]) as file:
        return file.read()


def code(name: str | bytes, *declared: object) -> str:
    with pytest.raises(RowError) as caught:
        content(name, *declared)
    assert caught.value.stage == "input" and not caught.value.retryable
    assert "canary" not in caught.value.message and "calls" not in caught.value.message
    return caught.value.code


def test_a_file_under_a_root_is_opened_however_it_is_named(place: Place) -> None:
    for name in ("/a.wav", "//a.wav", "/./a.wav", "/deep/b.wav", "/deep//b.wav"):
        expected = b"deeper" if "deep" in name else b"inside"
        assert content(f"{place.root}{name}", place.root) == expected
        assert content(f"{place.root}{name}".encode(), f"{place.root}/") == expected
        for prefix in ("file:", "file://", "file://localhost", "FILE:"):
            assert content(f"{prefix}{place.root}{name}", place.root) == expected
            assert content(f"{prefix}{place.root}{name}", f"file://{place.root}") == expected


def test_a_file_may_be_a_root_itself(place: Place) -> None:
    assert content(str(place.root / "a.wav"), place.root / "a.wav") == b"inside"
    assert code(str(place.root / "deep" / "b.wav"), place.root / "a.wav") == "path_outside_roots"


def test_a_relative_root_lies_in_the_folder_of_the_job(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place.root.parent)
    declared = roots.declared("calls")
    monkeypatch.chdir("/")
    with roots.opened(str(place.root / "a.wav"), [declared]) as file:
        assert file.read() == b"inside"


def test_names_with_odd_characters_are_found_escaped_and_as_they_are(place: Place) -> None:
    for name in ("with space.wav", "100%25.wav", "ü.wav", "a+b.wav", "#1?.wav"):
        (place.root / name).write_bytes(name.encode())
        assert content(str(place.root / name), place.root) == name.encode()
        assert content(f"file:{place.root}/{name}", place.root) == name.encode()
    assert content(f"file://{place.root}/with%20space.wav", place.root) == b"with space.wav"
    assert content(f"file://{place.root}/%C3%BC.wav", place.root) == "ü.wav".encode()
    assert code(f"{place.root}/with%20space.wav", place.root) == "file_missing"


def test_without_roots_nothing_is_opened(place: Place) -> None:
    assert code(str(place.root / "a.wav")) == "path_outside_roots"
    assert code(f"file://{place.root}/a.wav") == "path_outside_roots"
    with pytest.raises(RowError, match=r"no path is opened where source\.roots names no folder"):
        roots.opened(str(place.root / "a.wav"), ())


def test_a_link_that_stays_within_the_roots_is_followed(place: Place) -> None:
    (place.root / "again.wav").symlink_to(place.root / "deep" / "b.wav")
    assert content(str(place.root / "again.wav"), place.root) == b"deeper"
    (place.root.parent / "alias").symlink_to(place.root)
    assert content(str(place.root.parent / "alias" / "a.wav"), place.root) == b"inside"
    assert content(str(place.root / "a.wav"), place.root.parent / "alias") == b"inside"


def bad_names(place: Place) -> dict[str, str]:
    """Return names that must not be opened, each with its code; none may show whether what it names is there."""
    root, outside = place.root, place.outside
    (root / "link.wav").symlink_to(outside / "canary.wav")
    (root / "link").symlink_to(outside)
    (root / "far").symlink_to("/")
    (root / "hop").symlink_to(root / "link")
    (root / "dangling.wav").symlink_to(outside / "missing.wav")
    (root / "circle").symlink_to(root / "circle")
    (root.parent / "calls-private").mkdir()
    (root.parent / "calls-private" / "canary.wav").write_bytes(CANARY)
    return {
        f"{outside}/canary.wav": "path_outside_roots",
        f"file:{outside}/canary.wav": "path_outside_roots",
        f"file://{outside}/canary.wav": "path_outside_roots",
        f"{root}-private/canary.wav": "path_outside_roots",
        f"{outside}/missing.wav": "path_outside_roots",
        "/etc/hostname": "path_outside_roots",
        "/proc/self/environ": "path_outside_roots",
        "/dev/stdin": "path_outside_roots",
        "/dev/zero": "path_outside_roots",
        "/": "path_outside_roots",
        f"{root}/link.wav": "path_outside_roots",
        f"{root}/link/canary.wav": "path_outside_roots",
        f"{root}/hop/canary.wav": "path_outside_roots",
        f"{root}/far{outside}/canary.wav": "path_outside_roots",
        f"{root}/far/proc/self/environ": "path_outside_roots",
        f"{root}/dangling.wav": "path_outside_roots",
        f"{root}/../private/canary.wav": "path_invalid",
        f"{root}/deep/../../private/canary.wav": "path_invalid",
        f"{root}/deep/../a.wav": "path_invalid",
        f"file://{root}/%2e%2e/private/canary.wav": "path_invalid",
        f"file://{root}/%2e%2e%2fprivate%2fcanary.wav": "path_invalid",
        f"file://{root}/a.wav%00": "path_invalid",
        f"{root}/a.wav\0": "path_invalid",
        f"file://elsewhere{root}/a.wav": "path_invalid",
        "file:a.wav": "path_invalid",
        "file://": "path_invalid",
        "a.wav": "path_invalid",
        "./a.wav": "path_invalid",
        "../calls/a.wav": "path_invalid",
        "~/a.wav": "path_invalid",
        "": "path_invalid",
        " ": "path_invalid",
        f" {root}/a.wav": "path_invalid",
        "-": "path_invalid",
        "\\\\server\\share\\a.wav": "path_invalid",
        f"{root}/missing.wav": "file_missing",
        f"{root}/a.wav/b": "file_missing",
        f"{root}/" + "x" * 5000: "file_missing",
        f"{root}": "not_a_file",
        f"{root}/deep": "not_a_file",
    }


def test_names_that_lead_elsewhere_are_refused_and_the_canary_is_never_read(place: Place) -> None:
    opened: list[str] = []
    names = bad_names(place)
    watched = threading.get_ident()

    def watch(event: str, given: tuple[object, ...]) -> None:
        if event == "open" and threading.get_ident() == watched:
            opened.append(str(given[0]))

    sys.addaudithook(watch)
    assert {name: code(name, place.root) for name in names} == names
    assert len(names) >= 40
    outside = [each for each in opened if "canary" in each or "environ" in each or "hostname" in each]
    assert not outside


def test_pipes_sockets_and_devices_are_refused_without_waiting(place: Place) -> None:
    os.mkfifo(place.root / "pipe.wav")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(place.root / "s"))
        assert code(str(place.root / "pipe.wav"), place.root) == "not_a_file"
        assert code(str(place.root / "s"), place.root) == "not_a_file"
    assert code("/dev/zero", "/dev") == "not_a_file"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_its_rows_error(place: Place) -> None:
    (place.root / "a.wav").chmod(0)
    assert code(str(place.root / "a.wav"), place.root) == "file_unreadable"


def test_a_folder_that_becomes_a_link_after_it_was_judged_is_not_followed(place: Place) -> None:
    beneath = place.root.resolve()
    (beneath / "deep" / "b.wav").unlink()
    (beneath / "deep").rmdir()
    (beneath / "deep").symlink_to(place.outside)
    for parts in (("deep", "canary.wav"), ("deep",)):
        with pytest.raises(RowError) as caught:
            roots.open_beneath(beneath, parts)
        assert caught.value.code in ("path_outside_roots", "not_a_file")


def urls(port: int) -> list[str]:
    hosts = ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "127.0.0.1.nip.io"]
    schemes = ["http", "https", "HTTP", "ftp", "ws", "s3", "s3a", "gs", "abfss", "hdfs", "hf", "rtsp", "rtmp", "tcp", "udp", "gopher"]
    others = ["data:,x", "pipe:0", "concat:/etc/hostname|/etc/hosts", "subfile,,start,0,end,9,,:/etc/hostname", "crypto:file:/etc/hostname"]
    spelt = [f"http://{host}:{port}/a.wav" for host in hosts] + [f"http://user:pass@127.0.0.1:{port}/", f"http:127.0.0.1:{port}/a"]
    return [*spelt, *(f"{scheme}://127.0.0.1:{port}/a.wav" for scheme in schemes), *others]


def test_no_url_is_ever_opened(place: Place, server: Server) -> None:
    for url in urls(server.port):
        assert code(url, place.root) in ("url_refused", "path_invalid")
        assert code(url, place.root, "s3a://bucket/calls") in ("url_refused", "path_invalid")
    assert {code(url, place.root) for url in urls(server.port) if url.startswith(("http", "HTTP"))} == {"url_refused"}
    assert not server.calls


def test_what_spark_did_not_find_under_a_root_of_its_own_is_missing() -> None:
    assert code("s3a://bucket/calls/a.wav", "s3a://bucket/calls") == "file_missing"
    assert code("s3a://bucket/calls-private/a.wav", "s3a://bucket/calls") == "url_refused"
    assert code("S3A://bucket/calls/a.wav", "s3a://bucket/calls") == "url_refused"
