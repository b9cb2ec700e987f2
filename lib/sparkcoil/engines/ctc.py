"""CTC speech models such as wav2vec2 and HuBERT: recordings decoded in the process, transcribed in batches by length."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from sparkcoil import checkpoint
from sparkcoil.batching import Budget
from sparkcoil.engines import Placement, Prepared
from sparkcoil.errors import RowError
from sparkcoil.recordings import Sound
from sparkcoil.tasks import Facts

# Padded seconds of audio in one batch.
CPU_SECONDS, GPU_SECONDS = 30, 960


class Word(NamedTuple):
    """A word with its start and end in seconds."""

    word: str
    start: float
    end: float


@dataclass(frozen=True)
class Transcript:
    """What was said in one recording of `seconds`; `words` only where times were asked for."""

    text: str
    seconds: float
    words: tuple[Word, ...] = ()


@dataclass
class Ctc:
    """A feature extractor, a model and a tokenizer; `forward` gives one Transcript for each recording."""

    feature_extractor: Any
    model: Any
    tokenizer: Any
    with_words: bool
    facts: Facts
    budget: Budget
    exact_lengths: bool
    per_unit: float
    unit: str = "audio seconds"

    def prepare(self, items: Sequence[Sound]) -> list[Prepared | RowError]:
        """Return each recording's normalised samples at the model's rate, or the row's failure."""
        return [self._one(sound) for sound in items]

    def _one(self, sound: Sound) -> Prepared | RowError:
        try:
            recording = sound.samples(int(self.per_unit))
        except RowError as error:
            return error
        if self._frames(len(recording.samples)) < 1:
            return RowError("input", "audio_too_short", "the recording is shorter than one frame of the model")
        extracted = self.feature_extractor(recording.samples, sampling_rate=int(self.per_unit))
        samples = np.asarray(extracted["input_values"][0], dtype=np.float32)
        return Prepared((samples, recording.seconds), len(samples), recording.warnings)

    def _frames(self, samples: int) -> int:
        return int(self.model._get_feat_extract_output_lengths(samples))

    @torch.inference_mode()
    def forward(self, batch: Sequence[Prepared]) -> Sequence[Transcript]:
        """Return the transcript of each recording, read off the likeliest token of every frame."""
        samples = np.zeros((len(batch), max(each.length for each in batch)), dtype=np.float32)
        mask = np.zeros(samples.shape, dtype=np.int64)
        for i, each in enumerate(batch):
            samples[i, : each.length] = each.features[0]
            mask[i, : each.length] = 1
        inputs = {"input_values": torch.from_numpy(samples).to(self.model.device, self.model.dtype)}
        if not mask.all():
            inputs["attention_mask"] = torch.from_numpy(mask).to(self.model.device)
        logits = self.model(**inputs).logits.float()
        finite = torch.isfinite(logits).all(dim=2).cpu().numpy()
        tokens = logits.argmax(dim=2).cpu().numpy()
        return [self._transcript(each, tokens[i], finite[i]) for i, each in enumerate(batch)]

    def _transcript(self, recording: Prepared, tokens: np.ndarray, finite: np.ndarray) -> Any:
        frames = self._frames(recording.length)
        if not finite[:frames].all():
            return RowError("output", "non_finite", "the model gave NaN or infinity")
        decoded = self.tokenizer.decode(tokens[:frames], skip_special_tokens=False, output_word_offsets=self.with_words)
        seconds = recording.features[1]
        if not self.with_words:
            return Transcript(decoded, seconds)
        return Transcript(decoded.text, seconds, tuple(self._word(each) for each in decoded.word_offsets))

    def _word(self, offsets: dict[str, Any]) -> Word:
        step = self.model.config.inputs_to_logits_ratio / self.per_unit
        return Word(offsets["word"], round(offsets["start_offset"] * step, 3), round(offsets["end_offset"] * step, 3))


def load(artifact: Path, options: Any, placement: Placement) -> Ctc:
    """Return the speech model of an artifact with its feature extractor and tokenizer."""
    feature_extractor = checkpoint.load_feature_extractor(artifact, placement)
    model = checkpoint.load_model(artifact, "AutoModelForCTC", placement)
    rate = feature_extractor.sampling_rate
    seconds = CPU_SECONDS if placement.device == "cpu" else GPU_SECONDS
    return Ctc(
        feature_extractor,
        model,
        checkpoint.load_tokenizer(artifact, placement),
        with_words=options.return_timestamps == "word",
        facts={},
        budget=Budget(seconds * rate, 64),
        # Models with group norm in the feature encoder were trained without a mask: there, padding changes the transcript.
        exact_lengths=not feature_extractor.return_attention_mask,
        per_unit=rate,
    )
