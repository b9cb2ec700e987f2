"""How texts are continued, held against `model.generate` and the native pipeline one row at a time, without Spark."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tiny_models import ENDS, TEXTS, native, predictions, scored, tiny_causal

from sparkcoil.tasks.text_generation import TASK

NEW = 20


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def artifact(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model with absolute or rotary positions, laid out as a logged model."""
    return tiny_causal(tmp_path_factory.mktemp(request.param) / request.param, family=request.param)


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random GPT-2 with 64 positions, laid out as a logged model."""
    return tiny_causal(tmp_path_factory.mktemp("gpt2"))


def continued(artifact: Path, prompts: list[str], **settings: Any) -> list[str]:
    """Return what follows each prompt, by itself, in the text of prompt and new tokens."""
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(artifact / "model")
    found = []
    for prompt, tokens in zip(prompts, native(artifact, prompts, **settings), strict=True):
        found.append(str(tokenizer.decode([*tokenizer(prompt)["input_ids"], *tokens], skip_special_tokens=True))[len(prompt) :])
    return found


def test_texts_counts_and_reasons_equal_one_row_at_a_time(artifact: Path) -> None:
    tokens = native(artifact, TEXTS, max_new_tokens=NEW)
    predicted = predictions(TASK, artifact, TEXTS, max_new_tokens=NEW)
    assert [each["text"] for each in predicted] == continued(artifact, list(TEXTS), max_new_tokens=NEW)
    assert [each["completion_tokens"] for each in predicted] == [len(each) for each in tokens]
    ends = (1, *ENDS[artifact.name])
    assert [each["finish_reason"] for each in predicted] == ["stop" if each[-1] in ends else "length" for each in tokens]


def test_equals_the_native_pipeline(artifact: Path) -> None:
    pipeline: Any = transformers.pipeline("text-generation", model=str(artifact / "model"), device="cpu")
    texts = [text for text in TEXTS if text.strip()]
    settings = {"max_new_tokens": NEW, "do_sample": False}
    expected = [pipeline(text, return_full_text=False, **settings)[0]["generated_text"] for text in texts]
    assert [each["text"] for each in predictions(TASK, artifact, texts, **settings)] == expected
    whole = [pipeline(text, **settings)[0]["generated_text"] for text in texts]
    assert [each["text"] for each in predictions(TASK, artifact, texts, return_full_text=True, **settings)] == whole


@pytest.mark.parametrize(
    "settings",
    [
        {"num_beams": 3},
        {"repetition_penalty": 1.7},
        {"no_repeat_ngram_size": 1},
        {"num_beams": 2, "repetition_penalty": 1.7, "min_new_tokens": 5},
        {"max_length": 40, "min_length": 36},
    ],
    ids=str,
)
def test_settings_equal_one_row_at_a_time(artifact: Path, settings: dict[str, Any]) -> None:
    settings = settings if "max_length" in settings else {"max_new_tokens": 10, **settings}
    prompts = [text for text in TEXTS if len(text) < 22]
    assert [each["text"] for each in predictions(TASK, artifact, prompts, **settings)] == continued(artifact, prompts, **settings)


def test_a_prompt_as_long_as_max_length_is_failed(gpt2: Path) -> None:
    record = scored(TASK, gpt2, ["socket " * 5], max_length=6)[0]
    assert record.error is not None and record.error.code == "too_long"


def test_an_endless_prompt_is_cut_so_that_new_tokens_have_room(gpt2: Path) -> None:
    for new, kept, made in ((10, 54, 10), (1000, 32, 32)):
        record = scored(TASK, gpt2, ["socket " * 200 + "the end"], max_new_tokens=new, min_new_tokens=1000)[0]
        assert record.prediction is not None and record.warnings == ("truncated",)
        assert (record.prediction["prompt_tokens"], record.prediction["completion_tokens"]) == (kept, made)


def test_a_short_prompt_s_new_tokens_end_with_the_positions(gpt2: Path) -> None:
    predicted = predictions(TASK, gpt2, ["12"], max_new_tokens=1000, min_new_tokens=1000)[0]
    assert predicted["prompt_tokens"] + predicted["completion_tokens"] == 64


def test_the_end_of_a_prompt_is_kept_unless_the_option_says_otherwise(gpt2: Path) -> None:
    long = "message " * 30 + "array"
    left, end = predictions(TASK, gpt2, [long, "message " * 20 + "array"], max_new_tokens=8, max_input_length=9)
    right, start = predictions(TASK, gpt2, [long, "message " * 30], max_new_tokens=8, max_input_length=9, truncation="truncate_right")
    assert left == end != right == start


def test_a_blank_prompt_starts_from_the_first_token(gpt2: Path) -> None:
    record = scored(TASK, gpt2, [""], max_new_tokens=4)[0]
    assert record.prediction is not None and record.warnings == ("blank_input",)
    assert record.prediction["text"] == continued(gpt2, [""], max_new_tokens=4)[0]


def test_a_row_s_options_leave_its_neighbours_alone(gpt2: Path) -> None:
    plain = predictions(TASK, gpt2, TEXTS, max_new_tokens=NEW)
    rows: list[dict[str, Any]] = [{"text": text.encode(), "max_new_tokens": None, "stop": None, "temperature": np.nan} for text in TEXTS]
    rows[0]["max_new_tokens"] = 3.0
    stop = plain[8]["text"][2:4]
    rows[8]["stop"] = np.array([stop, "never there"], dtype=object)
    rows[5]["temperature"] = 3.0
    predicted = predictions(TASK, gpt2, rows, max_new_tokens=NEW)
    assert [i for i in range(len(TEXTS)) if predicted[i] != plain[i]] == [0, 5, 8]
    assert (predicted[8]["text"], predicted[8]["finish_reason"]) == (plain[8]["text"].split(stop)[0], "stop")


def test_sampling_does_not_depend_on_the_batch(gpt2: Path) -> None:
    settings = {"top_p": 0.9, "max_new_tokens": 8, "num_return_sequences": 3}
    together = predictions(TASK, gpt2, TEXTS, **settings)
    torch.manual_seed(99)
    assert predictions(TASK, gpt2, TEXTS[::-1], batch=2, **settings)[::-1] == together
    assert all(len(set(each["sequences"])) > 1 for each in together)


def test_a_template_goes_around_the_text_and_braces_stay(gpt2: Path) -> None:
    expected = continued(gpt2, ['{"q": "' + text + '"}' for text in TEXTS], max_new_tokens=6)
    for template in ('{"q": "{prompt}"}', '{{"q": "{prompt}"}}'):
        assert [each["text"] for each in predictions(TASK, gpt2, TEXTS, max_new_tokens=6, prompt_template=template)] == expected
