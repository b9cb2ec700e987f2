"""CLAP models, which place sounds and texts in one space: a sound is compared with a sentence for each label."""

import threading
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from sparkcoil import batching, checkpoint
from sparkcoil.batching import Budget
from sparkcoil.engines import Placement, Prepared, encoder
from sparkcoil.engines.encoder import NON_FINITE
from sparkcoil.engines.hearing import Clip, Ear, Heard, Hearer
from sparkcoil.errors import RowError
from sparkcoil.media import Samples
from sparkcoil.recordings import Sound
from sparkcoil.tasks import Facts

# Sounds in one batch, which all cost the same, and sentences in one.
CPU_SOUNDS, GPU_SOUNDS = 8, 64
SENTENCES = 64
TOO_SHORT = RowError("input", "audio_too_short", "the recording holds not one sample at the model's rate")

# What is drawn in `drawn` is numpy's own for the whole process.
_drawing = threading.Lock()


@dataclass(frozen=True, eq=False, kw_only=True)
class Asked(Clip):
    """A sound with the labels that it may get, each with its place."""

    labels: tuple[str, ...]
    places: np.ndarray


class Spectrogram(NamedTuple):
    """A sound's features, and whether it is longer than what they hold."""

    features: np.ndarray
    longer: bool


class Likening(NamedTuple):
    """How like each of its labels a sound is, as logits, with the warnings of its recording."""

    labels: tuple[str, ...]
    logits: np.ndarray
    warnings: tuple[str, ...]


@dataclass
class Clap(Hearer):
    """A feature extractor, a tokenizer and their model; `forward` gives each sound's likeness to each of its labels.

    The places of labels are computed once for a window, and kept for the next one.
    """

    feature_extractor: Any
    tokenizer: Any
    model: Any
    template: str
    facts: Facts
    budget: Budget
    per_unit: float
    unit: str = "audio seconds"
    exact_lengths: bool = False
    places: Mapping[str, np.ndarray | RowError] = field(default_factory=dict)
    ear: Ear = field(init=False)

    def __post_init__(self) -> None:
        self.ear = Ear(int(self.per_unit), self.extract)

    def prepare(self, items: Sequence[tuple[Sound, tuple[str, ...]]]) -> list[Prepared | RowError]:
        """Return each sound with the places of its labels and the length that the header tells, or the row's failure."""
        labels = dict.fromkeys(label for _, names in items for label in names)
        known = {label: self.places[label] for label in labels if label in self.places}
        self.places = {**known, **self.placed([label for label in labels if label not in known])}
        durations = self.ear.durations([sound for sound, _ in items])
        return [
            each if isinstance(each, RowError) else self._one(sound, names, each)
            for (sound, names), each in zip(items, durations, strict=True)
        ]

    def _one(self, sound: Sound, labels: tuple[str, ...], seconds: float) -> Prepared | RowError:
        try:
            places = np.stack(list(found(self.places[label] for label in labels)))
        except RowError as error:
            return error
        return Prepared(Asked(sound, labels=labels, places=places), self.ear.length(seconds))

    def extract(self, samples: Samples) -> Spectrogram:
        """Return a sound's features, and whether they are of a longer sound: of such a one, a place is drawn that depends on it alone."""
        with drawn(zlib.crc32(samples.tobytes())):
            extracted = self.feature_extractor([samples], sampling_rate=int(self.per_unit))
        return Spectrogram(np.asarray(extracted["input_features"][0], dtype=np.float32), bool(extracted["is_longer"][0][0]))

    @torch.inference_mode()
    def placed(self, labels: Sequence[str]) -> dict[str, np.ndarray | RowError]:
        """Return where each label's sentence lies, or the failure of a row that asks for one that is too long."""
        sentences = [self.template.replace("{}", label) for label in labels]
        ids = [self.tokenizer(sentence)["input_ids"] for sentence in sentences]
        config = self.model.config.text_config
        limit = min(self.tokenizer.model_max_length, config.max_position_embeddings - config.pad_token_id - 1)
        places: dict[str, np.ndarray | RowError] = {
            label: RowError("input", "too_long", f"a label's sentence has {len(each)} tokens, more than the {limit} that are read")
            for label, each in zip(labels, ids, strict=True)
        }
        readable = sorted((i for i, each in enumerate(ids) if len(each) <= limit), key=lambda i: len(ids[i]))
        for start in range(0, len(readable), SENTENCES):
            some = readable[start : start + SENTENCES]
            inputs = self.tokenizer.pad({"input_ids": [ids[i] for i in some]}, return_tensors="pt").to(self.model.device)
            given = {name: inputs[name] for name in ("input_ids", "attention_mask")}
            vectors = encoder.array(self.model.get_text_features(**given).pooler_output)
            places.update({labels[i]: vector for i, vector in zip(some, vectors, strict=True)})
        return places

    def forward(self, batch: Sequence[Prepared]) -> Sequence[Likening | RowError]:
        """Return how like each of its labels each sound is; one that cannot be decoded fails by itself."""
        heard = [TOO_SHORT if isinstance(each, Heard) and each.features is None else each for each in self.ear.hear(batch)]
        vectors = batching.spread(heard, self._vectors)
        return [
            vector if isinstance(vector, RowError) else self._likening(one.features, each, vector)
            for one, each, vector in zip(batch, heard, vectors, strict=True)
        ]

    @torch.inference_mode()
    def _vectors(self, heard: Sequence[Heard]) -> list[np.ndarray]:
        features = torch.from_numpy(np.stack([each.features.features for each in heard])).to(self.model.device, self.model.dtype)
        longer = torch.tensor([[each.features.longer] for each in heard], device=self.model.device)
        return list(encoder.array(self.model.get_audio_features(input_features=features, is_longer=longer).pooler_output))

    def _likening(self, asked: Asked, heard: Any, vector: np.ndarray) -> Likening | RowError:
        logits = float(self.model.logit_scale_a.detach().exp()) * (asked.places @ vector)
        cut = self.feature_extractor.truncation == "rand_trunc" and heard.length > self.feature_extractor.nb_max_samples
        return (
            Likening(asked.labels, logits, (*heard.warnings, *(("truncated",) if cut else ()))) if np.isfinite(logits).all() else NON_FINITE
        )


def found(places: Iterable[np.ndarray | RowError]) -> Iterator[np.ndarray]:
    """Yield places; raises the RowError that is among them."""
    for each in places:
        if isinstance(each, RowError):
            raise each
        yield each


@contextmanager
def drawn(seed: int) -> Iterator[None]:
    """Seed numpy's own generator for the block, which is what the feature extractor draws from, and leave it as it was."""
    with _drawing:
        before = np.random.get_state()
        np.random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(before)


def load(artifact: Path, options: Any, placement: Placement) -> Clap:
    """Return the CLAP model of an artifact with its feature extractor and tokenizer."""
    feature_extractor = checkpoint.load_feature_extractor(artifact, placement)
    sounds = CPU_SOUNDS if placement.device == "cpu" else GPU_SOUNDS
    return Clap(
        feature_extractor,
        checkpoint.load_tokenizer(artifact, placement),
        checkpoint.load_model(artifact, "AutoModel", placement),
        options.hypothesis_template,
        facts={},
        budget=Budget(sounds * feature_extractor.nb_max_samples, sounds),
        per_unit=feature_extractor.sampling_rate,
    )
