"""Every architecture that can be built tiny, held against fresh native models, one input at a time; run by scripts/sweep."""

import json
import os
import sys
import tempfile
import warnings
from collections import Counter
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))
import torch  # noqa: E402
import transformers  # noqa: E402
import typer  # noqa: E402
from sweeping import families, judge  # noqa: E402
from sweeping.judge import Verdict  # noqa: E402

from sparkcoil.errors import first_line  # noqa: E402

RESULTS = Path(os.environ.get("SWEEP_RESULTS") or ROOT / "docs")
FOUND = "architectures.json"
app = typer.Typer()


@app.command()
def run(
    tasks: Annotated[list[str] | None, typer.Argument(help=f"of {', '.join(families.FAMILIES)}; all by default")] = None,
    kind: Annotated[str | None, typer.Option("--type", help="one architecture, such as mobilebert")] = None,
) -> None:
    """Judge architectures, and keep what was found for the page; exits 1 where one differs from its native model."""
    quieten()
    found = [verdict for task in tasks or families.FAMILIES for verdict in swept(task, kind)]
    if not kind and not tasks:
        (RESULTS / FOUND).write_text(
            json.dumps({"transformers": version("transformers"), "found": [asdict(each) for each in found]}, indent=1)
        )
        report()
    wrong = [each for each in found if each.outcome in ("differs", "crash")]
    print(json.dumps(Counter(each.outcome for each in found)))
    raise typer.Exit(bool(wrong))


def quieten() -> None:
    """Keep transformers from saying what tiny models lack, and torch from threads that they are too small for."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logs: Any = transformers.utils.logging
    logs.set_verbosity_error()
    logs.disable_progress_bar()


def swept(task: str, kind: str | None = None) -> list[Verdict]:
    """Return the verdict on each architecture of a task, or on one of them."""
    family = families.FAMILIES[task]
    found = []
    for name, head in families.architectures(family):
        if kind in (None, name):
            found.append(verdict_on(family, name, head))
            print(f"{task} {name}: {found[-1].outcome} {found[-1].why[:150]}", flush=True)
    return found


def verdict_on(family: families.Family, name: str, head: str) -> Verdict:
    """Return the verdict on one architecture; one that cannot be built tiny, or does not answer alone, is `not built`."""
    with tempfile.TemporaryDirectory(prefix="sparkcoil-sweep-") as folder:
        try:
            native = family.make(name, head, Path(folder))
            rows = family.rows()
            native(rows[0])
        except Exception as error:  # whatever a configuration of sizes that were not meant for it raises
            return Verdict(family.task, name, "not built", f"{type(error).__name__}: {first_line(error)}")
        try:
            return judge.judge(family.task, name, Path(folder), rows, native, family.seen)
        except Exception as error:
            return Verdict(family.task, name, "crash", f"{type(error).__name__}: {first_line(error)}")


@app.command()
def report() -> None:
    """Write docs/architectures.md from what was found last."""
    kept = json.loads((RESULTS / FOUND).read_text())
    verdicts = [Verdict(**each) for each in kept["found"]]
    lines = [
        "# Which architectures are scored as they answer natively",
        "",
        f"Made by `./scripts/sweep run` with transformers {kept['transformers']}: each architecture that can be built tiny, with random",
        "weights, in batches of one, in the default ones and in those of a GPU, in two orders, against a fresh native model for",
        "each input.",
        "`exact lengths`: padding changes the model's results, so that only rows of one length share a batch. `one by one`: neighbours do.",
    ]
    for task in dict.fromkeys(each.task for each in verdicts):
        of_task = [each for each in verdicts if each.task == task]
        lines += ["", f"## {task}", "", "| outcome | architectures |", "|---|---|"]
        for outcome in sorted({each.outcome for each in of_task}):
            named = [each for each in of_task if each.outcome == outcome]
            lines.append(f"| {outcome} | {len(named)}: {', '.join(each.architecture for each in named)} |")
        lines += [f"- {each.architecture}: {each.why}" for each in of_task if each.outcome == "refused"]
    (RESULTS / "architectures.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    app()
