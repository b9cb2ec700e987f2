"""What is asked of every task alike: one row out for each row in, whatever its batch, as the native pipeline or as documented."""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import CASES, Case
from PIL import Image
from pyspark.sql import SparkSession
from pyspark.sql.types import StructType

from sparkcoil import engines, ledger, score, tasks, testing
from sparkcoil.batching import Budget
from sparkcoil.engines import Engine, Placement
from sparkcoil.registry import write_model
from sparkcoil.scoring import Record, Scoring, Stats
from sparkcoil.tasks import Options, Task

ODD = ("", " \n", "12", "🙂 smiles", "é" * 40, "a\u0300 \x00 end")
# The longest word that the tiny BERT knows: its tasks read a megabyte of it in fewer windows than of any other.
MEGABYTE = "radioactivity " * 75_000
SCALARS: Mapping[str, Any] = {"STRING": str, "INT": int | np.integer, "BIGINT": int | np.integer, "BOOLEAN": bool}
SCALARS = {**SCALARS, "FLOAT": float | np.floating, "DOUBLE": float | np.floating, "BINARY": bytes}

pytestmark = pytest.mark.filterwarnings("ignore:Tokenizer does not support real words")


@dataclass(frozen=True)
class Loaded:
    """A case with its model in its engine, its rows, and what the oracle says of them."""

    case: Case
    task: Task
    engine: Engine
    options: Options
    rows: Sequence[Mapping[str, Any]]
    expected: Sequence[Mapping[str, Any]]

    def score(self, rows: Sequence[Mapping[str, Any]], batch: int) -> tuple[list[Record], Stats]:
        """Return the records of rows scored in batches of at most so many inputs, and what they cost."""
        scoring = Scoring(self.task, self.engine, self.options, Budget(self.engine.budget.size * 32, batch))
        return scoring.score([{name: as_sent(cell) for name, cell in row.items()} for row in rows])

    def odd(self, text: str | None) -> Mapping[str, Any]:
        """Return the first row with an odd text, or NULL, in it."""
        return {**self.rows[0], self.case.varied: None if text is None else self.case.cell(text)}


def as_sent(cell: Any) -> Any:
    """Return a cell as it arrives at a worker: text as bytes, an array as numpy's."""
    if isinstance(cell, str):
        return cell.encode()
    return np.array(cell, dtype=object) if isinstance(cell, list) else cell


@pytest.fixture(scope="module", params=CASES, ids=str)
def loaded(request: pytest.FixtureRequest, examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    case = request.param
    task = tasks.load(case.task)
    artifact, options, rows = case.build(tmp_path_factory.mktemp("artifact")), task.options(**case.options), case.rows()
    engine = engines.load(engines.name_of(task, artifact), artifact, options, Placement("cpu", "float32"))
    return Loaded(case, task, engine, options, rows, case.oracle(artifact, rows))


def differences(found: Any, expected: Any, at: str = "prediction") -> Iterator[str]:
    """Yield where a prediction differs from what is known of it: scores by over 1e-4, pictures by a thousandth, all else at all."""
    if isinstance(expected, Mapping):
        for name in expected:
            yield from differences(found[name], expected[name], f"{at}.{name}")
    elif isinstance(expected, np.ndarray):
        cosine = float(np.dot(found, expected) / np.linalg.norm(found) / np.linalg.norm(expected))
        if cosine < 0.9999 or not np.allclose(found, expected, atol=1e-4):
            yield f"{at}: a cosine of {cosine}"
    elif isinstance(expected, bytes) and expected.startswith(b"\x89PNG"):
        ours, theirs = (np.asarray(Image.open(io.BytesIO(each)), dtype=np.float64) for each in (found, expected))
        if ours.shape != theirs.shape or np.abs(ours - theirs).mean() > 1e-3 * theirs.max():
            yield f"{at}: another picture"
    elif isinstance(expected, list | tuple) and len(found) == len(expected):
        for i, (one, other) in enumerate(zip(found, expected, strict=True)):
            yield from differences(one, other, f"{at}[{i}]")
    elif found != expected and not (isinstance(expected, float | np.floating) and abs(found - expected) <= 1e-4):
        yield f"{at}: {found!r} for {expected!r}"


def all_differences(found: Sequence[Record], expected: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return where any of the records, none of which may have failed, differs from what is known of it."""
    assert len(found) == len(expected)
    pairs = list(enumerate(zip(found, expected, strict=True)))
    failed = [f"row {i}: {each.error}" for i, (each, _) in pairs if each.prediction is None]
    return failed or [f"row {i}: {said}" for i, (each, known) in pairs for said in differences(each.prediction, known)]


def test_every_task_is_asked() -> None:
    assert {case.task for case in CASES} == set(tasks.names())


def test_the_oracle_can_tell_rows_apart(loaded: Loaded) -> None:
    assert len(loaded.rows) == 33
    assert len({repr(each) for each in loaded.expected}) > 5


@pytest.mark.parametrize("batch", [1, 7, 32])
def test_equals_the_oracle_for_every_batch_size(loaded: Loaded, batch: int) -> None:
    assert all_differences(loaded.score(loaded.rows, batch)[0], loaded.expected) == []


def test_equals_the_oracle_for_every_remainder(loaded: Loaded) -> None:
    for count in (1, 7, 8):
        assert all_differences(loaded.score(loaded.rows[:count], 7)[0], loaded.expected[:count]) == [], count


def test_equal_rows_are_computed_once_and_get_the_same(loaded: Loaded) -> None:
    records, stats = loaded.score([*loaded.rows[:3], *loaded.rows[:3]], 2)
    assert stats.computed_rows == 3
    assert all_differences(records, [*loaded.expected[:3], *loaded.expected[:3]]) == []


def outcomes(records: Sequence[Record]) -> list[Any]:
    """Return each record's prediction, or the code of its error, and its warnings."""
    assert all((each.prediction is None) == (each.error is not None) for each in records)
    return [[each.prediction or {}, each.error and (each.error.stage, each.error.code), each.warnings] for each in records]


def test_null_fails_and_odd_texts_are_scored_or_failed_alone_for_every_batch_size(loaded: Loaded) -> None:
    rows = [loaded.rows[1], loaded.odd(None), *map(loaded.odd, ODD), loaded.rows[2]]
    together, alone = (outcomes(loaded.score(rows, batch)[0]) for batch in (7, 1))
    assert list(differences(together, alone)) == []
    assert together[1] == [{}, ("input", "null_input"), ()]
    assert {error and error[0] for _, error, _ in together} <= {None, "input"}
    assert list(differences([together[0][0], together[-1][0]], [loaded.expected[1], loaded.expected[2]])) == []


def test_a_blank_text_that_can_be_scored_has_a_warning(loaded: Loaded) -> None:
    rows = [row for row in map(loaded.odd, ODD) if str(row[loaded.case.varied]).strip() == ""]
    assert {each.warnings for each in loaded.score(rows, 7)[0] if each.error is None} <= {("blank_input",)}


@pytest.mark.long("architectures")
@pytest.mark.parametrize("loaded", [case for case in CASES if not case.variant], ids=str, indirect=True)
def test_a_megabyte_of_text_leaves_its_neighbours_alone(loaded: Loaded) -> None:
    first, odd, last = loaded.score([loaded.rows[1], loaded.odd(MEGABYTE), loaded.rows[2]], 512)[0]
    assert odd.error is None or (odd.error.stage, odd.error.code) == ("input", "too_long")
    assert all_differences([first, last], [loaded.expected[1], loaded.expected[2]]) == []


def conforms(value: Any, kind: str) -> bool:
    """Tell whether a value is of a documented type; only scalars may be NULL, and never within an array."""
    outer, _, inner = kind.partition("<")
    inner = inner.removesuffix(">")
    if outer.upper() == "ARRAY":
        return not isinstance(value, str) and all(each is not None and conforms(each, inner) for each in value)
    if outer.upper() == "STRUCT":
        fields = {name.rstrip(":"): kind for name, kind in ledger.split_fields(inner)}
        return value.keys() == fields.keys() and all(conforms(value[name], kind) for name, kind in fields.items())
    return value is None or isinstance(value, SCALARS[outer.upper()])


def test_predictions_are_of_the_documented_type(loaded: Loaded) -> None:
    rows = [*loaded.rows[:3], *map(loaded.odd, ODD)]
    predictions = [each.prediction for each in loaded.score(rows, 7)[0] if each.prediction is not None]
    assert [each for each in predictions if not conforms(each, f"STRUCT<{loaded.task.prediction}>")] == []


@pytest.mark.parametrize("name", tasks.names())
def test_spark_has_a_row_for_each_row_typed_as_documented(spark: SparkSession, examples: Path, tmp_path: Path, name: str) -> None:
    case = next(case for case in CASES if case.task == name)
    write_model(case.build(tmp_path / "built") / "model", tmp_path / "logged", task=name, options=case.options)
    good = case.rows()[0]
    kinds = {bytes: "binary", str: "string", list: "array<string>"}
    frame = spark.createDataFrame(
        [(0, *good.values()), (1, *{**good, case.varied: None}.values())],
        ", ".join(["id BIGINT", *(f"{each} {kinds[type(cell)]}" for each, cell in good.items())]),
    )
    scored = score(frame, str(tmp_path / "logged"), keys="id", columns={each: each for each in good})
    documented = StructType.fromDDL(f"id BIGINT, {ledger.ddl(tasks.load(name).prediction)}")
    assert scored.dtypes == [(each.name, each.dataType.simpleString()) for each in documented]
    fine, failed = sorted(scored.collect(), key=lambda row: row["id"])
    assert (fine["status"], fine["error"], failed["status"], failed["prediction"]) == ("ok", None, "failed", None)
    assert (failed["error"]["stage"], failed["error"]["code"]) == ("input", "null_input")


def test_spark_has_no_row_for_none_with_the_same_types(spark: SparkSession, tmp_path: Path) -> None:
    uri = testing.write_echo_model(tmp_path / "echo")
    frame = spark.createDataFrame([(0, "a text")], "id BIGINT, text STRING")
    some, none = (score(each, uri, keys="id", columns={"text": "text"}) for each in (frame, frame.limit(0)))
    assert none.dtypes == some.dtypes
    assert none.collect() == []
