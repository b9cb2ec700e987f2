"""One of the tutorials as docs/tutorials.md shows it: its run file, its commands, and what they made of real rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

CONF = Path(__file__).parents[2] / "conf"
SHOWN = 5
SPOKEN = "{start:.2f} to {end:.2f} {text}"
Row = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Tutorial:
    """A run file with what is said of it, how its model is logged, and which columns of its table are shown under which heading.

    `right` is the column with the text that is expected; `only` says which rows are shown.
    """

    title: str
    text: str
    log: str
    conf: str
    shown: Mapping[str, str]
    right: str | None = None
    predicted: str = "text"
    only: Row = field(default_factory=dict)

    @property
    def run(self) -> Any:
        """The run file as YAML has it."""
        return yaml.safe_load(self.run_file)

    @property
    def run_file(self) -> str:
        """The run file as it is written."""
        return (CONF / f"{self.conf}.yaml").read_text(encoding="utf-8")


def section(tutorial: Tutorial, result: str) -> str:
    """Return what the page says of one tutorial."""
    return f"""## {tutorial.title}

{tutorial.text}

```sh
python jobs/log_model.py {tutorial.log} --alias champion
python jobs/score.py conf/{tutorial.conf}.yaml
```

[conf/{tutorial.conf}.yaml](../conf/{tutorial.conf}.yaml):

```yaml
{tutorial.run_file.strip()}
```

{begin(tutorial.conf)}

{result}

{END}
"""


END = "<!-- end of the rows -->"


def begin(conf: str) -> str:
    """Return the marker that stands before the rows of a run's table."""
    return f"<!-- rows of {conf} -->"


def result(tutorial: Tutorial, rows: Sequence[Row]) -> str:
    """Return a scored table's first rows, and how many are right where that can be told."""
    name, keys = tutorial.run["target"]["table"], tutorial.run["source"]["keys"]
    said = f"`{name}` then has these rows among {len(rows)}"
    if tutorial.right:
        right = sum(is_right(tutorial, row) for row in rows)
        said += f", of which {right} are exactly what is expected (`{tutorial.right}`)"
    return f"{said}:\n\n{shown_rows(tutorial, sorted(rows, key=lambda row: [row[key] for key in keys]))}"


def is_right(tutorial: Tutorial, row: Row) -> bool:
    """Tell whether a row's prediction is what is expected."""
    # A Whisper's texts begin with a space.
    return row["prediction"] is not None and row["prediction"][tutorial.predicted].strip() == row[str(tutorial.right)]


def shown_rows(tutorial: Tutorial, rows: Sequence[Row]) -> str:
    """Return the first rows as a table."""
    chosen = [row for row in rows if all(row[name] == value for name, value in tutorial.only.items())][:SHOWN]
    head = [list(tutorial.shown), ["---"] * len(tutorial.shown)]
    return "\n".join([*(f"| {' | '.join(each)} |" for each in head), *(line(tutorial, row) for row in chosen)])


def line(tutorial: Tutorial, row: Row) -> str:
    """Return a row as a line of a table."""
    return f"| {' | '.join(cell(at(row, path)) for path in tutorial.shown.values())} |"


def at(row: Any, path: str) -> Any:
    """Return what lies in a row under a path of names and positions."""
    for step in path.split("."):
        row = row[int(step) if step.isdigit() else step]
    return row


def cell(value: Any) -> str:
    """Return a value as a cell of a table; of messages what each role says, of segments what is said when."""
    if isinstance(value, list):
        return "<br>".join(cell(SPOKEN.format(**each) if "start" in each else f"{each['role']}: {each['content']}") for each in value)
    written = "" if value is None else f"{value:.2g}" if isinstance(value, float) else str(value)
    return written.replace("|", r"\|").replace("\n", " ").replace("<", "&lt;")
