"""Texts about images held against `model.generate` and the native pipeline, row by row, for every family and batch size, without Spark."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import tiny_vision
import torch
import transformers
from architectures import first_of
from PIL import Image

from sparkcoil import engines
from sparkcoil.batching import Budget
from sparkcoil.engines import Engine, Placement
from sparkcoil.errors import ModelError
from sparkcoil.scoring import Record, Scoring
from sparkcoil.tasks import with_roots
from sparkcoil.tasks.image_text_to_text import TASK

SIZES = ((32, 32), (40, 60), (100, 50), (64, 64), (33, 97), (40, 60))
IMAGES = [tiny_vision.drawn(*size, seed) for seed, size in enumerate(SIZES)]
IMAGES += [IMAGES[1].convert("L"), IMAGES[2].convert("P"), IMAGES[3].convert("1")]
QUESTIONS = ("what is it?", "where is the socket", "what is it?", "12", "🙂 é?", "what is it?")
TEXTS = [QUESTIONS[i % len(QUESTIONS)] for i in range(len(IMAGES))]
NEW = {"max_new_tokens": 8}
CHATTING = ("llava", "qwen2_vl", "idefics3")


@pytest.fixture(scope="module", params=first_of(tiny_vision.WRITERS))
def artifact(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_vision.tiny_writer(tmp_path_factory.mktemp("writers") / request.param, request.param)


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_vision.tiny_writer(tmp_path_factory.mktemp("one") / "llava", "llava")


def rows(images: Sequence[Any], texts: Sequence[str | None] | None) -> list[dict[str, Any]]:
    """Return images with texts as they arrive at a worker."""
    cells = [image if isinstance(image, bytes) else tiny_vision.png(image) for image in images]
    if texts is None:
        return [{"image": cell} for cell in cells]
    return [{"image": cell, "text": text and text.encode()} for cell, text in zip(cells, texts, strict=True)]


@cache
def engine_of(artifact: Path, template: str | None) -> Engine:
    """Return a model in its engine, which is the same whatever the options, but for the template."""
    return engines.load(engines.name_of(TASK, artifact), artifact, TASK.options(prompt_template=template), Placement("cpu", "auto"))


def records(artifact: Path, given: Sequence[dict[str, Any]], *, batch: int = 8, **options: Any) -> list[Record]:
    chosen = with_roots(TASK.options(**{**NEW, **options}), ())
    engine = engine_of(artifact, options.get("prompt_template"))
    return Scoring(TASK, engine, chosen, Budget(engine.budget.size * 8, batch)).score(given)[0]


def predictions(artifact: Path, given: Sequence[dict[str, Any]], **options: Any) -> list[dict[str, Any]]:
    """Return the predictions of rows, none of which may fail."""
    found = records(artifact, given, **options)
    assert [each.error for each in found] == [None] * len(found)
    return [each.prediction or {} for each in found]


def codes(found: Sequence[Record]) -> list[str | None]:
    return [each.error.code if each.error else None for each in found]


def message(image: Image.Image, text: str | None) -> list[dict[str, Any]]:
    """Return a conversation of one image and at most one text."""
    words = [] if text is None else [{"type": "text", "text": text}]
    return [{"role": "user", "content": [{"type": "image", "image": image}, *words]}]


@cache
def alone(artifact: Path) -> "Alone":
    return Alone(artifact)


class Alone:
    """A model by itself, to which each row is put alone(artifact)."""

    def __init__(self, artifact: Path) -> None:
        folder, self.family = artifact / "model", artifact.name
        is_vqa = self.family == "blip-vqa"
        auto: Any = transformers.BlipForQuestionAnswering if is_vqa else transformers.AutoModelForImageTextToText
        self.model: Any = auto.from_pretrained(folder).eval()
        self.tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder)
        loader: Any = transformers.AutoImageProcessor if self.family == "vit-gpt2" else transformers.AutoProcessor
        self.processor: Any = loader.from_pretrained(folder)

    @property
    def ends(self) -> Sequence[int]:
        """The tokens that end a text."""
        separator = tiny_vision.SEPARATORS.get(self.family)
        return (separator,) if separator else self.model.generation_config.eos_token_id

    def inputs(self, image: Image.Image, text: str | None) -> tuple[dict[str, Any], int]:
        """Return what the model takes, and how many tokens of what it gives were there before."""
        if self.family in CHATTING:
            chat = message(image, text)
            found = self.processor.apply_chat_template(
                chat, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
            )
            return found, found["input_ids"].shape[1]
        if self.family == "vit-gpt2":
            found = self.processor(images=image, return_tensors="pt")
            begun = {} if text is None else {"decoder_input_ids": self.tokenizer(text, return_tensors="pt").input_ids}
            return {**found, **begun}, 1 + (begun["decoder_input_ids"].shape[1] if begun else 0)
        found = self.processor(images=image, text=text, return_tensors="pt")
        is_answer = text is None or self.family == "blip-vqa"
        return found, 1 if is_answer else found["input_ids"].shape[1] - 1

    def written(self, image: Image.Image, text: str | None, **settings: Any) -> tuple[str, int, str]:
        """Return the new text, how many tokens it has, and why it ends."""
        found, start = self.inputs(image.convert("RGB"), text)
        output = self.model.generate(**found, **{"do_sample": False, **NEW, **settings})[0].tolist()
        before = self.tokenizer.decode(output[:start], skip_special_tokens=True)
        return (
            self.tokenizer.decode(output, skip_special_tokens=True)[len(before) :],
            len(output) - start,
            "stop" if output[-1] in self.ends else "length",
        )


def told(found: Sequence[dict[str, Any]]) -> list[tuple[str, int, str]]:
    return [(each["text"], each["completion_tokens"], each["finish_reason"]) for each in found]


def test_texts_counts_and_reasons_equal_one_row_at_a_time_for_every_batch_size_and_remainder(artifact: Path) -> None:
    expected = [alone(artifact).written(*each) for each in zip(IMAGES, TEXTS, strict=True)]
    given = rows(IMAGES, TEXTS)
    for batch in (1, 2, 64):
        assert told(predictions(artifact, given, batch=batch)) == expected
    for count in (1, 5):
        assert told(predictions(artifact, given[:count], batch=3)) == expected[:count]
    # A random model is only worth being asked if it sees what it is shown.
    assert len({text for (text, *_), asked in zip(expected, TEXTS, strict=True) if asked == TEXTS[0]}) > 2
    assert {reason for *_, reason in expected} == {"stop", "length"}


def test_a_prompt_s_tokens_are_those_that_the_processor_makes(artifact: Path) -> None:
    found = predictions(artifact, rows(IMAGES[:4], TEXTS[:4]))
    inputs = [alone(artifact).inputs(image, text)[0] for image, text in zip(IMAGES[:4], TEXTS[:4], strict=True)]
    name = "decoder_input_ids" if artifact.name == "vit-gpt2" else "input_ids"
    first = 1 if artifact.name == "vit-gpt2" else 0  # the token that its texts begin with
    assert [each["prompt_tokens"] for each in found] == [each[name].shape[1] + first for each in inputs]


def test_images_without_a_text_equal_one_row_at_a_time(artifact: Path) -> None:
    if artifact.name == "blip-vqa":
        assert codes(records(artifact, rows(IMAGES[:2], None))) == ["null_input"] * 2
        return
    expected = [alone(artifact).written(image, None) for image in IMAGES]
    assert told(predictions(artifact, rows(IMAGES, None))) == expected
    assert len({text for text, *_ in expected}) > 3


def test_texts_equal_the_native_pipelines(artifact: Path) -> None:
    if artifact.name in ("blip-vqa", "vit-gpt2"):
        pytest.skip("the native pipeline does not run it")
    pipe: Any = transformers.pipeline("image-text-to-text", model=str(artifact / "model"), device="cpu")
    given = {"return_full_text": False, "max_new_tokens": 8}
    native = []
    for image, text in zip(IMAGES[:4], TEXTS[:4], strict=True):
        if artifact.name == "blip":
            # It takes what the model wrote for the prompt only if that is found at its very beginning.
            native += pipe(images=image, text=text, **given)
        else:
            native += pipe(text=message(image, text), **given)
    assert [each["text"] for each in predictions(artifact, rows(IMAGES[:4], TEXTS[:4]))] == [each["generated_text"] for each in native]


@pytest.mark.parametrize(
    "settings",
    [
        {"repetition_penalty": 1.7, "no_repeat_ngram_size": 1},
        {"num_beams": 2, "min_new_tokens": 5},
    ],
    ids=str,
)
def test_settings_equal_one_row_at_a_time(artifact: Path, settings: dict[str, Any]) -> None:
    expected = [alone(artifact).written(image, text, **settings) for image, text in zip(IMAGES[:4], TEXTS[:4], strict=True)]
    found = predictions(artifact, rows(IMAGES[:4], TEXTS[:4]), **settings)
    assert [each["text"] for each in found] == [text for text, *_ in expected]


def test_max_length_counts_the_prompt(artifact: Path) -> None:
    start = alone(artifact).inputs(IMAGES[0], TEXTS[0])[1]
    expected = alone(artifact).written(IMAGES[0], TEXTS[0], max_new_tokens=None, max_length=start + 4, min_new_tokens=4)
    found = predictions(artifact, rows(IMAGES[:1], TEXTS[:1]), max_new_tokens=None, max_length=start + 4, min_new_tokens=4)
    assert told(found) == [expected] and expected[1] == 4


def test_a_row_s_options_leave_its_neighbours_alone(llava: Path) -> None:
    given = rows([IMAGES[0]] * 3 + IMAGES[1:4], ["what is it?"] * 6)
    given[1]["text"] = b"what is in?"
    plain = predictions(llava, given, min_new_tokens=8)
    given[0]["max_new_tokens"] = 3.0
    given[3]["stop"] = stop = plain[3]["text"][2:4]
    given[4]["temperature"] = 9.0
    found = predictions(llava, given, min_new_tokens=8)
    assert [i for i in range(6) if found[i] != plain[i]] == [0, 3, 4]
    assert (found[0]["completion_tokens"], found[0]["finish_reason"]) == (3, "length")
    assert (found[3]["text"], found[3]["finish_reason"]) == (plain[3]["text"].split(stop)[0], "stop")


def test_sampling_does_not_depend_on_the_batch(llava: Path) -> None:
    given = rows(IMAGES[:5], TEXTS[:5])
    settings = {"top_p": 0.9, "num_return_sequences": 3}
    together = predictions(llava, given, **settings)
    torch.manual_seed(99)
    assert predictions(llava, given[::-1], batch=2, **settings)[::-1] == together
    assert len(set(together[0]["sequences"])) > 1


def test_a_template_stands_around_the_text(llava: Path) -> None:
    plain = predictions(llava, rows(IMAGES[:3], ["what is it?"] * 3))
    assert predictions(llava, rows(IMAGES[:3], ["it"] * 3), prompt_template="what is {prompt}?") == plain
    assert predictions(llava, rows(IMAGES[:3], None), prompt_template="what is it?") == plain


def test_a_template_with_the_model_s_token_for_an_image_is_the_whole_prompt(llava: Path) -> None:
    whole = "<s>user: <image>{prompt}</s><s>assistant:"
    plain = predictions(llava, rows(IMAGES[:3], TEXTS[:3]))
    assert predictions(llava, rows(IMAGES[:3], TEXTS[:3]), prompt_template=whole) == plain


def test_the_prompt_can_be_kept(llava: Path) -> None:
    found = predictions(llava, rows(IMAGES[:1], ["12"]), return_prompt=True)
    assert found[0]["prompt"] == "<s>user: <image>12</s><s>assistant:"


def test_a_model_without_a_chat_template_is_refused_until_a_template_has_an_image_in_it(tmp_path: Path) -> None:
    plain = tiny_vision.tiny_writer(tmp_path / "llava", "llava", chat=False)
    with pytest.raises(ModelError, match=r"no chat template.*set `prompt_template`, such as '<image>"):
        records(plain, rows(IMAGES[:1], ["12"]))
    assert codes(records(plain, rows(IMAGES[:2], ["12", "13"]), prompt_template="<image>\n{prompt}")) == [None, None]


def test_a_text_with_the_model_s_token_for_an_image_fails_alone(llava: Path) -> None:
    texts = ["what is it?", "an <image> of", "what is it?"]
    for template in (None, "<image>{prompt}"):
        assert codes(records(llava, rows(IMAGES[:3], texts), prompt_template=template)) == [None, "bad_prompt", None]


def test_what_is_no_image_or_no_text_fails_alone(llava: Path) -> None:
    torn = tiny_vision.png(IMAGES[0])[:-300]
    given = rows([IMAGES[0], b"no image", IMAGES[1], torn, Image.new("RGB", (300, 2))], ["12", "12", None, "12", "12"])
    assert codes(records(llava, given)) == [None, "undecodable_image", "null_input", "truncated_image", "image_too_narrow"]


def test_an_overlong_text_is_cut_where_that_is_allowed(llava: Path) -> None:
    long = "what " * 100 + "is it?"
    found = records(llava, rows(IMAGES[:1], [long]), max_new_tokens=20)[0]
    assert found.prediction is not None and found.warnings == ("truncated",)
    assert found.prediction["prompt_tokens"] <= 256 - 20
    assert codes(records(llava, rows(IMAGES[:2], [long, "12"]), truncation="fail", max_new_tokens=20)) == ["too_long", None]


def test_the_end_of_a_text_is_kept_unless_the_option_says_otherwise(llava: Path) -> None:
    settings: dict[str, Any] = {"max_input_length": 4, "return_prompt": True}
    text = "aaaa bbbb cccc dddd"
    left, right = (
        predictions(llava, rows(IMAGES[:1], [text]), truncation=side, **settings)[0]["prompt"]
        for side in ("truncate_left", "truncate_right")
    )
    kept = left.removeprefix("<s>user: <image>").removesuffix("</s><s>assistant:")
    assert text.endswith(kept) and 0 < len(kept) <= 4
    assert text.startswith(right.removeprefix("<s>user: <image>").removesuffix("</s><s>assistant:"))


def test_a_text_that_is_not_of_the_form_asked_for_is_failed(llava: Path) -> None:
    assert codes(records(llava, rows(IMAGES[:2], None), response_schema="name STRING", response_retries=1)) == ["not_json"] * 2


def test_an_image_is_needed_and_a_text_where_the_template_has_it() -> None:
    def needed(template: str | None) -> list[str]:
        return [each.name for each in TASK.options(prompt_template=template).fit(TASK).inputs if each.required]

    assert needed(None) == ["image"]
    assert needed("an {adjective} image") == ["image", "{adjective}"]
    assert needed("{prompt}?") == ["image", "text"]
