"""What is scored: rows, a model, the task with its options, and how outputs are held against each other."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks import photos, sounds, texts

# Words of the syllables that the tokenizer knows: others would be all alike to the model.
TEXT_LABELS = ["bada", "feku", "gohi", "jule", "kira", "lozu", "mepa", "nibo", "suta", "vefi"]


@dataclass(frozen=True)
class Workload:
    """Rows to be scored by a model; `rows` draws so many of them, `input` is their column.

    `native` are the arguments of the native pipeline's call, `of_native` makes of its output what `of_ours` makes of a prediction.
    With `near_ties` what is written hangs on near ties between tokens; with `gpu` the model is too large for a CPU to be timed.
    """

    name: str
    task: str
    model: str
    count: int
    rows: Callable[[int], Sequence[Any]]
    of_ours: Callable[[Mapping[str, Any]], Any]
    of_native: Callable[[Any], Any]
    input: str = "text"
    options: Mapping[str, Any] = field(default_factory=dict)
    native: Mapping[str, Any] = field(default_factory=dict)
    batches: Sequence[int] = (1, 8, 32)
    unit: str = "tokens"
    near_ties: bool = False
    gpu: bool = False


def scores(prediction: Mapping[str, Any]) -> dict[str, float]:
    """Return a prediction's scores by label."""
    return {each["label"]: float(each["score"]) for each in prediction["scores"]}


def native_scores(output: Any) -> dict[str, float]:
    """Return the native pipeline's scores by label."""
    if isinstance(output, Mapping):
        return dict(zip(output["labels"], output["scores"], strict=True))
    return {each["label"]: each["score"] for each in output}


def written(output: Any) -> str:
    """Return the text that a native pipeline has written."""
    first = output[0] if isinstance(output, list) else output
    return said({"text": first.get("generated_text", first.get("text"))})


def said(prediction: Mapping[str, Any]) -> str:
    """Return the words of a text: pipelines differ in the space, or the mark of a word's continuation, that a text begins with."""
    return str(prediction["text"]).strip().removeprefix("##")


def embedding(prediction: Mapping[str, Any]) -> np.ndarray:
    """Return a prediction's vector."""
    return np.asarray(prediction["embedding"], dtype=np.float32)


def vector(output: Any) -> np.ndarray:
    """Return the vector of sentence-transformers."""
    return np.asarray(output, dtype=np.float32)


def classification(name: str, model: str, count: int, rows: Callable[[int], Sequence[str]], **given: Any) -> Workload:
    """Return a workload of text classification."""
    native = {"top_k": None, "truncation": True}
    return Workload(name, "text-classification", model, count, rows, scores, native_scores, native=native, **given)


def speech(name: str, model: str, count: int, **given: Any) -> Workload:
    """Return a workload of transcription."""
    task = "automatic-speech-recognition"
    return Workload(name, task, model, count, sounds.recordings, said, written, input="audio", unit="audio seconds", **given)


WORKLOADS: Mapping[str, Workload] = {
    each.name: each
    for each in (
        classification("reviews, BERT-base", "bert-base", 240, texts.reviews, gpu=True),
        classification("tickets, BERT-base", "bert-base", 800, texts.tickets, gpu=True),
        classification("reviews, MiniLM", "minilm", 240, texts.reviews),
        classification("reviews, BERT-mini", "bert-mini", 600, texts.reviews),
        classification("tickets, MiniLM", "minilm", 800, texts.tickets),
        classification("one long in 64, MiniLM", "minilm", 1_280, texts.skewed),
        classification("uniform, MiniLM", "minilm", 400, texts.uniform),
        Workload(
            "zero-shot of ten labels, BERT-mini", "zero-shot-classification", "entailment", 120, texts.sentences, scores, native_scores,
            options={"candidate_labels": TEXT_LABELS}, native={"candidate_labels": TEXT_LABELS},
        ),
        Workload(
            "templated chat, Llama", "text-generation", "llama", 96, texts.chats, said, written,
            options={"max_new_tokens": 24}, native={"max_new_tokens": 24, "do_sample": False, "return_full_text": False}, near_ties=True,
            batches=(1, 8, 32, 128),
        ),
        Workload(
            "translation, T5", "text2text-generation", "t5", 192, texts.sentences, said, written,
            native={"max_new_tokens": 128}, near_ties=True, batches=(1, 8, 32, 128),
        ),
        Workload(
            "translation, Marian", "text2text-generation", "marian", 192, texts.sentences, said, written,
            native={"max_new_tokens": 128}, near_ties=True, batches=(1, 8, 32, 128),
        ),
        Workload(
            "embeddings of tickets, MiniLM", "feature-extraction", "embedder", 800, texts.tickets, embedding, vector, batches=(32, 1, 8),
        ),
        speech(
            "calls, Whisper-tiny", "whisper-tiny", 24, batches=(1, 4, 8), near_ties=True,
            options={"max_new_tokens": 64}, native={"generate_kwargs": {"num_beams": 1, "max_new_tokens": 64}},
        ),
        speech("calls, wav2vec2 with layer norm", "ctc-layer", 40, batches=(1, 4, 16)),
        speech("calls, wav2vec2 with group norm", "ctc-group", 40, batches=(1,)),
        Workload(
            "photos, ViT", "image-classification", "vit-small", 160, photos.photos, scores, native_scores,
            input="image", unit="kilopixels", native={"top_k": None},
        ),
    )
}  # fmt: skip


def drawn(workload: Workload, scale: float) -> list[Any]:
    """Return the rows of a workload."""
    return list(workload.rows(max(2, int(workload.count * scale))))
