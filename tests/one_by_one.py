"""What native pipelines say of rows, one at a time, and where transformers 5 has none, what a program does that reads one row at a time.

Each takes an artifact, rows and options, and gives those fields of every row's prediction that it knows.
"""

import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import oracle
import pandas as pd
import soundfile
import tiny_encoders
import tiny_models
import torch
import transformers

from sparkcoil.planning import seed_of

Rows = Sequence[Mapping[str, Any]]
Found = list[dict[str, Any]]


def transcripts(artifact: Path, rows: Rows) -> Found:
    """Return what is heard in each recording."""
    recognize = oracle.recognizer(artifact / "model")
    return [{"text": recognize(oracle.waveform(io.BytesIO(row["audio"])))["text"]} for row in rows]


def dictations(artifact: Path, rows: Rows, *, window: float, **options: Any) -> Found:
    """Return what a Whisper hears in each recording, in windows of so many seconds."""
    recognize = oracle.recognizer(artifact / "model")
    given = {"chunk_length_s": window, "generate_kwargs": {"num_beams": 1, "task": "transcribe", **options}}
    return [{"text": recognize(oracle.waveform(io.BytesIO(row["audio"])), **given)["text"]} for row in rows]


def hashes(artifact: Path, rows: Rows) -> Found:
    """Return the sha256 of each text."""
    return [{"echo": hashlib.sha256(row["text"].encode()).hexdigest()} for row in rows]


def sound_labels(artifact: Path, rows: Rows) -> Found:
    """Return every label of each recording with its score."""
    classify = tiny_encoders.pipeline("audio-classification", artifact, top_k=None)
    return [ranking(classify(oracle.waveform(io.BytesIO(row["audio"])))) for row in rows]


def zero_shot_sounds(artifact: Path, rows: Rows) -> Found:
    """Return every label of a row with its score."""
    classify = tiny_encoders.pipeline("zero-shot-audio-classification", artifact)
    return [
        ranking(classify(oracle.waveform(io.BytesIO(row["audio"]))["raw"], candidate_labels=list(row["candidate_labels"]))) for row in rows
    ]


def speeches(artifact: Path, rows: Rows) -> Found:
    """Return each text spoken, where torch's generator stands as the row's text alone says; the native pipeline takes no tokenizer."""
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(artifact / "model")
    model: Any = transformers.VitsModel.from_pretrained(artifact / "model").eval()
    found = []
    for row in rows:
        inputs = tokenizer(row["text"], return_tensors="pt")
        torch.manual_seed(seed_of(0, inputs["input_ids"][0].tolist()))
        with torch.no_grad():
            samples = model(**inputs).waveform[0].numpy()
        found.append(recording(samples, model.config.sampling_rate))
    return found


def recording(samples: np.ndarray, rate: int) -> dict[str, Any]:
    """Return samples as a prediction."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype="PCM_16")
    return {"audio": file.getvalue(), "sampling_rate": rate, "duration": len(samples) / rate}


def labels(artifact: Path, rows: Rows) -> Found:
    """Return every label with its score, of texts or pairs of texts."""
    classify = tiny_encoders.pipeline("text-classification", artifact, top_k=None)
    return [ranking(classify([dict(row)], truncation=True)[0]) for row in rows]


def ranking(scores: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return a prediction of labels, best first."""
    return {**scores[0], "scores": list(scores)}


def zero_shot(artifact: Path, rows: Rows, **options: Any) -> Found:
    """Return every label of a row with its score."""
    classify = tiny_encoders.pipeline("zero-shot-classification", artifact)
    found = [classify(row["text"], candidate_labels=list(row["candidate_labels"]), **options) for row in rows]
    return [
        ranking([{"label": label, "score": score} for label, score in zip(each["labels"], each["scores"], strict=True)]) for each in found
    ]


def fillings(artifact: Path, rows: Rows) -> Found:
    """Return the candidates for the first mask of each text."""
    fill = tiny_encoders.pipeline("fill-mask", artifact)
    found = [fill(row["text"], tokenizer_kwargs={"truncation": True}) for row in rows]
    candidates = [[{"token": each["token_str"], "sequence": each["sequence"], "score": each["score"]} for each in text] for text in found]
    return [{**each[0], "candidates": each} for each in candidates]


def entities(artifact: Path, rows: Rows) -> Found:
    """Return the entities of each text."""
    tag = tiny_encoders.pipeline("token-classification", artifact, aggregation_strategy="simple")
    return [{"entities": [entity(each, row["text"]) for each in tag(row["text"])]} for row in rows]


def entity(native: Mapping[str, Any], text: str) -> dict[str, Any]:
    """Return an entity by our names."""
    places = {name: native[name] for name in ("start", "end")}
    return {"entity": native["entity_group"], "text": text[places["start"] : places["end"]], "score": float(native["score"]), **places}


def embeddings(artifact: Path, rows: Rows) -> Found:
    """Return the mean of the vectors of each text's tokens."""
    extract = tiny_encoders.pipeline("feature-extraction", artifact)
    vectors = [np.array(extract(next(iter(row.values())), truncation=True)[0]) for row in rows]
    return [{"embedding": each.mean(axis=0)} for each in vectors]


def counted_embeddings(artifact: Path, rows: Rows) -> Found:
    """Return the same with the number of each text's tokens."""
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(artifact / "model")
    counts = [len(tokenizer(row["input"], truncation=True)["input_ids"]) for row in rows]
    return [{**each, "prompt_tokens": count} for each, count in zip(embeddings(artifact, rows), counts, strict=True)]


def table_answers(artifact: Path, rows: Rows) -> Found:
    """Return the answer to each question about a table."""
    answer = tiny_encoders.pipeline("table-question-answering", artifact)
    found = [answer(table=pd.DataFrame(json.loads(row["table"])), query=row["query"]) for row in rows]
    return [{"answer": each["answer"], "cells": each["cells"], "aggregator": each.get("aggregator")} for each in found]


def continuations(artifact: Path, rows: Rows, **options: Any) -> Found:
    """Return how each prompt, or conversation, goes on."""
    generate: Any = tiny_encoders.pipeline("text-generation", artifact)
    asked = [json.loads(row["messages"]) if "messages" in row else next(iter(row.values())) for row in rows]
    found = [generate(each, do_sample=False, return_full_text=False, **options)[0]["generated_text"] for each in asked]
    return [{"text": each, "sequences": [each]} for each in found]


def written(artifact: Path, rows: Rows, **options: Any) -> Found:
    """Return what a sequence-to-sequence model writes; transformers 5 has no pipeline for it."""
    found = tiny_models.native(artifact, [row["text"] for row in rows], **options)
    return [{"text": tiny_models.text_of(artifact, each), "completion_tokens": len(each)} for each in found]


class Answers:
    """What transformers 4's pipeline did with one question, window by window, without batches."""

    def __init__(self, artifact: Path) -> None:
        self.tokenizer: Any = transformers.AutoTokenizer.from_pretrained(artifact / "model")
        self.model: Any = transformers.AutoModelForQuestionAnswering.from_pretrained(artifact / "model").eval()

    def __call__(self, question: str, context: str, impossible: bool = False, max_answer_len: int = 15) -> dict[str, Any]:
        length = min(self.tokenizer.model_max_length, 384)
        encoded = self.tokenizer(
            question,
            context,
            truncation="only_second",
            max_length=length,
            stride=min(length // 2, 128),
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        answers = []
        null_score = 1e6
        for i in range(len(encoded["input_ids"])):
            inputs = {name: torch.tensor([encoded[name][i]]) for name in self.tokenizer.model_input_names}
            with torch.no_grad():
                start, end = self.model(**inputs)[:2]
            wanted = np.array([each == 1 for each in encoded.sequence_ids(i)]) | (
                inputs["input_ids"][0].numpy() == self.tokenizer.cls_token_id
            )
            start, end = (self.softmax(np.where(wanted, each[0].numpy(), -10000.0)) for each in (start, end))
            null_score = min(null_score, start[0] * end[0])
            start[0] = end[0] = 0.0
            table = np.tril(np.triu(np.outer(start, end)), max_answer_len - 1)
            first, last = np.unravel_index(table.argmax(), table.shape)
            answers.append({"score": table[first, last], **self.words(encoded[i], int(first), int(last), context)})
        if impossible:
            answers.append({"score": null_score, "start": 0, "end": 0, "answer": ""})
        return sorted(answers, key=lambda each: each["score"], reverse=True)[0]

    @staticmethod
    def softmax(logits: np.ndarray) -> np.ndarray:
        return np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()

    @staticmethod
    def words(encoding: Any, first: int, last: int, context: str) -> dict[str, Any]:
        start = encoding.word_to_chars(encoding.token_to_word(first), 1)[0]
        end = encoding.word_to_chars(encoding.token_to_word(last), 1)[1]
        return {"start": start, "end": end, "answer": context[start:end]}


def answers(artifact: Path, rows: Rows) -> Found:
    """Return the answer to each question about a context."""
    answer = Answers(artifact)
    return [answer(row["question"], row["context"]) for row in rows]


class Strides:
    """A tiny BERT that reads one text at a time in windows of 64 tokens, of which neighbours share a quarter."""

    def __init__(self, artifact: Path, auto_class: str) -> None:
        self.tokenizer: Any = transformers.AutoTokenizer.from_pretrained(artifact / "model")
        self.model: Any = getattr(transformers, auto_class).from_pretrained(artifact / "model").eval()

    def tokens(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def windows(self, text: str, after: Sequence[int] = (), longest: int = 0) -> Iterator[tuple[Any, np.ndarray]]:
        """Yield the output for every window, with which of its tokens are its own; tokens of a second text may stand `after` it."""
        ids, room, stride = self.tokens(text), 61 - longest if after else 62, 15
        starts = range(0, max(1, len(ids) - stride), room - stride)
        ends = [min(start + room, len(ids)) for start in starts]
        owners = [self.owner(place, starts, ends) for place in range(len(ids))]
        cls, sep = self.tokenizer.cls_token_id, self.tokenizer.sep_token_id
        for window, (start, end) in enumerate(zip(starts, ends, strict=True)):
            first = [cls, *ids[start:end], sep]
            second = [*after, sep] if after else []
            inputs = {
                "input_ids": torch.tensor([[*first, *second]]),
                "token_type_ids": torch.tensor([[0] * len(first) + [1] * len(second)]),
            }
            alone = not after
            own = [alone and window == 0, *(owners[place] == window for place in range(start, end)), alone and end == len(ids)]
            with torch.no_grad():
                yield self.model(**inputs)[0][0].numpy(), np.array(own)

    @staticmethod
    def owner(place: int, starts: Sequence[int], ends: Sequence[int]) -> int:
        """Return the window in which a token is furthest from an edge, where the text goes on behind it."""

        def distance(window: int) -> tuple[float, int]:
            start, end = starts[window], ends[window]
            left = place - start if window else np.inf
            right = end - 1 - place if window < len(ends) - 1 else np.inf
            return min(left, right), window

        return max((each for each in range(len(ends)) if starts[each] <= place < ends[each]), key=distance)


def strided_labels(artifact: Path, rows: Rows) -> Found:
    """Return the mean of the labels' probabilities in all windows of a text, weighted by their own tokens."""
    read = Strides(artifact, "AutoModelForSequenceClassification")
    names = read.model.config.id2label
    found = []
    for row in rows:
        windows = list(read.windows(row["text"]))
        scores = np.average([Answers.softmax(each) for each, _ in windows], axis=0, weights=[own.sum() for _, own in windows])
        found.append(ranking([{"label": names[i], "score": float(scores[i])} for i in np.argsort(-scores)]))
    return found


def strided_zero_shot(artifact: Path, rows: Rows) -> Found:
    """Return the mean of the labels' scores in all windows of a text, in each of which the labels compete."""
    read = Strides(artifact, "AutoModelForSequenceClassification")
    found = []
    for row in rows:
        labels = {label: read.tokens(f"This example is {label}.") for label in row["candidate_labels"]}
        longest = max(map(len, labels.values()))
        windows = [list(read.windows(row["text"], after, longest)) for after in labels.values()]
        entailed = np.array([[each[2] for each, _ in label] for label in windows])
        scores = np.average([Answers.softmax(each) for each in entailed.T], axis=0, weights=[own.sum() for _, own in windows[0]])
        found.append(ranking([{"label": list(labels)[i], "score": float(scores[i])} for i in np.argsort(-scores)]))
    return found


def strided_embeddings(artifact: Path, rows: Rows) -> Found:
    """Return the mean of the vectors of all tokens of a text, each read in the window that it belongs to."""
    read = Strides(artifact, "AutoModel")
    vectors = [np.concatenate([hidden[own] for hidden, own in read.windows(row["text"])]) for row in rows]
    return [{"embedding": each.mean(axis=0), "token_embeddings": list(each)} for each in vectors]
