"""From windows of sound to a Whisper's tokens: encoded together, then those decoded together that are decoded alike.

What is heard in a window does not depend on which windows share its batch. Knows nothing of Spark or MLflow.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import numpy as np
import torch
from transformers import (
    GenerationMixin,
    LogitsProcessor,
    LogitsProcessorList,
    SuppressTokensAtBeginLogitsProcessor,
    SuppressTokensLogitsProcessor,
    WhisperTimeStampLogitsProcessor,
)
from transformers.modeling_outputs import BaseModelOutput

from sparkcoil import alignment
from sparkcoil.decoding import seed_of, seeded
from sparkcoil.engines.hearing import Heard
from sparkcoil.errors import RowError
from sparkcoil.media import Samples
from sparkcoil.steps import Watch
from sparkcoil.windows import Mel, Passage, Window, checksum, is_silent


@dataclass
class Track:
    """How far the decoding of a window has come: what was heard so far, and the frame from which the rest is heard."""

    window: Window
    heard: Heard
    language: int | None
    opening: tuple[int, ...]
    frame: int = 0
    tokens: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    complete: bool = True
    finite: bool = True

    @property
    def mel(self) -> Mel:
        """What the model is given of the window."""
        found: Mel = self.heard.features
        return found

    @property
    def seed(self) -> int | None:
        """The seed of sampling, None where the window is decoded without."""
        seed = self.window.plan.seed
        return None if seed is None else seed_of(seed, [self.mel.checksum])

    def result(self) -> Passage | RowError:
        """Return what was heard, or the failure of a window for which the model gave NaN."""
        if not self.finite:
            return RowError("output", "non_finite", "the model gave NaN")
        said = tuple(self.tokens), tuple(self.seconds), self.language, self.complete
        return Passage(self.window, self.heard.length, self.heard.ends, self.heard.warnings, *said)


@dataclass(frozen=True)
class Listener:
    """A Whisper with its feature extractor; with `timestamps` it writes when segments begin and end, with `words` it is asked about tokens.

    `suppressed` and `suppressed_first` are the tokens that it never writes, or never begins with; they have left its generation config.
    """

    model: Any
    extractor: Any
    timestamps: bool
    words: bool
    knows_languages: bool
    forced: tuple[int, ...]
    suppressed: tuple[int, ...]
    suppressed_first: tuple[int, ...]

    @cached_property
    def stride(self) -> int:
        """Frames of features to one position of the encoder, which is what timestamps count."""
        encoder = self.model.get_encoder()
        return int(encoder.conv1.stride[0] * encoder.conv2.stride[0])

    @cached_property
    def window_frames(self) -> int:
        """Frames of features in a window."""
        return self.stride * int(self.model.config.max_source_positions)

    @property
    def first_timestamp(self) -> int:
        """The token of the timestamp 0.00; all tokens from it on are timestamps."""
        marker = getattr(self.model.generation_config, "no_timestamps_token_id", None)
        return int(self.model.config.vocab_size if marker is None else marker + 1)

    def hear(self, samples: Samples) -> Mel | None:
        """Return what the model is given of a window, filled up with silence; nothing, where there is no sound."""
        if is_silent(samples):
            return None
        extracted = self.extractor(samples, sampling_rate=self.extractor.sampling_rate, return_attention_mask=True, return_tensors="np")
        return Mel(extracted["input_features"][0], int(extracted["attention_mask"][0].sum()), checksum(samples))

    def listen(self, heard: Sequence[tuple[Window, Heard]]) -> list[Passage | RowError]:
        """Return what is said in each window; nothing is, where there is no sound."""
        passages: list[Passage | RowError] = [
            Passage(window, each.length, each.ends, each.warnings, language=window.language) for window, each in heard
        ]
        audible = [i for i, (_, each) in enumerate(heard) if each.features is not None]
        if audible:
            for i, track in zip(audible, self.tracks([heard[i] for i in audible]), strict=True):
                passages[i] = track.result()
        return passages

    def tracks(self, heard: Sequence[tuple[Window, Heard]]) -> list[Track]:
        """Return the tracks of windows, decoded to their ends: where timestamps say that a segment is cut, from there once more."""
        features = torch.from_numpy(np.stack([each.features.features for _, each in heard]))
        hidden = self.encoded(features)
        languages = self.languages([window for window, _ in heard], hidden)
        tracks = [
            Track(window, each, language, self.opening(window, language)) for (window, each), language in zip(heard, languages, strict=True)
        ]
        pending = list(range(len(tracks)))
        while pending:
            for group in alike([tracks[i] for i in pending]):
                self.decode([tracks[pending[i]] for i in group], hidden[group])
            pending = [i for i in pending if tracks[i].finite and tracks[i].frame < self.window_frames]
            if pending:
                hidden = self.encoded(torch.stack([rest(features[i], tracks[i].frame) for i in pending]))
        return tracks

    def encoded(self, features: torch.Tensor) -> torch.Tensor:
        """Return the encoder's states for features."""
        found: torch.Tensor = self.model.get_encoder()(features.to(self.model.device, self.model.dtype)).last_hidden_state
        return found

    def languages(self, windows: Sequence[Window], hidden: torch.Tensor) -> list[int | None]:
        """Return the token of each window's language: the one asked for, else the likeliest."""
        unknown = [i for i, window in enumerate(windows) if window.language is None]
        found: dict[int, int] = {}
        if unknown and self.knows_languages:
            detected = self.model.detect_language(encoder_outputs=states(hidden[unknown]))
            found = dict(zip(unknown, detected.tolist(), strict=True))
        return [found.get(i, window.language) for i, window in enumerate(windows)]

    def opening(self, window: Window, language: int | None) -> tuple[int, ...]:
        """Return the tokens that the model goes on from."""
        own = self.model.generation_config
        told = [each for each in (language, window.task) if each is not None] or self.forced
        closing = [] if self.timestamps or self.first_timestamp == self.model.config.vocab_size else [own.no_timestamps_token_id]
        return (*window.plan.prompt, own.decoder_start_token_id, *told, *closing)

    def decode(self, tracks: Sequence[Track], hidden: torch.Tensor) -> None:
        """Decode the windows of one plan from where they stand, and move them on."""
        first, own = tracks[0], self.model.generation_config
        plan = first.window.plan
        ids = torch.tensor([track.opening for track in tracks], device=self.model.device)
        watch = Watch(len(tracks))
        with seeded(first.seed, self.model.device):
            # Whisper's own `generate` decodes windows of one language, and its word times depend on the batch.
            output = GenerationMixin.generate(
                self.model,
                encoder_outputs=states(hidden),
                attention_mask=torch.ones(hidden.shape[:2], device=hidden.device),
                decoder_input_ids=ids,
                max_new_tokens=plan.limit,
                logits_processor=LogitsProcessorList([watch, *self.processors(ids.shape[1])]),
                **dict(plan.settings),
            )
        written = [until(tokens, own.eos_token_id) for tokens in output[:, ids.shape[1] :].tolist()]
        for i in watch.seen():
            tracks[i].finite = False
        times = self.seconds(tracks, hidden, written) if self.words else [[] for _ in tracks]
        for track, tokens, seconds in zip(tracks, written, times, strict=True):
            self.advance(track, tokens, seconds, complete=len(tokens) < plan.limit)

    def processors(self, start: int) -> list[LogitsProcessor]:
        """Return what keeps a Whisper from tokens that it must not write, in its own order."""
        found: list[LogitsProcessor] = []
        if self.suppressed_first:
            found.append(SuppressTokensAtBeginLogitsProcessor(self.suppressed_first, start, device=self.model.device))
        if self.suppressed:
            found.append(SuppressTokensLogitsProcessor(self.suppressed, device=self.model.device))
        if self.timestamps:
            found.append(WhisperTimeStampLogitsProcessor(self.model.generation_config, begin_index=start))
        return found

    def advance(self, track: Track, tokens: Sequence[int], seconds: Sequence[float], *, complete: bool) -> None:
        """Add to a track what stands of the tokens, and move it to where the rest is heard from."""
        stand, back = settled(tokens, self.first_timestamp)
        track.tokens += tokens[:stand]
        track.seconds += seconds[:stand]
        track.complete = complete or back is not None
        track.frame += self.window_frames if back is None else max(1, back) * self.stride

    def seconds(self, tracks: Sequence[Track], hidden: torch.Tensor, written: Sequence[Sequence[int]]) -> list[list[float]]:
        """Return the second of the window at which each token was said."""
        ids = alignment.padded([[*track.opening, *tokens] for track, tokens in zip(tracks, written, strict=True)], 0)
        weights = alignment.attention(self.model, hidden, ids.to(self.model.device))
        unit = self.extractor.chunk_length / self.model.config.max_source_positions
        found = []
        for track, tokens, row in zip(tracks, written, weights, strict=True):
            start, heard = len(track.opening), max(1, (track.mel.frames - track.frame) // self.stride)
            # As natively, a last token that did not end the text is taken to be said with the one before it.
            said = len(tokens) - (len(tokens) == track.window.plan.limit)
            places = alignment.positions(row[:, start : start + said, :heard], self.model.config.median_filter_width)
            places += (places or [0])[-1:] * (len(tokens) - said)
            found.append([(place + track.frame / self.stride) * unit for place in places])
        return found


def states(hidden: torch.Tensor) -> BaseModelOutput:
    """Return an encoder's states as a model takes them."""
    return BaseModelOutput(last_hidden_state=cast(torch.FloatTensor, hidden))


def alike(tracks: Sequence[Track]) -> list[list[int]]:
    """Return the positions of tracks that may share a call."""
    groups: dict[Hashable, list[int]] = {}
    for i, track in enumerate(tracks):
        key = (track.window.plan, len(track.opening), i if track.window.plan.seed is not None else None)
        groups.setdefault(key, []).append(i)
    return list(groups.values())


def rest(features: torch.Tensor, frame: int) -> torch.Tensor:
    """Return a window's features from a frame on, with nothing behind them."""
    return torch.nn.functional.pad(features[:, frame:], (0, frame))


def until(tokens: Sequence[int], end: int) -> list[int]:
    """Return the tokens before the one that ends a text."""
    return list(tokens[: tokens.index(end)] if end in tokens else tokens)


def settled(tokens: Sequence[int], first: int) -> tuple[int, int | None]:
    """Return how many of the tokens stand, and the timestamp from which the window is heard again, None where it is not.

    Two timestamps in a row end one segment and begin another. What follows the last such pair was cut off by the window's end,
    unless a single timestamp closes it.
    """
    times = [token >= first for token in tokens]
    pairs = [i for i in range(1, len(tokens)) if times[i - 1] and times[i]]
    if not pairs or times[-2:] == [False, True]:
        return len(tokens), None
    return pairs[-1] + 1, tokens[pairs[-1] - 1] - first
