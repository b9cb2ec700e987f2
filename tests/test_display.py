"""Where a status is shown: drawn on a terminal of a fixed width, in a notebook's own terms, as lines, and in a file."""

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from sparkcoil import cli, display, terminal
from sparkcoil.errors import ConfigError
from sparkcoil.status import Status

HALF = Status("topics", stage="score", chunk=1, rows={"due": 10, "done": 5}, rows_per_second=2.5, eta_seconds=2.0)
OVER = Status("topics", state="done", rows={"due": 10, "done": 10}, exit_code=0)


class Shell(SimpleNamespace):
    """A notebook's front end: what was displayed, and what became of it."""

    kernel = object()

    def display(self, bundle: dict[str, str], *, raw: bool, display_id: bool) -> "Shell":
        self.update(bundle, raw=raw)
        return self

    def update(self, bundle: dict[str, str], *, raw: bool) -> None:
        assert raw
        self.shown = [*getattr(self, "shown", []), bundle]


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Shell:
    """IPython as it is in a notebook; it is not among the pinned packages."""
    shell = Shell()
    ipython = SimpleNamespace(get_ipython=lambda: shell, display=SimpleNamespace(display=shell.display))
    monkeypatch.setitem(sys.modules, "IPython", ipython)  # type: ignore[arg-type]
    return shell


def drawn(*statuses: Status, tty: bool = True) -> str:
    stream = io.StringIO()
    show = terminal.bar(Console(file=stream, width=100, force_terminal=tty, color_system=None))
    for each in statuses:
        show(each)
    return stream.getvalue()


def test_a_bar_is_drawn_with_its_figures_and_stays() -> None:
    assert drawn(HALF, OVER, tty=False).splitlines() == [
        f"topics {'━' * 30} done",
        "10 of 10 rows (100%)",
    ]
    first = drawn(HALF, OVER).split("\r")[0]
    assert "topics" in first
    assert "score, chunk 1" in first
    assert "5 of 10 rows (50%) · 2.5 rows/s · 2 seconds to go" in first


def test_names_are_shown_as_they_are() -> None:
    assert "[bold]x[/] <b>" in drawn(Status("[bold]x[/] <b>", state="failed"), tty=False)
    assert "&lt;b&gt;" in display.as_html(Status("<b>"))


def test_lines_come_once_a_minute_and_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    show = display.lines(stream, as_json=True)
    show(HALF)
    assert stream.getvalue() == ""
    monkeypatch.setattr(display, "LINE_SECONDS", 0.0)
    show(HALF)
    monkeypatch.setattr(display, "LINE_SECONDS", 60.0)
    show(HALF)
    show(OVER)
    assert [json.loads(line)["rows"]["done"] for line in stream.getvalue().splitlines()] == [5, 10]


def test_a_notebook_is_shown_one_bar_that_moves(notebook: Shell) -> None:
    (show,) = display.shows(None, None)
    show(HALF)
    show(OVER)
    assert ['value="5" max="10"' in notebook.shown[0]["text/html"], notebook.shown[1]["text/plain"]] == [True, str(OVER)]
    assert display.kind_of("auto") == "notebook"


def test_elsewhere_python_shows_nothing_unless_asked() -> None:
    assert display.shows(None, None) == []
    assert (display.kind_of("auto"), display.kind_of("json")) == ("lines", "json")


def test_another_kind_of_progress_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"progress: expected one of auto, bar, .* found 'line'; did you mean 'lines'"):
        display.shows("line", None)


def test_a_status_file_holds_the_last_status(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    for each in (HALF, OVER):
        display.file(path)(each)
    assert json.loads(path.read_text()) == json.loads(OVER.to_json())
    assert list(tmp_path.iterdir()) == [path]


def ended(path: Path, **arguments: Any) -> dict[str, Any]:
    with pytest.raises(SystemExit) as raised:
        cli.score(path.with_name("run.yaml"), status_file=path, **arguments)
    found: dict[str, Any] = json.loads(path.read_text())
    assert found["exit_code"] == raised.value.code
    return found


def test_a_job_that_never_gets_to_its_run_says_so_in_the_status_file(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    path.write_text(OVER.to_json())
    path.with_name("run.yaml").write_text("name: x")
    assert {**ended(path), "written_at": 0} == json.loads(Status("run", state="failed", exit_code=2, error="ConfigError").to_json())
    assert ended(path, progress="blink")["exit_code"] == 2


def test_a_status_file_that_cannot_be_written_is_refused_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="--status-file: 1 problem"):
        display.begin(tmp_path / "file" / "status.json", "x")


@pytest.mark.parametrize(("code", "state", "error"), [(0, "done", None), (1, "failed", "OSError")])
def test_what_a_run_has_said_stands_unless_the_job_ends_otherwise(tmp_path: Path, code: int, state: str, error: str | None) -> None:
    path = tmp_path / "status.json"
    display.file(path)(OVER)
    display.end(path, code, error)
    found = json.loads(path.read_text())
    assert (found["state"], found["error"], found["rows"]) == (state, error, OVER.rows)


@pytest.mark.parametrize("content", ['{"a": 1}', "[1]", '{"exit_code": null, "unknown": 1}', "no JSON"])
def test_a_file_of_another_program_s_is_left_as_it_is(tmp_path: Path, content: str) -> None:
    file = tmp_path / "status.json"
    file.write_text(content)
    display.end(file, 2, "ConfigError")
    assert file.read_text() == content


def test_of_a_stream_s_runs_none_that_ends_well_is_the_end(tmp_path: Path) -> None:
    show = display.one_of_many(display.file(tmp_path / "status.json"))
    show(Status("a", state="done", exit_code=0))
    assert json.loads((tmp_path / "status.json").read_text())["state"] == "running"
    show(Status("a", state="budget_exceeded", exit_code=4))
    assert json.loads((tmp_path / "status.json").read_text())["exit_code"] == 4


def test_a_notebook_s_bar_is_refused_elsewhere() -> None:
    with pytest.raises(ConfigError, match="progress: notebook: this is none"):
        display.shows("notebook", None)
