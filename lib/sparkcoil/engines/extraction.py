"""What a model's feature extractor makes of a sound, under its own name and with its own mask, and how sounds are padded to a batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from sparkcoil import batching, trial
from sparkcoil.engines import Findings
from sparkcoil.errors import ModelError, RowError
from sparkcoil.media import Samples

# Seconds of the noises that a model is tried with: below a second, so that two seconds of them are all that is computed.
NOISES = (0.9, 0.5, 0.61, 0.73)


@dataclass(frozen=True)
class Features:
    """What an extractor makes of a sound, time first, and which of it is no padding of its own; no mask where it gives none."""

    values: np.ndarray
    mask: np.ndarray | None = None


@dataclass(frozen=True)
class Extractor:
    """A feature extractor with the model that it is for."""

    feature_extractor: Any
    model: Any

    @property
    def rate(self) -> int:
        """The sampling rate that it takes."""
        return int(self.feature_extractor.sampling_rate)

    @cached_property
    def is_waveform(self) -> bool:
        """Whether the model takes samples, of which there is one step of features for each."""
        return self.name == "input_values" and len(self.features(np.zeros(self.rate, np.float32)).values) == self.rate

    def is_of_one_size(self) -> bool:
        """Tell whether features are of one size, however long the sound is."""
        one, two = (self.features(np.zeros(seconds * self.rate, np.float32)).values for seconds in (1, 2))
        return one.shape == two.shape

    @property
    def name(self) -> str:
        """What the model calls its input."""
        return str(self.feature_extractor.model_input_names[0])

    def features(self, samples: Samples) -> Features:
        """Return the features of a sound at the extractor's rate; raises RowError where the extractor takes none of it."""
        try:
            found = self.feature_extractor(samples, sampling_rate=self.rate)
        except Exception as error:
            if batching.is_fatal(error) or batching.is_out_of_memory(error):
                raise
            told = f"the model's feature extractor raised {type(error).__name__}, for a sound of {len(samples)} samples"
            raise RowError("input", "audio_refused", told) from None
        mask = found.get("attention_mask")
        return Features(np.asarray(found[self.name][0], dtype=np.float32), None if mask is None else np.asarray(mask[0], dtype=np.int64))

    def pad(self, sounds: Sequence[Features]) -> dict[str, torch.Tensor]:
        """Return the inputs of sounds that are padded behind to the longest of them, where the model is and in its number format."""
        longest = max(len(each.values) for each in sounds)
        table = np.full((len(sounds), longest, *sounds[0].values.shape[1:]), self.feature_extractor.padding_value, dtype=np.float32)
        mask = np.zeros((len(sounds), longest), dtype=np.int64)
        for i, each in enumerate(sounds):
            table[i, : len(each.values)] = each.values
            mask[i, : len(each.values)] = 1 if each.mask is None else each.mask[: len(each.values)]
        inputs = {self.name: torch.from_numpy(table).to(self.model.device, self.model.dtype)}
        return inputs if mask.all() else {**inputs, "attention_mask": torch.from_numpy(mask).to(self.model.device)}

    def frames(self, steps: int) -> int | None:
        """Return how many frames of logits the model makes of so many steps of features, None where it does not tell.

        As natively, those that the extractor itself has padded a sound with are its own.
        """
        for name in ("_get_feat_extract_output_lengths", "_get_subsampling_output_length"):
            if tell := getattr(self.model, name, None):
                return int(tell(torch.tensor([steps]))[0]) if steps else 0
        return None

    def noise(self, length: int, number: int) -> Samples:
        """Return a noise of so many samples, which its length and its number determine."""
        return np.random.default_rng((length, number)).normal(0.0, 0.1, length).astype(np.float32)

    def examine(self, *, has_own_frames: bool) -> Findings:
        """Return what the model does with sounds that are padded and alone; `has_own_frames` where its logits are one for each frame."""
        lengths = [round(seconds * self.rate) for seconds in NOISES]

        @torch.inference_mode()
        def ask(probes: Sequence[trial.Probe]) -> Sequence[trial.Answer]:
            sounds = [self.features(self.noise(*each)) for each in probes]
            logits = self.model(**self.pad(sounds)).logits
            own = [self.frames(len(each.values)) if has_own_frames else None for each in sounds]
            return [[trial.array(row if count is None else row[:count])] for row, count in zip(logits, own, strict=True)]

        return trial.examine(self.model, ask, lengths, lengths[0])


def extractor_of(feature_extractor: Any, model: Any) -> Extractor:
    """Return a model's extractor; raises ModelError for one that cannot make features of a second of noise."""
    extractor = Extractor(feature_extractor, model)
    try:
        extractor.features(extractor.noise(extractor.rate, 0))
    except RowError as error:
        raise ModelError(f"{type(feature_extractor).__name__}: {error.message}") from None
    return extractor
