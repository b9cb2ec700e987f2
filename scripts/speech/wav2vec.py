"""What the small wav2vec2 models that are trained here have in common: what they hear, and that they learn without regularisation.
Knows nothing of how they are trained."""

from collections.abc import Mapping

import numpy as np
import soxr
from transformers import Wav2Vec2FeatureExtractor

RATE = 16000
# So small a model on unlimited data needs no regularisation, and each kind delays the way out of CTC's all-blank plateau.
UNREGULARISED: Mapping[str, bool | float] = {
    "apply_spec_augment": False,
    "mask_time_prob": 0.0,
    "layerdrop": 0.0,
    "hidden_dropout": 0.0,
    "activation_dropout": 0.0,
    "attention_dropout": 0.0,
    "feat_proj_dropout": 0.0,
    "final_dropout": 0.0,
}


def make_extractor() -> Wav2Vec2FeatureExtractor:
    """Recordings of zero mean and unit variance, with an attention mask."""
    return Wav2Vec2FeatureExtractor(sampling_rate=RATE, do_normalize=True, return_attention_mask=True)


def mono(samples: np.ndarray, sampling_rate: int) -> np.ndarray:
    """The frames x channels samples mixed down and brought to the rate of the models."""
    return soxr.resample(samples.mean(axis=1), sampling_rate, RATE)
