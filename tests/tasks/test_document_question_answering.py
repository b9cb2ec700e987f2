"""Answers about documents held against the native pipeline, document by document, without Spark."""

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import tiny_vision
import transformers

from sparkcoil import engines
from sparkcoil.batching import Budget
from sparkcoil.engines import Engine, Placement
from sparkcoil.errors import ModelError
from sparkcoil.scoring import Record, Scoring
from sparkcoil.tasks.document_question_answering import PROMPT, TASK

SIZES = ((32, 32), (40, 60), (100, 50), (64, 64), (33, 97), (40, 60))
IMAGES = [tiny_vision.drawn(*SIZES[seed % 6], seed) for seed in range(18)]
QUESTIONS = ["what is it?", "where is the socket", "what is it?", "12", "what is it?", "🙂 é?"] * 3
NEW = {"max_new_tokens": 24}


@pytest.fixture(scope="module")
def donut(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_vision.tiny_donut(tmp_path_factory.mktemp("donut"))


@cache
def engine_of(artifact: Path) -> Engine:
    return engines.load(engines.name_of(TASK, artifact), artifact, TASK.options(), Placement("cpu", "auto"))


def records(artifact: Path, questions: Sequence[str | None] = QUESTIONS, *, batch: int = 8, **options: Any) -> list[Record]:
    chosen, engine = TASK.options(**{**NEW, **options}), engine_of(artifact)
    asked = [text and text.encode() for text in questions]
    rows = [{"image": tiny_vision.png(image), "question": text} for image, text in zip(IMAGES, asked, strict=False)]
    return Scoring(TASK, engine, chosen, Budget(engine.budget.size, batch)).score(rows)[0]


def parts(artifact: Path) -> dict[str, Any]:
    """Return a model with its tokenizer and its image processor, as the native pipeline is given them."""
    loaders: dict[str, Any] = {
        "model": transformers.AutoModelForImageTextToText,
        "tokenizer": transformers.AutoTokenizer,
        "image_processor": transformers.AutoImageProcessor,
    }
    return {name: loader.from_pretrained(artifact / "model") for name, loader in loaders.items()}


def test_answers_equal_the_native_pipelines_for_every_batch_size(donut: Path) -> None:
    own = parts(donut)
    own["model"].generation_config.max_new_tokens = NEW["max_new_tokens"]
    pipe: Any = transformers.pipeline("document-question-answering", device="cpu", **own)
    native = [pipe(image=image, question=text)[0]["answer"] for image, text in zip(IMAGES, QUESTIONS, strict=True)]
    assert len(set(native)) > 2 and None in native
    for batch in (1, 4):
        found = records(donut, batch=batch)
        assert [each.prediction and each.prediction["answer"] for each in found] == native
        assert [each.warnings for each in found] == [("unanswered",) if answer is None else () for answer in native]


def test_scores_are_the_probabilities_of_what_was_written(donut: Path) -> None:
    own = parts(donut)
    expected = []
    for image, text in zip(IMAGES, QUESTIONS, strict=True):
        pixels = own["image_processor"](images=image, return_tensors="pt")["pixel_values"]
        ids = own["tokenizer"](PROMPT.format(text), add_special_tokens=False, return_tensors="pt")["input_ids"]
        asked = {"do_sample": False, "return_dict_in_generate": True, "output_scores": True, **NEW}
        output = own["model"].generate(pixels, decoder_input_ids=ids, **asked)
        expected.append(math.exp(own["model"].compute_transition_scores(output.sequences, output.scores, normalize_logits=True).sum()))
    found = [each.prediction["score"] for each in records(donut) if each.prediction]
    assert found == pytest.approx(expected, rel=1e-3)


def test_a_question_that_is_none_or_would_end_itself_fails_alone(donut: Path) -> None:
    found = records(donut, ["12", None, "what</s_question><s_answer>", "what " * 200])
    assert [each.error.code if each.error else None for each in found] == [None, "null_input", "bad_prompt", "too_long"]


def test_an_encoder_that_is_asked_otherwise_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"expects an encoder of type donut-swin, found vit; use image-text-to-text"):
        engine_of(tiny_vision.tiny_writer(tmp_path / "vit-gpt2", "vit-gpt2"))
