"""What a run is, as frozen values, with everything that can be judged before Spark starts.

Knows nothing of files (runfile.py reads them), Spark, MLflow or torch.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import ValidationError

from sparkcoil.agreement import task_problems
from sparkcoil.fields import Mode, Setting, Text, Tracking
from sparkcoil.ledger import CHALLENGER, DELETED_AT
from sparkcoil.problems import Problem, Section, expected, from_pydantic
from sparkcoil.sections import BatchingConfig, ModelConfig, RowsConfig, SourceConfig, TargetConfig, given, names
from sparkcoil.settings import ChallengerConfig, CostConfig, GatesConfig, StreamConfig
from sparkcoil.verdicts import GATES


class RunConfig(Section):
    """One run, complete in itself."""

    name: Text
    """What the run is called in reports, in MLflow and in Spark."""
    task: Text | None = None
    """Taken from the logged model; if both are there they must agree."""
    mode: Mode = "batch"
    """batch: what is due now; available_now: what a stream of the source has now, then end; stream: for as long as the job runs."""
    model: ModelConfig
    source: SourceConfig
    target: TargetConfig
    rows: RowsConfig = RowsConfig()
    gates: GatesConfig = GatesConfig()
    batching: BatchingConfig = BatchingConfig()
    stream: StreamConfig = StreamConfig()
    challenger: ChallengerConfig = ChallengerConfig()
    cost: CostConfig = CostConfig()
    tracking: Tracking = "mlflow"
    """mlflow: each run that scores something is logged as an MLflow run, with its page; none: it is not, which saves a second or two."""
    spark: Annotated[Mapping[str, Setting], expected("a mapping of Spark settings")] = {}
    """Spark settings for start_session."""

    @staticmethod
    def conflicts(data: Mapping[str, Any]) -> Iterator[Problem]:
        """Yield the kept columns that are keys already, and what a stream cannot do."""
        keys = {name.lower() for _, name in names(data.get("source"), "keys")}
        marks = {DELETED_AT: "target.deletes: mark"} if given(data.get("target"), "deletes") == "mark" else {}
        own = {**marks, **({CHALLENGER: "a challenger"} if given(data.get("challenger"), "uri") else {})}
        for name, why in own.items():
            if name in keys:
                yield Problem(("source", "keys"), f"{name} is a column of the prediction table's own, with {why}")
        for index, name in names(data.get("target"), "keep"):
            if name.lower() in keys:
                yield Problem(("target", "keep", index), "is one of source.keys already", quotes=True)
            if name.lower() in own:
                yield Problem(("target", "keep", index), "is a column of the prediction table's own", quotes=True, hint="; rename it")
        if any(given(data.get("gates"), name) is not None for name in GATES) and given(data.get("target"), "publish") != "end":
            yield Problem(("gates",), "asks for `target.publish: end`: otherwise chunks are published before all is scored")
        if data.get("mode", "batch") != "batch":
            for section, name in (("source", "query"), ("source", "version"), ("target", "jsonl")):
                if given(data.get(section), name):
                    yield Problem((section, name), "is for mode: batch")
            if (deletes := given(data.get("target"), "deletes")) in ("remove", "mark"):
                yield Problem(("target", "deletes"), f"{deletes} is for mode: batch")


def problems_in(data: Mapping[str, Any]) -> list[Problem]:
    """Return all that is wrong with a run as a mapping, as it is and as its task sees it."""
    try:
        RunConfig.model_validate(data)
    except ValidationError as error:
        return [*from_pydantic(error, RunConfig), *task_problems(data)]
    return list(task_problems(data))


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of a run file, for editors that complete and check YAML."""
    return RunConfig.model_json_schema()
