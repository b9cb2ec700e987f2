"""Known answers: written with a model, and asked of each executor before the first row."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import typer
from pyspark.sql import SparkSession
from runs import make_table, text_run
from typer.testing import CliRunner

from sparkcoil import RunConfig, cli, digest, known, probe, registry, run, scorer, tasks
from sparkcoil.engines import Placement
from sparkcoil.errors import ConfigError, EnvironmentError_, ModelError, RowError
from sparkcoil.scoring import Record
from sparkcoil.spec import Spec
from sparkcoil.weights import Weights

CLASSIFY = tasks.load("text-classification")
QUESTIONS = [{"text": "Return the sum of two hunter2 numbers."}, {"text": "Open a socket."}]


@pytest.fixture(scope="module")
def artifact(examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The docstring classifier with known answers, two of its own and one that is given."""
    folder = tmp_path_factory.mktemp("known") / "model"
    given = {"text": "Open a socket.", "prediction": {"score": 1}}
    checkpoint = examples / "models" / "docstring_topic"
    registry.write_model(checkpoint, folder, task="text-classification", options={"top_k": 2}, known_answers=[*QUESTIONS, given])
    return folder


def changed(artifact: Path, folder: Path, number: int, **prediction: Any) -> Path:
    """Return a copy of a model whose known answer of that number has other fields."""
    shutil.copytree(artifact, folder)
    content = json.loads((folder / known.FILE).read_text())
    content["answers"][number - 1].update(prediction)
    (folder / known.FILE).write_text(json.dumps(content))
    return folder


def asking(model: Path, table: str) -> RunConfig:
    return text_run("-", table, f"{table}_scored", model={"uri": str(model)}, gates={"known_answers": True})


def test_the_model_answers_when_it_is_logged_unless_the_answer_is_given(artifact: Path) -> None:
    found = known.read(artifact, "model")
    assert [each["text"] for each in found.questions] == [*(each["text"] for each in QUESTIONS), "Open a socket."]
    assert [set(each) for each in found.answers] == [{"label", "score", "scores"}] * 2 + [{"score"}]
    assert (found.task, found.options["top_k"], len(found.answers[0]["scores"])) == ("text-classification", 2, 2)


def test_an_executor_that_answers_alike_scores_and_one_that_does_not_is_named_before_the_first_row(
    spark: SparkSession, artifact: Path, tmp_path: Path
) -> None:
    make_table(spark, "asked", [(1, "a text")])
    close = changed(artifact, tmp_path / "close", 3, score=known.read(artifact, "model").answers[1]["score"] + 0.004)
    assert run(spark, asking(close, "asked")).rows["ok"] == 1
    make_table(spark, "asked", [(1, "another text")])
    other = changed(close, tmp_path / "other", 2, label="hunter2")
    with pytest.raises(EnvironmentError_) as caught:
        run(spark, asking(other, "asked"))
    said = str(caught.value)
    assert "refused by the executor on " in said
    assert "1 of 3 known answers come out otherwise here" in said and "number 2;" in said
    assert (caught.value.exit_code, "hunter2" in said) == (3, False)
    assert spark.table("asked_scored").where("id = 1").count() == 1
    (other / known.FILE).unlink()
    with pytest.raises(
        ModelError, match=r"gates.known_answers: .* was logged without known answers; log the model again with --known-answers"
    ):
        run(spark, asking(other, "asked"))


@pytest.mark.parametrize(
    ("answer", "found", "alike"),
    [
        ({"label": "a", "score": 0.5}, {"label": "a", "score": 0.5049, "scores": []}, True),
        ({"label": "a", "score": 0.5}, {"label": "a", "score": 0.5051}, False),
        ({"label": "a"}, {"label": "b"}, False),
        ({"score": 1}, {"score": 0.999}, True),
        ({"score": 1}, {"label": "a"}, False),
        ({"tokens": [1.0, 2.0]}, {"tokens": [1.0]}, False),
        ({"echo": "x"}, None, False),
    ],
)
def test_labels_are_compared_exactly_and_numbers_within_the_tolerance(
    answer: dict[str, Any], found: dict[str, Any] | None, alike: bool
) -> None:
    assert known.is_answer(answer, Record(found, None)) is alike


def test_every_problem_of_the_lines_is_said_without_their_values(tmp_path: Path) -> None:
    lines = [{"txt": "hunter2"}, {"text": "hunter2", "prediction": {"labels": "hunter2"}}, {"text": "x", "prediction": "hunter2"}]
    found = list(known.problems(lines, CLASSIFY, {}))
    assert found == [
        "known_answers: 1: txt: unknown input; did you mean 'text'?",
        "known_answers: 1: text: missing, and text-classification needs it",
        "known_answers: 2: prediction.labels: no field of text-classification; did you mean 'label'?",
        "known_answers: 3: prediction: expected an object with fields of text-classification",
    ]
    assert list(known.problems([], CLASSIFY, {})) == ["known_answers: expected at least one question, found none"]
    (tmp_path / "lines").write_text('{"text": "hunter2"}\n["hunter2"]\nhunter2\n')
    with pytest.raises(ConfigError) as caught:
        known.read_lines(tmp_path / "lines")
    assert caught.value.problems == ("known_answers: line 2: expected a JSON object", "known_answers: line 3: expected a JSON object")


def test_a_question_that_the_model_cannot_answer_is_refused_when_it_is_logged(tmp_path: Path) -> None:
    def failing(rows: Sequence[Any]) -> list[Record]:
        return [Record({"label": "a"}, None), Record(None, RowError("input", "null_input", "text is NULL"))]

    lines = [{"text": "a"}, {"text": "b", "prediction": {"label": "b"}}, {"text": None}]
    with pytest.raises(ModelError, match=r"known_answers: 3: the model has no answer \(input/null_input: text is NULL\)"):
        known.write(tmp_path, lines, task=CLASSIFY, options={}, score=failing)
    assert not (tmp_path / known.FILE).exists()


def test_bytes_come_back_as_they_were_and_texts_as_a_run_sends_them() -> None:
    hears = tasks.load("audio-classification")
    asked = known.KnownAnswers(hears.name, {}, [{"audio": known.as_json(b"RIFF\x00"), "sampling_rate": None}, {"audio": [0.5]}], [{}, {}])
    assert asked.rows(hears) == [{"audio": b"RIFF\x00"}, {"audio": [0.5]}]
    assert known.KnownAnswers(CLASSIFY.name, {}, [{"text": "é"}], [{}]).rows(CLASSIFY) == [{"text": "é".encode()}]


def test_known_answers_of_another_task_are_refused(artifact: Path) -> None:
    with pytest.raises(ModelError, match="expected answers of fill-mask, found those of text-classification"):
        known.check(artifact, "model", tasks.load("fill-mask"))


def probed(artifact: Path, **options: Any) -> dict[str, Any]:
    """Return what an executor finds that is asked a model's questions, with changed options of the run's own."""
    where = Weights(digest.of_folder(artifact), str(artifact), None)
    chosen = {**known.read(artifact, "model").options, **options}
    scorer.forget()
    try:
        spec = Spec(CLASSIFY.name, chosen, Placement("cpu", "auto"), where, {}, known_answers=True)
        return dict(probe.report(spec, [{"text": b"An example."}]))
    finally:
        scorer.forget()


def test_questions_are_asked_under_the_options_that_the_model_was_logged_with(artifact: Path, tmp_path: Path) -> None:
    alike = changed(artifact, tmp_path / "alike", 3, score=known.read(artifact, "model").answers[1]["score"])
    found = probed(alike), probed(alike, top_k=1)
    assert [(each.get("refusal"), each["loads"]) for each in found] == [(None, 1), (None, 2)]
    assert "1 of 3 known answers come out otherwise here" in probed(artifact)["refusal"]


def test_the_job_takes_a_file_of_questions(tmp_path: Path) -> None:
    (tmp_path / "questions.jsonl").write_text('{"txt": "a"}\n')
    app = typer.Typer()
    app.command()(cli.log_model)
    done = CliRunner().invoke(app, [str(tmp_path), "--task", CLASSIFY.name, "--known-answers", str(tmp_path / "questions.jsonl")])
    assert (done.exit_code, "known_answers: 1: txt: unknown input; did you mean 'text'?" in done.stdout) == (2, True)


def test_a_line_is_one_whatever_characters_its_texts_hold(tmp_path: Path) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_text('{"text": "one\u2028two"}\n\n{"text": "three\u0085four"}\n', encoding="utf-8")
    assert [each["text"] for each in known.read_lines(file)] == ["one\u2028two", "three\u0085four"]
