"""VITS, such as the MMS voices, which speaks a text: how long each of its tokens lasts, then their sound.

Each text is spoken alone, by the model's own forward and with noise from a seed of its own. A batch would change the last bits of
numbers, and the length of a token is rounded up to whole frames: one bit more can move all that follows by a frame. The sound of a
shorter text in a batch would also end otherwise, since the layers that make it know of no padding.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from transformers.utils.import_utils import is_uroman_available

from sparkcoil import checkpoint
from sparkcoil.batching import Batching, Budget
from sparkcoil.decoding import seeded
from sparkcoil.engines import Placement, Prepared, encoder
from sparkcoil.engines.encoder import NON_FINITE
from sparkcoil.errors import EnvironmentError_, ModelError, RowError, first_line
from sparkcoil.generation import Request
from sparkcoil.planning import seed_of
from sparkcoil.tasks import Facts

# A batch of several would cost the same, and be computed again for the one that fails.
ALONE = Budget(10**9, 1)


@dataclass(frozen=True)
class Utterance:
    """What is spoken: a text's tokens, with the options that hold for its row."""

    ids: tuple[int, ...]
    options: Any


class Speech(NamedTuple):
    """A recording: samples from -1 to 1 in float32, their rate, and the warnings of its row."""

    samples: np.ndarray
    rate: int
    warnings: tuple[str, ...]


@dataclass
class Pace:
    """Turns the logarithms of the tokens' lengths that a model predicts into those of whole frames, which end at a limit.

    `cut` says whether there were more.
    """

    speaking_rate: float
    limit: int
    cut: bool = False

    def __call__(self, module: Any, given: Any, predicted: torch.Tensor) -> torch.Tensor:
        """Return the logarithms from which the model computes the lengths again, at a speaking rate of 1."""
        frames = torch.ceil(torch.exp(predicted) * (1.0 / self.speaking_rate))
        if frames.isnan().any():
            raise NON_FINITE
        frames = frames.clamp(max=self.limit + 1)
        ends = frames.double().cumsum(-1)
        self.cut = bool(ends[..., -1].max() > self.limit)
        kept = torch.minimum(frames, (self.limit - (ends - frames)).clamp(min=0).float())
        return (kept - 0.5).clamp(min=0).log()  # half a frame less, since the model rounds up


@dataclass
class Vits:
    """A tokenizer with its model; `forward` gives the Speech of each text."""

    tokenizer: Any
    model: Any
    facts: Facts
    budget: Budget = ALONE
    unit: str = "tokens"
    per_unit: float = 1.0
    batching: Batching = "padded"

    @property
    def rate(self) -> int:
        """Samples in a second."""
        return int(self.model.config.sampling_rate)

    def limit(self, options: Any) -> int:
        """Return how many frames the longest recording has; so many tokens are spoken at most, since each lasts one or more."""
        return max(1, int(options.max_seconds * self.rate / prod(self.model.config.upsample_rates)))

    def prepare(self, items: Sequence[Request]) -> list[Prepared | RowError]:
        """Return the tokens of every text, as many as can be spoken in the longest recording, or the row's failure."""
        return [self._one(str(each.content), each.options) for each in items]

    def _one(self, text: str, options: Any) -> Prepared | RowError:
        if options.speaker_id is not None and options.speaker_id >= speakers(self.model.config):
            return RowError("input", "bad_option", "speaker_id is not one of this model's speakers")
        ids, limit = self.tokenizer(text)["input_ids"], self.limit(options)
        if not ids:
            return RowError("input", "no_tokens", "the tokenizer finds nothing in the text that the model could speak")
        if max(ids) >= self.model.config.vocab_size:
            return RowError("input", "unknown_token", "the text has a character that the model has no token for")
        if len(ids) > limit and options.truncation == "fail":
            return too_long(options)
        return Prepared(Utterance(tuple(ids[:limit]), options), min(len(ids), limit), ("truncated",) if len(ids) > limit else ())

    @torch.inference_mode()
    def forward(self, batch: Sequence[Prepared]) -> list[Speech | RowError]:
        """Return the sound of each text; one that lasts too long is cut or fails, as its options say."""
        return [self._spoken(each.features, each.warnings) for each in batch]

    def _spoken(self, utterance: Utterance, warned: Sequence[str]) -> Speech | RowError:
        own, config, device = utterance.options, self.model.config, self.model.device
        pace = Pace(chosen(own.speaking_rate, config.speaking_rate), self.limit(own))
        self.model.noise_scale = chosen(own.noise_scale, config.noise_scale)
        self.model.noise_scale_duration = chosen(own.noise_scale_duration, config.noise_scale_duration)
        ids = torch.tensor([utterance.ids], device=device)
        try:
            with seeded(seed_of(own.seed, utterance.ids), device), paced(self.model.duration_predictor, pace):
                samples = encoder.array(self.model(input_ids=ids, speaker_id=own.speaker_id, speaking_rate=1.0).waveform[0])
        except RowError as error:
            return error
        if pace.cut and own.truncation == "fail":
            return too_long(own)
        if not np.isfinite(samples).all():
            return NON_FINITE
        return Speech(samples, self.rate, ("truncated",) if pace.cut and "truncated" not in warned else ())


@contextmanager
def paced(predictor: torch.nn.Module, pace: Pace) -> Iterator[None]:
    """Let a pace have the last word on how long tokens last, within the block."""
    handle = predictor.register_forward_hook(pace)
    try:
        yield
    finally:
        handle.remove()


def chosen(asked: float | None, own: float) -> float:
    """Return the value that was asked for, or else the model's own."""
    return float(own if asked is None else asked)


def speakers(config: Any) -> int:
    """Return how many speakers a model has."""
    return max(1, int(config.num_speakers))


def too_long(options: Any) -> RowError:
    """Return the failure of a row whose recording would be too long."""
    return RowError("input", "too_long", f"the text takes more than {options.max_seconds:g} seconds to speak")


def load(artifact: Path, options: Any, placement: Placement) -> Vits:
    """Return the voice of an artifact; raises ModelError for a speaker that it has not, EnvironmentError_ where texts cannot be read."""
    tokenizer = checkpoint.load_tokenizer(artifact, placement)
    refuse_unreadable(tokenizer)
    model = checkpoint.load_model(artifact, "AutoModelForTextToWaveform", placement)
    last = speakers(model.config) - 1
    if (options.speaker_id or 0) > last:
        known = f"from 0 to {last}" if last else "0, since the model has one speaker"
        raise ModelError(f"model.options.speaker_id: expected a speaker {known}; found {options.speaker_id}")
    # Shorter formats have no room for the splines that predict lengths, nor for counting the frames of a long text.
    model.duration_predictor.float().register_forward_pre_hook(lambda module, given: tuple(map(in_float32, given)))
    return Vits(tokenizer, model, facts={})


def in_float32(given: torch.Tensor | None) -> torch.Tensor | None:
    """Return a tensor in float32, and None as it is."""
    return None if given is None else given.float()


def refuse_unreadable(tokenizer: Any) -> None:
    """Pass if the tokenizer has here what it reads texts with; raises EnvironmentError_."""
    if getattr(tokenizer, "is_uroman", False) and not is_uroman_available():
        # The tokenizer would do with a warning in a log, and leave out whatever is not written in Latin letters.
        raise EnvironmentError_("the tokenizer needs the package uroman, and it is not installed here; install it on driver and executors")
    try:
        tokenizer("An example.")
    except Exception as error:
        kind = type(error).__name__
        raise EnvironmentError_(f"the tokenizer cannot read texts here ({kind}: {first_line(error)}); install what it needs") from error
