"""What is refused by name, before a model is read or a row: at each door, with the reason and what comes nearest."""

import json
from pathlib import Path

import pytest

from sparkcoil import fitness, refused, registry, tasks
from sparkcoil.agreement import task_problems
from sparkcoil.artifact import LoggedModel
from sparkcoil.errors import ConfigError, ModelError
from sparkcoil.problems import said


@pytest.mark.parametrize("name", refused.TASKS)
def test_a_refused_task_is_named_with_its_reason_and_the_nearest_one(name: str) -> None:
    reason, nearest = refused.TASKS[name]
    with pytest.raises(ModelError) as raised:
        tasks.load(name)
    assert str(raised.value) == f"task {name!r} is not one that sparkcoil scores: {reason}; the nearest task is {nearest!r}"


def test_no_refused_task_is_there_and_all_that_are_nearest_are() -> None:
    assert not set(refused.TASKS) & tasks.every_name()
    assert {nearest for _, nearest in refused.TASKS.values()} <= set(tasks.names())


def test_a_run_file_and_log_model_say_so_too() -> None:
    expected = "task: unknown task, found 'video-classification': videos are not decoded here; take frames of them as images; "
    run = {"task": "video-classification"}
    assert [said(each, run) for each in task_problems(run)] == [f"{expected}the nearest task is 'image-classification'"]
    with pytest.raises(ConfigError) as raised:
        registry.checked("video-classification", None, None, None, None, None, None)
    assert raised.value.problems == (f"{expected}the nearest task is 'image-classification'",)


def test_a_model_that_needs_text_recognition_is_refused_by_its_class(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps({"architectures": ["LayoutLMv3ForQuestionAnswering"]}))
    logged = LoggedModel(str(tmp_path), None, tmp_path)
    found = next(iter(fitness.problems(logged, tasks.load("document-question-answering"))))
    assert found == (
        "task document-question-answering expects a model class ending in VisionEncoderDecoderModel, found LayoutLMv3ForQuestionAnswering"
        ": it reads words and their places, which text recognition (OCR) finds in a document, and none runs here"
    )
