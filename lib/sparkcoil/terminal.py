"""A run's status as a bar on a terminal."""

from collections.abc import Callable

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sparkcoil.status import Status, details, headline


def bar(console: Console | None = None) -> Callable[[Status], None]:
    """Return what draws a bar on a terminal, that of stderr unless another is given; it stays there when the run is over."""
    # Prints of the process itself go where they were to: stdout is for the report.
    live = Live(console=console or Console(stderr=True), auto_refresh=False, redirect_stdout=False)

    def show(status: Status) -> None:
        live.start()
        live.update(rendered(status), refresh=True)
        if status.is_over:
            live.stop()

    return show


def rendered(status: Status) -> RenderableType:
    """Return a status as a bar, with its figures below."""
    due = status.rows.get("due", 0)
    # As long as nobody knows how much is due, it moves to and fro.
    bar = ProgressBar(total=due or None, completed=status.rows.get("done", 0), width=30, pulse=not due)
    head = Table.grid(padding=(0, 1))
    head.add_row(Text(status.name, "bold"), *([] if status.is_over and not due else [bar]), Text(headline(status)))
    return Group(head, Text(" · ".join(details(status)), "dim"))
