"""CLAP models, which place sounds and texts in one space: a sound is compared with a sentence for each label."""

import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from sparkcoil import batching, checkpoint
from sparkcoil.batching import Batching, Budget
from sparkcoil.engines import Placement, Prepared, encoder
from sparkcoil.engines.hearing import Clip, Ear, Heard, Hearer
from sparkcoil.engines.places import Labels, Likening, Places
from sparkcoil.errors import RowError
from sparkcoil.media import Samples
from sparkcoil.recordings import Sound
from sparkcoil.tasks import Facts

# Sounds in one batch, which all cost the same.
CPU_SOUNDS, GPU_SOUNDS = 8, 64
TOO_SHORT = RowError("input", "audio_too_short", "the recording holds not one sample at the model's rate")

# What is drawn in `drawn` is numpy's own for the whole process.
_drawing = threading.Lock()


@dataclass(frozen=True, eq=False, kw_only=True)
class Asked(Clip):
    """A sound with the labels that it may get."""

    labels: Labels


class Spectrogram(NamedTuple):
    """A sound's features, and whether it is longer than what they hold."""

    features: np.ndarray
    longer: bool


@dataclass
class Clap(Hearer):
    """A feature extractor, a tokenizer and their model; `forward` gives each sound's likeness to each of its labels."""

    feature_extractor: Any
    model: Any
    places: Places
    facts: Facts
    budget: Budget
    per_unit: float
    unit: str = "audio seconds"
    batching: Batching = "padded"
    ear: Ear = field(init=False)

    def __post_init__(self) -> None:
        self.ear = Ear(int(self.per_unit), self.extract)

    def prepare(self, items: Sequence[tuple[Sound, tuple[str, ...]]]) -> list[Prepared | RowError]:
        """Return each sound with the places of its labels and the length that the header tells, or the row's failure."""
        labels = self.places.of([names for _, names in items])
        durations = self.ear.durations([sound for sound, _ in items])
        return [self._one(sound, own, each) for (sound, _), own, each in zip(items, labels, durations, strict=True)]

    def _one(self, sound: Sound, labels: Labels | RowError, seconds: float | RowError) -> Prepared | RowError:
        if isinstance(seconds, RowError):
            return seconds
        if isinstance(labels, RowError):
            return labels
        return Prepared(Asked(sound, labels=labels), self.ear.length(seconds), labels.warnings)

    def extract(self, samples: Samples) -> Spectrogram:
        """Return a sound's features, and whether they are of a longer sound: of such a one, a place is drawn that depends on it alone."""
        with drawn(zlib.crc32(samples.tobytes())):
            extracted = self.feature_extractor([samples], sampling_rate=int(self.per_unit))
        return Spectrogram(np.asarray(extracted["input_features"][0], dtype=np.float32), bool(extracted["is_longer"][0][0]))

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
        cut = self.feature_extractor.truncation == "rand_trunc" and heard.length > self.feature_extractor.nb_max_samples
        return asked.labels.likening(vector, (*heard.warnings, *(("truncated",) if cut else ())))


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
    model, tokenizer = checkpoint.load_model(artifact, "AutoModel", placement), checkpoint.load_tokenizer(artifact, placement)
    sounds = CPU_SOUNDS if placement.device == "cpu" else GPU_SOUNDS
    return Clap(
        feature_extractor,
        model,
        Places(tokenizer, model, options.hypothesis_template, float(model.logit_scale_a.detach().float().exp())),
        facts={},
        budget=Budget(sounds * feature_extractor.nb_max_samples, sounds),
        per_unit=feature_extractor.sampling_rate,
    )
