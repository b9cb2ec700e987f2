"""Where a run's status is shown: a bar on a terminal, a widget in a notebook, lines in a log, a file that others poll."""

import html
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from sparkcoil.errors import ConfigError, did_you_mean
from sparkcoil.status import State, Status, details, headline

Show = Callable[[Status], None]

LINE_SECONDS = 60.0


def shows(progress: str | Show | None, status_file: str | Path | None) -> list[Show]:
    """Return what shows a status: as `progress` says, and in a file where one is named; raises ConfigError for another word."""
    shown = list(progress_shows(progress))
    return [*shown, file(Path(status_file))] if status_file else shown


def progress_shows(progress: str | Show | None) -> list[Show]:
    """Return what shows a status on this terminal, in this notebook or in this log."""
    return [progress] if callable(progress) else KINDS[kind_of(progress)]()


def kind_of(progress: str | None) -> str:
    """Return the kind of display that is meant: a notebook's is shown unasked; raises ConfigError for a kind that there is not."""
    if progress is None:
        return "notebook" if notebook_display() else "none"
    if progress == "auto":
        return "notebook" if notebook_display() else "bar" if sys.stderr.isatty() else "lines"
    if progress not in KINDS:
        known = ["auto", *KINDS]
        found = f"found {progress!r}{did_you_mean(progress, known)}"
        raise ConfigError("run()", [f"progress: expected one of {', '.join(known)}, or in Python a function of a Status, {found}"])
    if progress == "notebook" and notebook_display() is None:
        raise ConfigError("run()", ["progress: notebook: this is none; expected auto, bar, lines, json or none"])
    return progress


def bar() -> Show:
    """Return what draws a bar on the terminal that stderr is."""
    from sparkcoil import terminal

    return terminal.bar()


def lines(stream: TextIO, *, as_json: bool) -> Show:
    """Return what writes a line a minute, and one when the run is over."""
    told = time.monotonic()

    def show(status: Status) -> None:
        nonlocal told
        if status.is_over or time.monotonic() - told >= LINE_SECONDS:
            told = time.monotonic()
            print(status.to_json() if as_json else f"sparkcoil: {status}", file=stream, flush=True)

    return show


def notebook_display() -> Any:
    """Return the function that shows things in the notebook that this is, None where this is none."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return ipython.display.display if ipython and getattr(shell, "kernel", None) is not None else None


def widget(display: Any) -> Show:
    """Return what shows a bar under the cell that runs, by means that every notebook has; ipywidgets is not needed."""
    handle: Any = None

    def show(status: Status) -> None:
        nonlocal handle
        # One that says it in text, for where no HTML is shown.
        bundle = {"text/html": as_html(status), "text/plain": str(status)}
        if handle is None:
            handle = display(bundle, raw=True, display_id=True)
        else:
            handle.update(bundle, raw=True)

    return show


def as_html(status: Status) -> str:
    """Return a status as a bar and a line of text in HTML."""
    due, done = status.rows.get("due", 0), status.rows.get("done", 0)
    bar = f'<progress value="{done}" max="{due}" style="width: 24em"></progress>' if due else ""
    said = " · ".join([headline(status), *details(status)])
    return f"<div><b>{html.escape(status.name)}</b> {bar}<br><small>{html.escape(said)}</small></div>"


def file(path: Path) -> Show:
    """Return what keeps a JSON file of the status, which is at no time half written."""

    def show(status: Status) -> None:
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        unfinished.write_text(status.to_json() + "\n")
        unfinished.replace(path)

    return show


def one_of_many(show: Show) -> Show:
    """Return what shows a run after which others follow: that it ended well is not the end."""

    def shown(status: Status) -> None:
        show(replace(status, state="running", exit_code=None) if status.exit_code == 0 else status)

    return shown


def together(shown: Sequence[Show]) -> Show:
    """Return what shows a status everywhere."""

    def show(status: Status) -> None:
        for each in shown:
            each(status)

    return show


def begin(path: Path, name: str) -> None:
    """Let a status file say that a job begins, in place of what it says of the last one; raises ConfigError where it cannot."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file(path)(Status(name, written_at=round(time.time(), 3)))
    except OSError as error:
        raise ConfigError("--status-file", [f"{path}: expected a file that can be written, found {type(error).__name__}"]) from None


def end(path: Path, exit_code: int, error: str | None) -> None:
    """Let a status file say how a job ended, unless the run has said so itself: it may not have begun, or more may have gone wrong."""
    with suppress(OSError, ValueError, KeyError, TypeError):  # what is there may be another program's
        found = json.loads(path.read_text())
        if found["exit_code"] != exit_code:
            state: State = "failed" if exit_code else "done"
            changes = {"state": state, "stage": None, "exit_code": exit_code, "error": error, "written_at": round(time.time(), 3)}
            file(path)(Status(**{**found, **changes}))


KINDS: dict[str, Callable[[], list[Show]]] = {
    "bar": lambda: [bar()],
    "lines": lambda: [lines(sys.stderr, as_json=False)],
    "json": lambda: [lines(sys.stderr, as_json=True)],
    "notebook": lambda: [widget(notebook_display())],
    "none": list,
}
