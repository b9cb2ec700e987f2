"""OpenAI's completion object around continued prompts, without Spark."""

from pathlib import Path

import pytest
from tiny_models import TEXTS, predictions, scored, tiny_causal

from sparkcoil import tasks
from sparkcoil.tasks.llm_v1_completions import TASK
from sparkcoil.tasks.text_generation import TASK as TEXT_GENERATION


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama, laid out as a logged model."""
    return tiny_causal(tmp_path_factory.mktemp("llama"), family="llama")


def rows(**cells: object) -> list[dict[str, object]]:
    return [{"prompt": text.encode(), **cells} for text in TEXTS]


def test_the_text_is_that_of_text_generation(artifact: Path) -> None:
    expected = predictions(TEXT_GENERATION, artifact, TEXTS, max_new_tokens=9, prompt_template="<{prompt}>")
    predicted = predictions(TASK, artifact, rows(), max_tokens=9, prompt_template="<{prompt}>")
    assert [{name: each[name] for name in expected[0]} for each in predicted] == expected


def test_the_response_is_filled(artifact: Path) -> None:
    predicted = predictions(TASK, artifact, rows(max_tokens=4, n=2, temperature=1.5))
    for each in predicted:
        response = each["response"]
        assert (response["object"], response["created"], response["model"]) == ("text_completion", 0, "LlamaForCausalLM")
        assert [choice["text"] for choice in response["choices"]] == each["sequences"]
        assert [choice["index"] for choice in response["choices"]] == [0, 1]
        assert response["usage"]["completion_tokens"] == each["completion_tokens"]
        assert response["usage"]["total_tokens"] == each["prompt_tokens"] + each["completion_tokens"]
    assert len({each["response"]["id"] for each in predicted}) == len(TEXTS)


def test_a_rerun_gives_the_same_response(artifact: Path) -> None:
    assert predictions(TASK, artifact, rows(), n=2, max_tokens=4) == predictions(TASK, artifact, rows()[::-1], n=2, max_tokens=4)[::-1]


def test_several_choices_are_sampled(artifact: Path) -> None:
    assert any(len(set(each["sequences"])) == 3 for each in predictions(TASK, artifact, rows(), n=3, max_tokens=6))


def test_a_null_prompt_is_failed(artifact: Path) -> None:
    error = scored(TASK, artifact, [{"prompt": None}])[0].error
    assert error is not None and (error.code, error.message) == ("null_input", "prompt is NULL")


def test_the_task_is_found_by_its_name() -> None:
    assert tasks.load("llm/v1/completions") is TASK
