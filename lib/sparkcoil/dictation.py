"""From windows of sound to a Whisper's tokens: encoded together, then those decoded together that are decoded alike.

What is heard in a window does not depend on which windows share its batch. Knows nothing of Spark or MLflow.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from transformers import (
    GenerationMixin,
    LogitsProcessor,
    LogitsProcessorList,
    MaxLengthCriteria,
    SuppressTokensAtBeginLogitsProcessor,
    SuppressTokensLogitsProcessor,
    WhisperTimeStampLogitsProcessor,
)

from sparkcoil import alignment, compaction
from sparkcoil.compaction import Flight, states
from sparkcoil.decoding import seeded
from sparkcoil.engines.hearing import Heard
from sparkcoil.errors import RowError
from sparkcoil.media import Samples
from sparkcoil.steps import Watch
from sparkcoil.tracks import Track, alike, rest, settled, until
from sparkcoil.windows import Mel, Passage, Window, checksum, is_silent


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
        plan = tracks[0].window.plan
        texts, lost = self.texts(tracks, hidden)
        written = [until(tokens, self.ends) for tokens in texts]
        for i in lost:
            tracks[i].finite = False
        times = self.seconds(tracks, hidden, written) if self.words else [[] for _ in tracks]
        for track, tokens, seconds in zip(tracks, written, times, strict=True):
            self.advance(track, tokens, seconds, complete=len(tokens) < plan.limit)

    def texts(self, tracks: Sequence[Track], hidden: torch.Tensor) -> tuple[list[list[int]], set[int]]:
        """Return the tokens that follow each opening, and the windows for which the model gave NaN; those that are over leave the batch."""
        plan, start = tracks[0].window.plan, len(tracks[0].opening)
        settings = {**dict(plan.settings), "max_new_tokens": plan.limit, "eos_token_id": self.ends}
        openings = torch.tensor([track.opening for track in tracks], device=self.model.device)
        flight = Flight(range(len(tracks)), openings, torch.ones(hidden.shape[:2], device=hidden.device), hidden=hidden)
        # Whisper's own `generate` decodes windows of one language, and its word times depend on the batch.
        generate, own = partial(GenerationMixin.generate, self.model), self.processors(start)
        if plan.seed is None and (settings.get("num_beams") or self.model.generation_config.num_beams or 1) == 1:
            found, lost = compaction.written(
                generate, flight, settings, lambda rows: MaxLengthCriteria(start + plan.limit), lambda attended: own
            )
            return [found[i] for i in range(len(tracks))], lost
        watch = Watch(len(tracks))
        with seeded(tracks[0].seed, self.model.device):
            output = generate(**flight.inputs, **settings, logits_processor=LogitsProcessorList([watch, *own]))
        return output[:, start:].tolist(), watch.seen()

    @cached_property
    def ends(self) -> list[int]:
        """The tokens that end a text."""
        own = self.model.generation_config.eos_token_id
        return list(own) if isinstance(own, Sequence) else [own]

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
