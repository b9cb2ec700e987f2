"""Conversations in every form they come in, and OpenAI's chat completion object, without Spark."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_models import CHAT_TEMPLATE, TEXTS, native, predictions, scored, text_of, tiny_causal

from sparkcoil import tasks
from sparkcoil.errors import ModelError, RowError
from sparkcoil.tasks.llm_v1_chat import TASK, ChatOptions

NEW = 8


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama with a chat template that refuses a role it does not know, laid out as a logged model."""
    refusing = "{% if messages[0]['role'] == 'ghost' %}{{ raise_exception('secret') }}{% endif %}"
    return tiny_causal(tmp_path_factory.mktemp("llama"), family="llama", chat_template=refusing + CHAT_TEMPLATE)


def said(*turns: tuple[str, str]) -> np.ndarray:
    """Return a conversation as Spark's arrays of structs arrive: dicts in a numpy array, with a null for what is not there."""
    return np.array([{"role": role, "content": content, "name": None} for role, content in turns], dtype=object)


def rendered(*turns: tuple[str, str]) -> str:
    return "".join(f"<s>{role}: {content}</s>" for role, content in turns) + "<s>assistant:"


def answers(artifact: Path, prompts: list[str], **settings: Any) -> list[str]:
    """Return what the model says to each rendered conversation by itself."""
    return [text_of(artifact, tokens) for tokens in native(artifact, prompts, special=False, **settings)]


@pytest.mark.parametrize("batch", [1, 2, 7, 32])
def test_equals_one_row_at_a_time_for_every_batch_size(artifact: Path, batch: int) -> None:
    turns = [
        [("system", "sorted"), ("user", text), ("assistant", "an array"), ("user", text[::-1])][i % 3 :] for i, text in enumerate(TEXTS)
    ]
    predicted = predictions(TASK, artifact, [{"messages": said(*each)} for each in turns], batch=batch, max_tokens=NEW)
    assert [each["text"] for each in predicted] == answers(artifact, [rendered(*each) for each in turns], max_new_tokens=NEW)


def test_every_form_of_a_conversation_gives_the_same_answer(artifact: Path) -> None:
    turns = [("system", "sorted"), ("user", '{"a": [1, 2]}')]
    forms: list[dict[str, Any]] = [
        {"messages": said(*turns), "text": b"unread"},
        {"messages": json.dumps([{"role": role, "content": content} for role, content in turns]).encode()},
        {"messages": None, "text": turns[1][1].encode(), "system_prompt": b"sorted"},
        {"messages": said(*turns), "system_prompt": b"not put before another"},
    ]
    predicted = [predictions(TASK, artifact, [form], max_tokens=NEW)[0]["text"] for form in forms]
    assert predicted == answers(artifact, [rendered(*turns)], max_new_tokens=NEW) * len(forms)


def test_the_system_prompt_of_the_run_stands_first(artifact: Path) -> None:
    predicted = predictions(TASK, artifact, [{"text": b"an array"}], max_tokens=NEW, system_prompt="sorted")
    assert predicted[0]["text"] == answers(artifact, [rendered(("system", "sorted"), ("user", "an array"))], max_new_tokens=NEW)[0]


@pytest.mark.parametrize(
    "messages",
    [
        np.array([], dtype=object),
        said(("user", "secret"), ("user", None)),  # type: ignore[arg-type]
        said(("", "secret")),
        b"secret, not JSON",
        b'{"role": "user", "content": "secret"}',
        b'["secret"]',
        b'[{"role": "user", "content": ["secret"]}]',
        b"[" * 100_000,
        said(("ghost", "secret")),
    ],
    ids=["empty", "no content", "no role", "no json", "no array", "no struct", "no text", "too deep", "refused by the template"],
)
def test_a_bad_conversation_fails_its_row_without_its_content(artifact: Path, messages: Any) -> None:
    bad, good = scored(TASK, artifact, [{"messages": messages}, {"messages": said(("user", "an array"))}], max_tokens=2)
    assert bad.error is not None and (bad.error.stage, bad.error.code) == ("input", "bad_messages")
    assert "secret" not in bad.error.message
    assert good.error is None


@pytest.mark.parametrize("row", [{}, {"messages": None}, {"text": None}, {"messages": float("nan"), "text": None}], ids=str)
def test_no_conversation_is_a_null_input(row: dict[str, Any]) -> None:
    with pytest.raises(RowError, match="is NULL") as caught:
        TASK.read(row, ChatOptions())
    assert caught.value.code == "null_input"


def test_a_blank_message_is_answered_with_a_warning(artifact: Path) -> None:
    record = scored(TASK, artifact, [{"text": b" "}], max_tokens=2)[0]
    assert record.prediction is not None and record.warnings == ("blank_input",)


def test_a_row_s_options_leave_its_neighbours_alone(artifact: Path) -> None:
    plain = predictions(TASK, artifact, [{"text": text.encode()} for text in TEXTS], max_tokens=NEW)
    unset = {"max_tokens": np.nan, "temperature": np.nan, "n": np.nan, "stop": None}
    rows: list[dict[str, Any]] = [{"text": text.encode(), **unset} for text in TEXTS]
    rows[0]["max_tokens"] = 3.0
    rows[1]["stop"] = plain[1]["text"][3:5].encode()
    rows[3]["n"] = 2.0
    rows[4]["temperature"] = 2.5
    predicted = predictions(TASK, artifact, rows, max_tokens=NEW)
    same = [
        i
        for i, each in enumerate(predicted)
        if {**each, "response": {**each["response"], "id": 0}} == {**plain[i], "response": {**plain[i]["response"], "id": 0}}
    ]
    assert same == [2, 5, 6, 7, 8, 9]
    assert predicted[0]["response"]["usage"]["completion_tokens"] == 3
    assert predicted[1]["response"]["choices"][0]["finish_reason"] == "stop"
    assert len(predicted[3]["response"]["choices"]) == 2


def test_a_row_s_sampling_does_not_depend_on_the_batch(artifact: Path) -> None:
    rows = [{"text": text.encode(), "temperature": 1.5, "seed": i} for i, text in enumerate(TEXTS)]
    assert predictions(TASK, artifact, rows[::-1], batch=2, max_tokens=4)[::-1] == predictions(TASK, artifact, rows, max_tokens=4)


def test_usage_does_not_count_padding(artifact: Path) -> None:
    rows = [{"text": b"12"}, {"text": b"the rest follows " * 9}]
    together, alone = predictions(TASK, artifact, rows, max_tokens=2)[0], predictions(TASK, artifact, rows[:1], max_tokens=2)[0]
    assert together["response"]["usage"] == alone["response"]["usage"]


def test_the_response_is_a_chat_completion(artifact: Path) -> None:
    predicted = predictions(TASK, artifact, [{"text": b"an array"}], max_tokens=2, stop="never there")[0]
    response = predicted["response"]
    assert response["object"] == "chat.completion" and response["id"].startswith("chatcmpl-")
    assert response["choices"] == [{"index": 0, "message": {"role": "assistant", "content": predicted["text"]}, "finish_reason": "length"}]


def test_a_model_without_a_chat_template_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has no chat template: set `tokenizer.chat_template`"):
        scored(TASK, tiny_causal(tmp_path), [{"text": b"an array"}])


def test_the_task_is_found_by_its_name() -> None:
    assert tasks.load("llm/v1/chat") is TASK


def test_a_row_that_asks_for_json_fails_alone_where_the_answer_is_none(artifact: Path) -> None:
    body = {"messages": [{"role": "user", "content": "an array"}], "max_tokens": NEW}
    asking = {**body, "response_format": {"type": "json_object"}}
    free, held = scored(TASK, artifact, [{"request": json.dumps(each).encode()} for each in (body, asking)])
    assert free.error is None
    assert held.error is not None and (held.error.stage, held.error.code) == ("output", "not_json")
