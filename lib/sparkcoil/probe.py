"""What an executor finds out before the first row: whether the model fits here, loads here, and gives a prediction here."""

import shutil
import socket
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sparkcoil import digest, known, precision, tasks, weights
from sparkcoil.errors import EnvironmentError_, SparkcoilError, first_line
from sparkcoil.scorer import Scorer, device_here, forget
from sparkcoil.spec import Spec
from sparkcoil.structured import MISFITS
from sparkcoil.tasks import Row

MEMINFO = Path("/proc/meminfo")
# What the control group allows and what it uses, of version 2 and of version 1.
GROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def report(spec: Spec, rows: Sequence[Row]) -> Mapping[str, Any]:
    """Return what was found here: the host, the number format that holds, and a refusal with its kind where there is one."""
    found: dict[str, Any] = {"host": socket.gethostname()}
    try:
        folder = room_for(spec)
        scored = replace(spec, probe=False)
        if spec.placement.dtype == "fastest":
            return {**found, **precision.trial(scored, rows)}
        refuse_memory(folder, spec)
        costs = [ask(folder, scored)] if spec.known_answers else []
        records, cost = Scorer(scored).score(rows)
        found |= {name: sum(each[name] for each in (*costs, cost)) for name in ("loads", "load_seconds")}
        # Of an example nothing sensible need come, so that a text of another form than asked for is no fault of the model's.
        broken = [each.error for each in records if each.error and each.error.stage != "input" and each.error.code not in MISFITS]
        return {**found, **({"refusal": f"an example row failed: {broken[0].message}", "kind": "ModelError"} if broken else {})}
    except SparkcoilError as error:
        return {**found, "refusal": str(error), "kind": type(error).__name__}
    except Exception as error:
        return {**found, "refusal": f"{type(error).__name__}: {first_line(error)}", "kind": "ModelError"}


def ask(folder: Path, spec: Spec) -> Mapping[str, Any]:
    """Return what it cost to ask the model what it was logged with, under the options of then; raises unless it answers the same."""
    asked = known.read(folder, spec.model or str(folder))
    task, _ = tasks.fitted(spec.task, asked.options)
    # Without the name that a run gives the model: it was not known when the answers were made, and is in some of them.
    records, cost = Scorer(replace(spec, options=asked.options, model=None)).score(asked.rows(task))
    if asked.options != spec.options:
        forget()  # the run's own options load the model again, and two of it may not fit
    known.refuse_others(asked, records)
    return cost


def room_for(spec: Spec) -> Path:
    """Return the model's folder on this executor; raises EnvironmentError_ where its disk does not hold it."""
    if spec.weights.archive is not None:
        from pyspark import SparkFiles

        root = Path(SparkFiles.getRootDirectory())
        packed, free = root / spec.weights.archive, shutil.disk_usage(root).free
        if packed.exists() and packed.stat().st_size > free:
            raise EnvironmentError_(f"its disk has {gib(free)} free in {root}, and the model takes {gib(packed.stat().st_size)}; free some")
    return weights.locate(spec.weights)


def refuse_memory(folder: Path, spec: Spec) -> None:
    """Pass if the model's weights fit into what memory is free here; raises EnvironmentError_."""
    needed = sum(file.stat().st_size for file in digest.files(folder / "model") if file.suffix in (".safetensors", ".bin"))
    free = free_memory()
    if device_here(spec.placement.device) == "cpu" and needed > free:
        raise EnvironmentError_(
            f"it has {gib(free)} of memory free, and the model's weights take {gib(needed)}; "
            "give executors more memory outside the JVM, or fewer tasks at a time"
        )


def free_memory() -> int:
    """Return the bytes of memory that this process may still take, by the machine and by its control group."""
    try:
        told = dict(line.split(":", 1) for line in MEMINFO.read_text().splitlines())
        free = int(told["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return 1 << 62
    for limit, used in GROUPS:
        try:
            free = min(free, int(Path(limit).read_text()) - int(Path(used).read_text()))
        except (OSError, ValueError):
            continue
    return free


def gib(size: int) -> str:
    """Return a size in words."""
    return f"{size / (1 << 30):.2f} GiB"
