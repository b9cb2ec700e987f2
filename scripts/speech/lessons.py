"""Windows of calls with what a Whisper should hear in them, drawn without end.
Knows nothing of the model's weights."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from make_calls import SAMPLING_RATES, STEREO_SHARE, WORDS, Group, draw_groups
from make_keypad import draw_rate, recorded, tones
from transformers import WhisperFeatureExtractor, WhisperTokenizer

from speech.wav2vec import mono
from speech.whisper import END, NO_TIMESTAMPS, RATE, START, TICK, WINDOW_SECONDS

# A call as it is, or a window from the midst of one, some of which are the last of their call.
WHOLE_SHARE, CUT_SHORT_SHARE = 0.4, 0.25
WITHOUT_TIMES_SHARE = 0.12
# A key that is cut by a window's border counts from so many seconds on.
AUDIBLE = 0.04
UNLEARNED = -100
KEYS = {key: number for number, key in enumerate(WORDS, start=1)}
# Of each tick: silence or a key, silence or a place in a group, silence or a place of a group in the window.
CLASSES = (len(KEYS) + 1, 6, 10)


@dataclass(frozen=True)
class Lesson:
    """A window's samples at the model's rate with the groups in it, and whether their times are asked for."""

    samples: np.ndarray
    groups: tuple[Group, ...]
    timed: bool


@dataclass(frozen=True)
class Batch:
    """Lessons as tensors: for each tick which key is held, which of its group it is, and which of the window its group;
    for each token that is learned the ticks that it is heard in."""

    features: torch.Tensor
    inputs: torch.Tensor
    labels: torch.Tensor
    ticks: torch.Tensor
    places: torch.Tensor


def draw_lesson(rng: np.random.Generator) -> Lesson:
    """A window of a call; if nothing is said in it, of another."""
    whole = rng.random() < WHOLE_SHARE
    groups, rate = draw_groups(rng, int(rng.integers(1, 5) if whole else 8)), draw_rate(rng, SAMPLING_RATES)
    seconds = groups[-1].end + rng.uniform(0.4, 0.9)
    start = 0.0 if whole else rng.uniform(0, max(0.1, seconds - WINDOW_SECONDS))
    length = rng.uniform(2, WINDOW_SECONDS) if not whole and rng.random() < CUT_SHORT_SHARE else WINDOW_SECONDS
    clean = tones([press for group in groups for press in group.presses], rate, seconds=seconds)
    clean = clean[round(start * rate) : round((start + length) * rate)]
    heard = tuple(each for group in groups for each in within(group, start, start + length))
    if not heard:
        return draw_lesson(rng)
    samples = mono(recorded(rng, clean, rate, stereo_share=STEREO_SHARE), rate)
    return Lesson(samples, heard, rng.random() >= WITHOUT_TIMES_SHARE)


def within(group: Group, start: float, end: float) -> list[Group]:
    """What of a group is heard between two times, by the clock of the window; nothing or one group."""
    heard = [
        replace(press, start=max(press.start, start) - start, end=min(press.end, end) - start)
        for press in group.presses
        if min(press.end, end) - max(press.start, start) >= AUDIBLE
    ]
    return [Group(tuple(heard))] if heard else []


def tick(seconds: float) -> int:
    """The tick nearest to a time."""
    return min(round(seconds / TICK), round(WINDOW_SECONDS / TICK))


@dataclass(frozen=True)
class Teacher:
    """Makes tensors of lessons."""

    tokenizer: WhisperTokenizer
    extractor: WhisperFeatureExtractor

    def batch(self, lessons: Sequence[Lesson]) -> Batch:
        """The lessons side by side."""
        features = self.extractor([each.samples for each in lessons], sampling_rate=RATE, return_tensors="pt").input_features
        rows = [self.written(each) for each in lessons]
        width = max(len(tokens) for tokens, _ in rows)
        inputs = torch.full((len(rows), width), self.token(END))
        labels = torch.full((len(rows), width), UNLEARNED)
        places = torch.zeros(len(rows), width, round(WINDOW_SECONDS / TICK), dtype=torch.bool)
        for i, (tokens, spans) in enumerate(rows):
            inputs[i, : len(tokens) - 1] = torch.tensor(tokens[:-1])
            labels[i, : len(tokens) - 1] = torch.tensor([UNLEARNED if each == self.token(NO_TIMESTAMPS) else each for each in tokens[1:]])
            for j, (first, last) in spans.items():
                places[i, j - 1, first:last] = True
        return Batch(features, inputs, labels, torch.stack([ticks(each.groups) for each in lessons]), places)

    def token(self, text: str) -> int:
        """The number of a token."""
        found: int = self.tokenizer.convert_tokens_to_ids(text)
        return found

    def written(self, lesson: Lesson) -> tuple[list[int], dict[int, tuple[int, int]]]:
        """The tokens of a lesson, and for each place among them that is heard somewhere, the first tick and the one behind the last."""
        tokens = [self.token(START), *([] if lesson.timed else [self.token(NO_TIMESTAMPS)])]
        spans: dict[int, tuple[int, int]] = {}
        for group in lesson.groups:
            first, last = tick(group.start), tick(group.end)
            if lesson.timed:
                spans[len(tokens)] = (max(0, first - 1), first + 2)
                tokens.append(self.time(first))
            for press in group.presses:
                spans[len(tokens)] = (tick(press.start), max(tick(press.end), tick(press.start) + 1))
                tokens.append(self.token(f"Ġ{WORDS[press.key]}"))
            if lesson.timed:
                spans[len(tokens)] = (last - 2, last + 1)
                tokens.append(self.time(last))
        return [*tokens, self.token(END)], spans

    def time(self, number: int) -> int:
        """The timestamp of a tick."""
        return self.token(NO_TIMESTAMPS) + 1 + number


def ticks(groups: Sequence[Group]) -> torch.Tensor:
    """For each tick of a window: the key that is held, its place in its group, its group's in the window; all 0 in silence."""
    found = torch.zeros(3, round(WINDOW_SECONDS / TICK), dtype=torch.long)
    for i, group in enumerate(groups, start=1):
        for j, press in enumerate(group.presses, start=1):
            found[:, tick(press.start) : tick(press.end)] = torch.tensor([KEYS[press.key], j, i])[:, None]
    return found
