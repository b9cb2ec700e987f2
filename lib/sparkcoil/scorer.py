"""The loader module that MLflow calls inside `spark_udf`: a whole Arrow batch in, one record for each of its rows out.

Engines are cached for the process, so that a new task, or a second UDF on the same model, finds it loaded.
"""

import json
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from sparkcoil import datagrams, engines, heard, tasks, watchdog, weights, wire
from sparkcoil.batching import Budget
from sparkcoil.engines import Engine, Placement, Tried
from sparkcoil.errors import EnvironmentError_, RowError
from sparkcoil.scoring import Record, Scoring
from sparkcoil.spec import SPEC, Spec, read_spec
from sparkcoil.tasks import Row, Task

if TYPE_CHECKING:
    from sparkcoil.supervision import Supervisor

# The cell that says whether a row is one of those that the challenger scores too.
CHALLENGED = "__challenged"
CACHED_ENGINES = 2
# What of the run file bounds a batch, by what the engine counts, and how many of its units one of it is.
SIZES = {"audio seconds": ("max_batch_seconds", 1.0), "kilopixels": ("max_batch_pixels", 1e-3)}


@dataclass(frozen=True)
class Loaded:
    """An engine with the files that its model was loaded from, as they were then."""

    engine: Engine
    artifact: Path
    marks: weights.Marks


_cached: OrderedDict[tuple[str, ...], Loaded] = OrderedDict()


def cached_engine(spec: Spec, placement: Placement) -> tuple[Loaded, float]:
    """Return the process's engine for a spec, with the seconds that loading it took: 0 where it was there."""
    key = (spec.weights.digest, spec.task, json.dumps([asdict(placement), spec.options], sort_keys=True))
    if key in _cached and weights.unchanged(_cached[key].artifact, _cached[key].marks):
        _cached.move_to_end(key)
        return _cached[key], 0.0
    start = time.perf_counter()
    while len(_cached) >= CACHED_ENGINES:
        _cached.popitem(last=False)
    artifact = weights.locate(spec.weights)
    before = weights.marks(artifact)
    _cached[key] = Loaded(engine_of(spec, artifact, placement), artifact, before)
    return _cached[key], time.perf_counter() - start


def forget() -> None:
    """Drop the process's engines, and with them the memory that their models take."""
    _cached.clear()


def engine_of(spec: Spec, artifact: Path, placement: Placement) -> Engine:
    """Return the engine of a spec with its model loaded, whose forward passes are signs of life."""
    task, options = tasks.fitted(spec.task, spec.options)
    engine = engines.load(engines.name_of(task, artifact), artifact, options, placement, digest=spec.weights.digest)
    watchdog.listen(engine)
    return engine


class Scorer:
    """What MLflow holds: a thin handle, whose engine comes from the process's cache on the first batch."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.scoring: Scoring | None = None
        self.supervisor: Supervisor | None = None
        self.challenger = Scorer(spec.challenger) if spec.challenger else None

    def predict(self, frame: pd.DataFrame, params: Mapping[str, Any] | None = None) -> dict[str, list[dict[str, Any]]]:
        """Return one record for every row, as MLflow can convert it, with what the window cost in the first one."""
        cells = zip(*(frame[name] for name in frame), strict=True)
        rows: list[dict[str, Any]] = [dict(zip(frame.columns, each, strict=True)) for each in cells]
        chosen = [bool(row.pop(CHALLENGED, False)) for row in rows]
        with heard.remembered() if any(chosen) else nullcontext():
            if self.spec.probe:
                from sparkcoil import probe

                records, note = [Record(None, None)] * len(rows), {**probe.report(self.spec, rows)}
            else:
                records, note = self.score(rows)
            results = self.said(records)
            for result in results:
                result["stats"] = None
            if self.challenger is not None:
                answers, seconds = self.challenger.answers(rows, chosen)
                for result, answer in zip(results, answers, strict=True):
                    result["challenger"] = answer
                note = {**note, "seconds": {**note.get("seconds", {}), "challenger": seconds}}
        results[0]["stats"] = json.dumps(note)
        return {"r": results}

    def answers(self, rows: Sequence[Row], chosen: Sequence[bool]) -> tuple[list[dict[str, Any]], float]:
        """Return what the model says beside another one, nothing of rows that are not chosen, and the seconds that took.

        It is not asked where Spark tries the task again, so that it cannot take rows of the other one with it twice.
        """
        start = time.perf_counter()
        asked = [row for row, is_chosen in zip(rows, chosen, strict=True) if is_chosen]
        skipped = Record(None, RowError("model", "skipped", "Spark has tried the task again, and the challenger was not asked"))
        nothing: tuple[list[Record], dict[str, Any]] = ([skipped] * len(asked), {})
        records, cost = nothing if is_retry() or not asked else self._here(asked, lambda _: None)
        said = iter(self.said(records))
        unsaid = wire.unsaid(wire.empty_prediction(self.task.wire))
        return [next(said) if is_chosen else unsaid for is_chosen in chosen], time.perf_counter() - start - cost.get("load_seconds", 0.0)

    def said(self, records: Sequence[Record]) -> list[dict[str, Any]]:
        """Return records as MLflow can convert them."""
        empty = wire.empty_prediction(self.task.wire)
        return [wire.said(each, self.task, empty) for each in records]

    @cached_property
    def task(self) -> Task:
        """The task as its options make it."""
        return tasks.fitted(self.spec.task, self.spec.options)[0]

    def score(self, rows: Sequence[Row]) -> tuple[list[Record], dict[str, Any]]:
        """Return one record for every row and what they cost; raises if their numbers differ, since results are matched by position."""
        began = time.time()
        with datagrams.window(len(rows)) as computed:
            records, note = self._supervised(rows) if is_retry() else self._here(rows, computed)
        if len(records) != len(rows):
            raise RuntimeError(f"{len(records)} records for {len(rows)} rows")
        return records, {**note, "began": began, "ended": time.time()}

    def _here(self, rows: Sequence[Row], computed: Callable[[float], None]) -> tuple[list[Record], dict[str, Any]]:
        self.supervisor = None
        loaded = self._load() if self.scoring is None else 0.0
        assert self.scoring is not None
        self.scoring.computed = computed
        records, stats = self.scoring.score(rows)
        weights.refuse_changed(self.loaded.artifact, self.loaded.marks)
        if not self.spec.batching:
            # What did not fit in memory once will not fit the next time: the engine outlives this handle.
            self.scoring.engine.budget = self.scoring.budget
        cost = {"unit": self.scoring.engine.unit, "loads": int(loaded > 0), "load_seconds": loaded, "worker": os.getpid()}
        return records, {**vars(stats), **cost, **where(self.scoring.engine, self.placement)}

    def _supervised(self, rows: Sequence[Row]) -> tuple[list[Record], dict[str, Any]]:
        from sparkcoil import supervision

        if self.supervisor is None:
            # A model that an earlier task has left in this process would take the memory of the child's.
            self.scoring = None
            if self.challenger is not None:
                self.challenger.scoring = None
            forget()
            self.supervisor = supervision.supervisor(self.spec)
        return self.supervisor.score(rows)

    def _load(self) -> float:
        self.placement = replace(self.spec.placement, device=device_here(self.spec.placement.device))
        quieten(self.placement.device)
        self.loaded, seconds = cached_engine(self.spec, self.placement)
        limit = self.spec.timeout
        self.scoring = scoring_of(self.spec, self.loaded.engine, nullcontext() if limit is None else watchdog.ending(limit))
        return seconds


def scoring_of(spec: Spec, engine: Engine, watch: AbstractContextManager[None]) -> Scoring:
    """Return what scores with a spec's engine, each batch within a watch."""
    task, options = tasks.fitted(spec.task, spec.options)
    options = tasks.with_roots(options, spec.roots)
    return Scoring(task, engine, options, budget_of(engine, spec.batching), model=spec.model, watch=watch)


def where(engine: Engine, placement: Placement) -> dict[str, str]:
    """Return where an engine runs, in which number format, and what its model was found to do that costs time."""
    model = getattr(engine, "model", None)
    found = engines.REASONS.get(engine.findings.batching, "") if isinstance(engine, Tried) else ""
    dtype = str(getattr(model, "dtype", placement.dtype)).removeprefix("torch.")
    return {"device": placement.device, "dtype": dtype, "batching": found, "decoding": getattr(engine, "decoding", "")}


def is_retry() -> bool:
    """Tell whether Spark has tried the task of this process before."""
    from pyspark import TaskContext

    context = TaskContext.get()
    return context is not None and context.attemptNumber() > 0


def _load_pyfunc(path: str, model_config: Mapping[str, Any] | None = None) -> Any:
    """Return the scorer of a staged model, or of one that log_model has logged: MLflow's extension point for flavors."""
    folder = Path(path)
    if (folder / SPEC).is_file():
        return Scorer(read_spec(folder))
    from sparkcoil.plain import PlainModel

    return PlainModel(folder, model_config or {})


def budget_of(engine: Engine, overrides: Mapping[str, Any]) -> Budget:
    """Return the engine's own budget with what the run file says in its place."""
    name, units = SIZES.get(engine.unit, ("max_batch_tokens", 1.0))
    size = round(overrides[name] * units * engine.per_unit) if name in overrides else engine.budget.size
    return replace(engine.budget, size=size, rows=overrides.get("max_batch_rows") or engine.budget.rows)


def device_here(asked: str) -> str:
    """Return the torch device of this task: the GPU that Spark gave it, else the first one, else the CPU."""
    import torch
    from pyspark import TaskContext

    context = TaskContext.get()
    if context is not None:
        torch.set_num_threads(max(1, context.cpus()))
    if asked == "cpu" or not torch.cuda.is_available():
        if asked == "cuda":
            raise EnvironmentError_("model.device: cuda was asked for, and this executor sees no GPU")
        return "cpu"
    given = context.resources().get("gpu") if context is not None else None
    return f"cuda:{given.addresses[0]}" if given else "cuda:0"


def quieten(device: str) -> None:
    """Keep transformers from drawing progress bars in executor logs, and tokenizers from threads where the model itself takes the CPU."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false" if device == "cpu" else "true"
    import torch
    import transformers

    if device != "cpu":
        # One thread makes tokens more slowly than a GPU reads them; a GPU's share of the cores is idle otherwise.
        os.environ.setdefault("RAYON_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // max(1, torch.cuda.device_count()))))

    logs: Any = transformers.utils.logging
    logs.set_verbosity_error()
    logs.disable_progress_bar()
