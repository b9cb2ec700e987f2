"""What the contract asks of every task is asked with these: a tiny model, rows that it can score, and who says what must come out.

A new task gets all of test_task_contract.py by an entry here.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import bad_media
import one_by_one
import seen_one_by_one as seen
import tiny_detection
import tiny_encoders
import tiny_examples
import tiny_models
import tiny_speech
import tiny_vision

from sparkcoil import testing

ROOT = Path(__file__).parents[1]
COUNT = 33
Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Case:
    """A task with what builds a model for it, rows that it can score, and an oracle that says what comes out for each of them.

    `varied` is the input that the contract puts odd texts into, as the cells that `cell` makes of them.
    """

    task: str
    build: Callable[[Path], Path]
    rows: Callable[[], Sequence[Row]]
    varied: str
    oracle: Callable[[Path, Sequence[Row]], Sequence[Mapping[str, Any]]]
    options: Mapping[str, Any] = field(default_factory=dict)
    cell: Callable[[str], Any] = str
    variant: str = ""

    def __str__(self) -> str:
        return f"{self.task} {self.variant}".strip()


def some(texts: Sequence[str], source: str, reach: int) -> list[str]:
    """Return the texts and further parts of a source, of many lengths, as many as a case has rows."""
    return [*texts, *(source[7 * i : 7 * i + 3 + 11 * i % reach] for i in range(COUNT - len(texts)))]


TEXTS = some(tiny_encoders.TEXTS, " ".join(tiny_encoders.SENTENCES), 80)
LONG = [" ".join((TEXTS * 2)[i : i + 1 + i % 9]) for i in range(COUNT)]
SPOKEN = some([each for each in tiny_encoders.TEXTS if each != "12"], " ".join(tiny_encoders.SENTENCES[:4]), 40)
PROMPTS = some([each for each in tiny_models.TEXTS if each.strip()], "; ".join(tiny_models.CORPUS), 30)
LABELS = ("politics", "sports", "the weather", "science")
NEW = {"max_new_tokens": 16}


def of(name: str, cells: Sequence[Any], **others: Any) -> Callable[[], list[Row]]:
    """Return rows that differ in one input."""
    return lambda: [{name: each, **others} for each in cells]


def encoder(auto_class: str, *, family: str = "bert", **config: Any) -> Callable[[Path], Path]:
    """Return what builds a tiny encoder."""
    return lambda folder: tiny_encoders.build(folder, auto_class, family=family, **config)


def causal(family: str, **given: Any) -> Callable[[Path], Path]:
    """Return what builds a tiny model that continues texts."""
    return lambda folder: tiny_models.tiny_causal(folder, family=family, **given)


def echo(folder: Path) -> Path:
    """Lay out the model for tests as a logged model."""
    testing.write_checkpoint(folder / "model")
    return folder


def tapas(folder: Path) -> Path:
    """Build a tiny TAPAS."""
    folder.mkdir(exist_ok=True)
    return tiny_encoders.build_tapas(folder)


def keypad(folder: Path) -> Path:
    """Lay out the keypad model as a logged model."""
    folder.mkdir(exist_ok=True)
    (folder / "model").symlink_to(tiny_examples.kept() / "models" / "keypad")
    return folder


def listener(folder: Path) -> Path:
    """Build a tiny wav2vec2 that labels sounds."""
    return tiny_speech.tiny_classifier(folder, "wav2vec2", feat_extract_norm="layer")


def recordings() -> list[Row]:
    """Return recordings of all rates, formats and channel counts."""
    return [{"audio": file.read_bytes()} for file in sorted((ROOT / ".cache" / "keypad" / "recordings").iterdir())[:COUNT]]


def noises() -> list[Row]:
    """Return recordings that change all the time, of many lengths."""
    return [{"audio": tiny_speech.wav(tiny_speech.noise(0.2 + 0.37 * i % 5, i))} for i in range(COUNT)]


def labelled_noises() -> list[Row]:
    """Return recordings no longer than the model hears, that have labels of their own, one or several."""
    given = ("a dog", "rain", "science", "sports and the weather")
    return [
        {"audio": tiny_speech.wav(tiny_speech.noise(0.1 + i / 40, i)), "candidate_labels": list(given[: 1 + i % 4])} for i in range(COUNT)
    ]


def sound(text: str) -> bytes:
    """Return a recording that takes about as many bytes as a text."""
    return bad_media.good_audio(len(text) / 32_000)


def saw(
    task: str,
    build: Callable[..., Path],
    oracle: Callable[..., Any],
    rows: Callable[[], Sequence[Row]] = seen.drawings,
    *,
    variant: str = "",
    **options: Any,
) -> Case:
    """Return the case of a task that sees."""
    return Case(task, build, rows, "image", oracle, options, cell=seen.picture, variant=variant)


def message(text: str) -> str:
    """Return a conversation with one message."""
    return json.dumps([{"role": "user", "content": text}])


def masked(text: str) -> str:
    """Return a text with a mask in it."""
    return f"{text[:9]} [MASK] {text[9:]}"[:1_000_000]


def questions() -> list[Row]:
    """Return questions with contexts, also with such as are read in several windows."""
    asked = ("Where was Marie Curie born?", "Who barked at the postman?", "12", "🙂?", "What?")
    return [{"question": asked[i % len(asked)], "context": each} for i, each in enumerate([*TEXTS[5:], *LONG[-5:]])]


def tables() -> list[Row]:
    """Return questions about tables, also about one that is too long."""
    table = {"name": ["cat", "dog", "Marie Curie", "🙂"], "age": ["3", "4", "66", ""], "born in": ["Paris", "London", "Warsaw", "1969"]}
    given = [json.dumps(each) for each in (table, {name: column * 20 for name, column in table.items()}, {"a": ["1"]})]
    return [{"query": text[:40], "table": given[i % 3]} for i, text in enumerate(TEXTS)]


def labelled() -> list[Row]:
    """Return texts that have labels of their own, one or several."""
    return [{"text": text, "candidate_labels": list(LABELS[: 1 + i % 4])} for i, text in enumerate(TEXTS)]


CLASSIFIER = "AutoModelForSequenceClassification"
VERDICTS = ("contradiction", "neutral", "entailment")
NLI = {"id2label": dict(enumerate(VERDICTS)), "label2id": {name: i for i, name in enumerate(VERDICTS)}}
STRIDE = {"truncation": "stride"}
T5 = {**NEW, "max_input_length": 64}  # which has no end of its own
LOW = {"threshold": 0.3, "mask_threshold": 0.3, "overlap_mask_area_threshold": 0.1}  # what random models are hardly sure of
POINTS = {"points_per_crop": 3, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "crops_nms_thresh": 1.0}

CASES = (
    Case("audio-classification", listener, noises, "audio", one_by_one.sound_labels, cell=sound),
    Case("automatic-speech-recognition", keypad, recordings, "audio", one_by_one.transcripts, cell=sound),
    Case(
        "automatic-speech-recognition",
        tiny_speech.tiny_whisper,
        noises,
        "audio",
        partial(one_by_one.dictations, window=2, max_new_tokens=8),
        {"max_new_tokens": 8},
        cell=sound,
        variant="whisper",
    ),
    Case("echo", echo, of("text", TEXTS), "text", one_by_one.hashes),
    Case("feature-extraction", encoder("AutoModel"), of("text", TEXTS), "text", one_by_one.embeddings),
    Case(
        "feature-extraction",
        encoder("AutoModel"),
        of("text", LONG),
        "text",
        one_by_one.strided_embeddings,
        {**STRIDE, "token_embeddings": True},
        variant="stride",
    ),
    Case("feature-extraction", encoder("AutoModel", family="roberta"), of("text", TEXTS), "text", one_by_one.embeddings, variant="roberta"),
    Case("feature-extraction", encoder("AutoModel", family="gpt2"), of("text", TEXTS), "text", one_by_one.embeddings, variant="gpt2"),
    Case(
        "fill-mask", encoder("AutoModelForMaskedLM"), of("text", [masked(each) for each in TEXTS]), "text", one_by_one.fillings, cell=masked
    ),
    Case(
        "llm/v1/chat",
        causal("llama", chat_template=tiny_models.CHAT_TEMPLATE),
        of("messages", [message(each) for each in PROMPTS]),
        "messages",
        partial(one_by_one.continuations, **NEW),
        NEW,
        cell=message,
    ),
    Case("llm/v1/completions", causal("llama"), of("prompt", PROMPTS), "prompt", partial(one_by_one.continuations, **NEW), NEW),
    Case("llm/v1/embeddings", encoder("AutoModel"), of("input", TEXTS), "input", one_by_one.counted_embeddings),
    Case("question-answering", encoder("AutoModelForQuestionAnswering"), questions, "context", one_by_one.answers),
    Case("summarization", tiny_models.tiny_seq2seq, of("text", PROMPTS), "text", partial(one_by_one.written, **NEW), T5),
    Case("table-question-answering", tapas, tables, "query", one_by_one.table_answers),
    Case("text-classification", encoder(CLASSIFIER, num_labels=3), of("text", TEXTS), "text", one_by_one.labels),
    Case(
        "text-classification",
        encoder(CLASSIFIER, num_labels=3),
        of("text", LONG),
        "text",
        one_by_one.strided_labels,
        STRIDE,
        variant="stride",
    ),
    Case("text-classification", encoder(CLASSIFIER, family="gpt2"), of("text", TEXTS), "text", one_by_one.labels, variant="gpt2"),
    Case(
        "text-classification",
        encoder(CLASSIFIER, family="roberta"),
        of("text_pair", TEXTS, text=TEXTS[1]),
        "text_pair",
        one_by_one.labels,
        variant="roberta pairs",
    ),
    Case("text-generation", causal("gpt2"), of("text", PROMPTS), "text", partial(one_by_one.continuations, **NEW), NEW),
    Case("text-to-audio", tiny_speech.tiny_voice, of("text", SPOKEN), "text", one_by_one.speeches, {"max_seconds": 20}),
    Case("text2text-generation", tiny_models.tiny_seq2seq, of("text", PROMPTS), "text", partial(one_by_one.written, **NEW), T5),
    Case("token-classification", encoder("AutoModelForTokenClassification", num_labels=5), of("text", TEXTS), "text", one_by_one.entities),
    Case("translation", tiny_models.tiny_seq2seq, of("text", PROMPTS), "text", partial(one_by_one.written, **NEW), T5),
    Case("zero-shot-audio-classification", tiny_speech.tiny_clap, labelled_noises, "audio", one_by_one.zero_shot_sounds, cell=sound),
    Case("zero-shot-classification", encoder(CLASSIFIER, **NLI), labelled, "text", one_by_one.zero_shot),
    Case(
        "zero-shot-classification",
        encoder(CLASSIFIER, **NLI),
        of("text", LONG, candidate_labels=list(LABELS)),
        "text",
        one_by_one.strided_zero_shot,
        STRIDE,
        variant="stride",
    ),
    saw("depth-estimation", partial(tiny_vision.tiny_depth, family="dpt"), seen.depths),
    saw(
        "document-question-answering",
        tiny_vision.tiny_donut,
        partial(seen.document_answers, limit=24),
        seen.questions,
        max_new_tokens=24,
    ),
    saw("image-classification", partial(tiny_vision.tiny_classifier, family="vit"), seen.image_labels),
    saw("image-classification", partial(tiny_vision.tiny_classifier, family="resnet"), seen.image_labels, variant="resnet"),
    saw("image-feature-extraction", partial(tiny_vision.tiny_embedder, kind="vit"), seen.image_embeddings),
    saw("image-segmentation", partial(tiny_vision.tiny_segmenter, family="maskformer"), partial(seen.segments, **LOW), **LOW),
    saw(
        "image-text-to-text",
        partial(tiny_vision.tiny_writer, family="vit-gpt2"),
        partial(seen.captions, max_new_tokens=8, do_sample=False),
        max_new_tokens=8,
    ),
    saw("mask-generation", partial(tiny_vision.tiny_masker, family="sam"), partial(seen.masks, **POINTS), **POINTS),
    saw("object-detection", partial(tiny_detection.tiny_detector, family="yolos"), partial(seen.objects, threshold=0.3), threshold=0.3),
    saw("zero-shot-image-classification", partial(tiny_vision.tiny_likener, family="clip"), seen.zero_shot_images, seen.labelled),
    saw("zero-shot-object-detection", partial(tiny_detection.tiny_finder, family="owlvit"), seen.sought_objects, seen.labelled),
)
