"""Known answers: questions that a model was logged with, what it answered then, and whether it answers so elsewhere.

They lie in the model's folder as one JSON file, which is of the model's files and so of its digest. Knows nothing of Spark or MLflow.
"""

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sparkcoil import ledger, precision
from sparkcoil.errors import ConfigError, EnvironmentError_, ModelError, did_you_mean, first_line
from sparkcoil.plain import as_row
from sparkcoil.problems import input_problems, said
from sparkcoil.scoring import Record
from sparkcoil.tasks import Row, Task

FILE = "known_answers.json"
PREDICTION = "prediction"
BYTES = "base64"
NAMED = 10
REMEDY = "log the model again with --known-answers FILE, or take gates.known_answers out"


@dataclass(frozen=True)
class KnownAnswers:
    """Questions by the names of the task's inputs, an answer to each, and the options that they were answered with."""

    task: str
    options: Mapping[str, Any]
    questions: Sequence[Mapping[str, Any]]
    answers: Sequence[Mapping[str, Any]]

    def rows(self, task: Task) -> list[Row]:
        """Return the questions as the scorer takes rows."""
        return [as_row(tuple(map(as_cell, each.values())), list(each), task) for each in self.questions]


def read_lines(file: Path) -> list[Mapping[str, Any]]:
    """Return the questions of a file of JSON lines; raises ConfigError with each line that is no object."""
    try:
        written = file.read_text(encoding="utf-8-sig").split("\n")  # splitlines would cut at characters that texts may have
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("log_model", [f"known_answers: {file} cannot be read ({first_line(error)})"]) from None
    found: list[Mapping[str, Any]] = []
    problems = []
    for number, line in enumerate(written, 1):
        if not line.strip():
            continue
        try:
            content = json.loads(line)
        except (ValueError, RecursionError):
            content = None
        if not isinstance(content, Mapping):
            problems.append(f"known_answers: line {number}: expected a JSON object")
        found.append(content or {})
    if problems:
        raise ConfigError("log_model", problems)
    return found


def problems(lines: Iterable[Mapping[str, Any]], task: Task, options: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with questions, and with the answers that some of them have; no sentence holds a value."""
    fields, count = [name for name, _ in ledger.split_fields(task.prediction)], 0
    for count, line in enumerate(lines, 1):
        inputs = {name: value for name, value in line.items() if name != PREDICTION}
        yield from (f"known_answers: {count}: {said(each)}" for each in input_problems(task, inputs, options))
        answer = line.get(PREDICTION, {})
        if not isinstance(answer, Mapping) or (PREDICTION in line and not answer):
            yield f"known_answers: {count}: prediction: expected an object with fields of {task.name}"
            continue
        for name in answer.keys() - set(fields):
            yield f"known_answers: {count}: prediction.{name}: no field of {task.name}{did_you_mean(str(name), fields)}"
    if not count:
        yield "known_answers: expected at least one question, found none"


def write(
    folder: Path,
    lines: Sequence[Mapping[str, Any]],
    *,
    task: Task,
    options: Mapping[str, Any],
    score: Callable[[Sequence[Row]], Sequence[Record]],
) -> None:
    """Write questions into a model's folder with their answers, given or else `score`d; raises ModelError where one cannot be answered."""
    questions = [{name: as_json(value) for name, value in line.items() if name != PREDICTION} for line in lines]
    unanswered = [index for index, line in enumerate(lines) if PREDICTION not in line]
    asked = KnownAnswers(task.name, options, [questions[index] for index in unanswered], [])
    records = score(asked.rows(task)) if unanswered else []
    failed = next(((index, each.error) for index, each in zip(unanswered, records, strict=True) if each.error), None)
    if failed is not None:
        index, error = failed
        raise ModelError(f"log_model: known_answers: {index + 1}: the model has no answer ({error.stage}/{error.code}: {error.message})")
    scored = {index: as_json(each.prediction) for index, each in zip(unanswered, records, strict=True)}
    answers = [scored[index] if index in scored else as_json(line[PREDICTION]) for index, line in enumerate(lines)]
    content = asdict(KnownAnswers(task.name, options, questions, answers))
    (folder / FILE).write_text(json.dumps(content), encoding="utf-8")


def read(folder: Path, uri: str) -> KnownAnswers:
    """Return the known answers in a model's folder; raises ModelError where there are none, or they are not as `write` writes them."""
    if not (folder / FILE).is_file():
        raise ModelError(f"gates.known_answers: {uri} was logged without known answers; {REMEDY}")
    try:
        found = KnownAnswers(**json.loads((folder / FILE).read_text(encoding="utf-8")))
        if len(found.questions) != len(found.answers) or not found.answers:
            raise ValueError("not an answer for each question")
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise ModelError(f"gates.known_answers: {uri}: {FILE} cannot be read ({type(error).__name__}); {REMEDY}") from None
    return found


def check(folder: Path, uri: str, task: Task) -> None:
    """Pass if a model has known answers for the task; raises ModelError."""
    found = read(folder, uri)
    if found.task != task.name:
        raise ModelError(f"gates.known_answers: {uri}: expected answers of {task.name}, found those of {found.task}; {REMEDY}")


def refuse_others(known: KnownAnswers, records: Sequence[Record]) -> None:
    """Pass if the records are the known answers, numbers within a tolerance; raises EnvironmentError_ that numbers the others."""
    pairs = zip(known.answers, records, strict=True)
    apart = [number for number, (answer, record) in enumerate(pairs, 1) if not is_answer(answer, record)]
    if apart:
        named = ", ".join(map(str, apart[:NAMED])) + (", ..." if len(apart) > NAMED else "")
        raise EnvironmentError_(
            f"gates.known_answers: {len(apart)} of {len(known.answers)} known answers come out otherwise here (texts and labels must be "
            f"equal, numbers within {precision.TOLERANCE:g}): number {named}; "
            "compare its packages and its device with those that the model was logged with"
        )


def is_answer(answer: Mapping[str, Any], record: Record) -> bool:
    """Tell whether a record has every field of an answer."""
    found = as_json(record.prediction or {})
    return answer.keys() <= found.keys() and precision.agrees(answer, found)


def as_json(value: Any) -> Any:
    """Return a value as JSON has it: bytes as an object with their base64."""
    if isinstance(value, bytes | bytearray):
        return {BYTES: base64.b64encode(value).decode()}
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(name): as_json(each) for name, each in value.items()}
    return [as_json(each) for each in value] if isinstance(value, list | tuple) else value


def as_cell(value: Any) -> Any:
    """Return what a JSON value stands for: bytes of their base64."""
    if not isinstance(value, Mapping):
        return value
    return base64.b64decode(value[BYTES]) if value.keys() == {BYTES} else {name: as_cell(each) for name, each in value.items()}
