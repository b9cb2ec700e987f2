"""What a sequence-to-sequence model writes, held against `model.generate` one row at a time, without Spark."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import TEXTS, native, predictions, scored, text_of, tiny_seq2seq

from sparkcoil import engines
from sparkcoil.engines import Placement
from sparkcoil.errors import RowError
from sparkcoil.tasks.text2text_generation import TASK

NEW = 20
ENDS = (1, 270, 95)


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random T5, laid out as a logged model."""
    return tiny_seq2seq(tmp_path_factory.mktemp("t5"))


@pytest.fixture(scope="module")
def expected(artifact: Path) -> list[list[int]]:
    """The tokens that the model gives for each text by itself."""
    return native(artifact, TEXTS, max_new_tokens=NEW)


def texts(predicted: Sequence[dict[str, Any]]) -> list[str]:
    return [each["text"] for each in predicted]


def test_texts_counts_and_reasons_equal_one_row_at_a_time(artifact: Path, expected: list[list[int]]) -> None:
    predicted = predictions(TASK, artifact, TEXTS, max_new_tokens=NEW)
    assert texts(predicted) == [text_of(artifact, tokens) for tokens in expected]
    assert [each["completion_tokens"] for each in predicted] == [len(tokens) for tokens in expected]
    assert [each["finish_reason"] for each in predicted] == ["stop" if tokens[-1] in ENDS else "length" for tokens in expected]
    assert {each["finish_reason"] for each in predicted} == {"stop", "length"}


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_beams_equal_one_row_at_a_time(artifact: Path, batch: int) -> None:
    settings = {"num_beams": 3, "max_new_tokens": 12, "length_penalty": 0.7, "no_repeat_ngram_size": 2}
    expected = native(artifact, TEXTS, **settings)
    assert texts(predictions(TASK, artifact, TEXTS, batch=batch, **settings)) == [text_of(artifact, tokens) for tokens in expected]


def test_a_repetition_penalty_equals_one_row_at_a_time(artifact: Path) -> None:
    expected = native(artifact, TEXTS, max_new_tokens=NEW, repetition_penalty=1.8)
    predicted = predictions(TASK, artifact, TEXTS, max_new_tokens=NEW, repetition_penalty=1.8)
    assert texts(predicted) == [text_of(artifact, tokens) for tokens in expected]


def test_lengths_count_as_in_transformers(artifact: Path) -> None:
    expected = native(artifact, TEXTS, max_length=9, min_length=6)
    predicted = predictions(TASK, artifact, TEXTS, max_length=9, min_length=6)
    assert texts(predicted) == [text_of(artifact, tokens) for tokens in expected]
    assert max(each["completion_tokens"] for each in predicted) == 8


def test_a_blank_text_is_scored_with_a_warning(artifact: Path) -> None:
    records = scored(TASK, artifact, ["", " \n"], max_new_tokens=3, prefix="summarize: ")
    assert [each.warnings for each in records] == [("blank_input",)] * 2
    assert all(each.prediction for each in records)


def test_the_prefix_stands_before_every_text(artifact: Path) -> None:
    expected = native(artifact, ["translate: an array"], max_new_tokens=NEW)[0]
    assert texts(predictions(TASK, artifact, ["an array"], max_new_tokens=NEW, prefix="translate: ")) == [text_of(artifact, expected)]


def test_a_long_text_is_cut_with_a_warning(artifact: Path) -> None:
    record = scored(TASK, artifact, ["socket " * 50], max_new_tokens=3, max_input_length=16)[0]
    assert record.prediction is not None
    assert (record.prediction["prompt_tokens"], record.warnings) == (16, ("truncated",))


def test_cutting_on_the_left_keeps_the_end(artifact: Path) -> None:
    left = {"truncation": "truncate_left", "max_input_length": 9, "max_new_tokens": NEW}
    long, end = predictions(TASK, artifact, ["message " * 30 + "an array", "message " * 9 + "an array"], **left)
    assert long == end


def test_a_long_text_fails_where_the_option_says_so(artifact: Path) -> None:
    record = scored(TASK, artifact, ["secret " * 50], truncation="fail", max_input_length=16)[0]
    assert record.error is not None and record.error.code == "too_long"
    assert "secret" not in record.error.message


def test_a_row_s_options_leave_its_neighbours_alone(artifact: Path) -> None:
    plain = predictions(TASK, artifact, TEXTS, max_new_tokens=NEW)
    rows: list[dict[str, Any]] = [{"text": text.encode(), "max_new_tokens": float("nan"), "stop": None} for text in TEXTS]
    rows[0]["max_new_tokens"] = np.int64(2)
    rows[1]["max_new_tokens"] = 30.0
    rows[4]["stop"] = plain[4]["text"][2:4].encode()
    rows[5]["num_beams"] = 4
    predicted = predictions(TASK, artifact, rows, max_new_tokens=NEW)
    assert [i for i in range(len(TEXTS)) if predicted[i] != plain[i]] == [0, 1, 4, 5]
    assert (predicted[0]["completion_tokens"], predicted[1]["completion_tokens"]) == (2, 30)
    assert predicted[4]["text"] == plain[4]["text"].split(plain[4]["text"][2:4])[0]


@pytest.mark.parametrize(
    ("name", "cell"),
    [("temperature", b"hot secret"), ("temperature", -1.0), ("max_new_tokens", 0), ("stop", np.array(["", "a"], dtype=object))],
)
def test_a_bad_option_fails_its_row_without_its_value(artifact: Path, name: str, cell: Any) -> None:
    bad, good = scored(TASK, artifact, [{"text": b"an array", name: cell}, TEXTS[0]], max_new_tokens=3)
    assert bad.error is not None and (bad.error.stage, bad.error.code) == ("input", "bad_option")
    assert name in bad.error.message and "secret" not in bad.error.message
    assert good.error is None


def test_a_row_s_name_for_an_option_takes_the_place_of_the_run_s(artifact: Path) -> None:
    predicted = predictions(TASK, artifact, [{"text": TEXTS[0].encode(), "max_new_tokens": 5}], max_length=18)
    assert predicted[0]["completion_tokens"] == 5


def test_a_stop_string_ends_the_text_before_it(artifact: Path, expected: list[list[int]]) -> None:
    whole = [text_of(artifact, tokens) for tokens in expected]
    stop = whole[5][3:6]
    predicted = predictions(TASK, artifact, TEXTS, max_new_tokens=NEW, stop=[stop])
    assert texts(predicted) == [text.split(stop)[0] for text in whole]
    assert predicted[5]["finish_reason"] == "stop"
    assert 0 < predicted[5]["completion_tokens"] < NEW


def test_several_texts_stay_with_their_row(artifact: Path) -> None:
    # Two of four beams: a random model's third and fourth are near ties, which another CPU may order otherwise.
    settings = {"num_beams": 4, "num_return_sequences": 2, "max_new_tokens": 8}
    together = predictions(TASK, artifact, TEXTS, **settings)
    alone = predictions(TASK, artifact, TEXTS, batch=1, **settings)
    assert together == alone
    assert all(len(each["sequences"]) == 2 and each["sequences"][0] == each["text"] for each in together)


def test_several_greedy_texts_are_refused(artifact: Path) -> None:
    record = scored(TASK, artifact, [TEXTS[0]], num_return_sequences=2)[0]
    assert isinstance(record.error, RowError) and record.error.code == "bad_option"


def test_sampling_does_not_depend_on_the_batch(artifact: Path) -> None:
    settings = {"do_sample": True, "max_new_tokens": 8, "num_return_sequences": 2}
    together = predictions(TASK, artifact, TEXTS, **settings)
    torch.manual_seed(99)
    assert predictions(TASK, artifact, TEXTS[::-1], batch=2, **settings)[::-1] == together
    assert predictions(TASK, artifact, TEXTS, seed=1, **settings) != together


def test_a_temperature_asks_for_sampling_and_zero_is_greedy(artifact: Path, expected: list[list[int]]) -> None:
    hot, cold = (predictions(TASK, artifact, TEXTS, max_new_tokens=NEW, temperature=each) for each in (2.0, 0.0))
    assert texts(cold) == [text_of(artifact, tokens) for tokens in expected] != texts(hot)


def test_sampling_leaves_the_process_s_generator_alone(artifact: Path) -> None:
    before = torch.get_rng_state()
    predictions(TASK, artifact, TEXTS[:1], max_new_tokens=2, temperature=1.0)
    assert torch.equal(before, torch.get_rng_state())


def test_the_model_s_own_lengths_hold_where_no_option_says(tmp_path: Path) -> None:
    artifact = tiny_seq2seq(tmp_path)
    (tmp_path / "model" / "generation_config.json").write_text(
        '{"max_length": 7, "num_beams": 2, "decoder_start_token_id": 0, "eos_token_id": 1}'
    )
    assert predictions(TASK, artifact, [TEXTS[0]])[0]["completion_tokens"] == 6


@pytest.mark.parametrize("how", [{}, {"temperature": 0.7}, {"num_beams": 2}], ids=str)
def test_nan_fails_the_row(artifact: Path, how: dict[str, Any]) -> None:
    engine: Any = engines.load("seq2seq", artifact, TASK.options(), Placement("cpu", "float32"))
    weight = engine.model.shared.weight.detach().clone()
    weight[50] = float("nan")
    engine.model.encoder.embed_tokens = torch.nn.Embedding.from_pretrained(weight)
    items = [
        TASK.read({"text": text}, TASK.options(max_new_tokens=3, **how))[0] for text in (b"12", engine.tokenizer.decode([50]).encode())
    ]
    good, bad = engine.forward(engine.prepare(items))
    assert (bad.stage, bad.code) == ("output", "non_finite")
    assert good.completions
