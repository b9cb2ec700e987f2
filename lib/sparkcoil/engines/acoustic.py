"""Models that classify sounds, such as wav2vec2, HuBERT, WavLM, AST and Whisper with a head for labels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from sparkcoil import batching, checkpoint
from sparkcoil.batching import Batching, Budget
from sparkcoil.engines import Findings, Placement, Prepared, encoder, extraction
from sparkcoil.engines.extraction import Extractor, Features
from sparkcoil.engines.hearing import TOO_SHORT, Clip, Ear, Heard, Hearer
from sparkcoil.errors import RowError
from sparkcoil.media import Samples
from sparkcoil.recordings import Sound
from sparkcoil.tasks import Facts

# Padded seconds of sound in one batch, and sounds where each costs the same.
CPU_SECONDS, GPU_SECONDS = 30, 960
CPU_SOUNDS, GPU_SOUNDS = 8, 64
# What mel spectrograms are made of.
FRAME_SECONDS, FRAMES_PER_SECOND = 0.025, 100
# Heard beyond what can be read, by which it is known that there is more.
MORE_SECONDS = 1.0


class Labelling(NamedTuple):
    """The logits of a sound in float32, with the warnings of its recording."""

    logits: np.ndarray
    warnings: tuple[str, ...]


@dataclass
class Acoustic(Hearer):
    """A feature extractor with its model; `forward` gives the logits of each sound.

    Where features have one size, however long the sound is, it is cut after `readable` samples.
    """

    extractor: Extractor
    model: Any
    facts: Facts
    budget: Budget
    readable: int | None
    per_unit: float
    batching: Batching = "padded"
    findings: Findings = Findings()
    unit: str = "audio seconds"
    ear: Ear = field(init=False)

    def __post_init__(self) -> None:
        self.ear = Ear(int(self.per_unit), self.extract)

    def prepare(self, items: Sequence[Sound]) -> list[Prepared | RowError]:
        """Return each sound, as much of it as is read, with the length that the header tells; nothing is decoded yet."""
        known = self.ear.durations(items)
        return [each if isinstance(each, RowError) else self._one(sound, each) for sound, each in zip(items, known, strict=True)]

    def _one(self, sound: Sound, seconds: float) -> Prepared | RowError:
        samples = self.ear.length(seconds)
        if self._frames(samples) < 1:
            return TOO_SHORT
        if self.readable is None or samples <= self.readable:
            return Prepared(Clip(sound), samples)
        return Prepared(Clip(sound, 0.0, self.readable / self.ear.rate + MORE_SECONDS), self.readable)

    def extract(self, samples: Samples) -> Features:
        """Return the features of one sound; raises RowError for one that is shorter than a frame, or that the extractor refuses."""
        if self._frames(len(samples)) < 1:
            raise TOO_SHORT
        return self.extractor.features(samples)

    def examine(self) -> Findings:
        """Return what the model does with sounds that are padded and alone."""
        return self.extractor.examine(has_own_frames=False)

    def follow(self, findings: Findings) -> None:
        """Take sounds into batches as the model allows it."""
        self.batching = findings.batching

    def _frames(self, samples: int) -> int:
        if hasattr(self.extractor.feature_extractor, "n_samples"):
            return samples  # a Whisper's are filled up before they are cut into frames
        frames = self.extractor.frames(samples) if self.extractor.is_waveform else None
        return int(samples / self.per_unit / FRAME_SECONDS) if frames is None else frames

    def forward(self, batch: Sequence[Prepared]) -> Sequence[Labelling | RowError]:
        """Return the logits of each sound; one that cannot be decoded, or is too short, fails by itself."""
        heard = [TOO_SHORT if isinstance(each, Heard) and each.features is None else each for each in self.ear.hear(batch)]
        return batching.spread(heard, self._labellings)

    def _labellings(self, sounds: Sequence[Heard]) -> list[Labelling]:
        found: dict[int, np.ndarray] = {}
        # A recording may break off before the length that its header declares, by which the batch was made.
        for length in {each.length for each in sounds} if self.batching == "exact lengths" else {None}:
            group = [i for i, each in enumerate(sounds) if length in (None, each.length)]
            found.update(zip(group, self._logits([sounds[i].features for i in group]), strict=True))
        return [Labelling(found[i], self._warnings(each)) for i, each in enumerate(sounds)]

    def _warnings(self, heard: Heard) -> tuple[str, ...]:
        cut = self.readable is not None and heard.length > self.readable
        return (*heard.warnings, *(("truncated",) if cut else ()))

    @torch.inference_mode()
    def _logits(self, features: Sequence[Features]) -> Iterator[np.ndarray]:
        yield from encoder.array(self.model(**self.extractor.pad(features)).logits)


def load(artifact: Path, options: Any, placement: Placement) -> Acoustic:
    """Return the model of an artifact with its feature extractor."""
    feature_extractor = checkpoint.load_feature_extractor(artifact, placement)
    model = checkpoint.load_model(artifact, "AutoModelForAudioClassification", placement)
    rate, cpu = feature_extractor.sampling_rate, placement.device == "cpu"
    extractor = extraction.extractor_of(feature_extractor, model)
    budget = Budget((CPU_SECONDS if cpu else GPU_SECONDS) * rate, 64)
    engine = Acoustic(extractor, model, facts=encoder.facts(model.config), budget=budget, readable=None, per_unit=rate)
    if extractor.is_of_one_size():
        sounds = CPU_SOUNDS if cpu else GPU_SOUNDS
        engine.readable = readable(feature_extractor)
        engine.budget = Budget(sounds * (engine.readable or rate), sounds)
    return engine


def readable(feature_extractor: Any) -> int | None:
    """Return how many samples features of one size hold: a Whisper's are counted in samples, others' in frames."""
    if hasattr(feature_extractor, "n_samples"):
        return int(feature_extractor.n_samples)
    frames = getattr(feature_extractor, "max_length", None)
    return None if frames is None else int(frames * feature_extractor.sampling_rate / FRAMES_PER_SECOND)
