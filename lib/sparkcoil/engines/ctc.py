"""CTC speech models such as wav2vec2 and HuBERT: transcribed in batches by length, long recordings in chunks that overlap."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sparkcoil import batching, checkpoint
from sparkcoil.artifact import MODEL
from sparkcoil.batching import Batching, Budget
from sparkcoil.engines import Findings, Parts, Placement, Prepared, extraction
from sparkcoil.engines.encoder import NON_FINITE
from sparkcoil.engines.extraction import Extractor
from sparkcoil.engines.hearing import TOO_SHORT, Clip, Ear, Heard, Hearer
from sparkcoil.errors import ModelError, RowError
from sparkcoil.recordings import Sound
from sparkcoil.tasks import Facts
from sparkcoil.tasks.automatic_speech_recognition import WHISPER_OPTIONS
from sparkcoil.transcripts import Segment, Spoken, Transcript, Word

# Padded seconds of audio in one batch.
CPU_SECONDS, GPU_SECONDS = 30, 960
# Unless asked, only a recording of more than a minute is cut: what attention costs grows with the square of the length.
CHUNK_SECONDS, WHOLE_SECONDS = 30.0, 60.0
# The folder of a language model, which weighs words where pyctcdecode and kenlm search beams; here the likeliest token is taken.
NGRAMS, GREEDY = "language_model", "greedy, since the n-gram model of this checkpoint is not used"
# Where nothing is said for so long, a segment ends.
PAUSE_SECONDS = 0.5

Tokens = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Frames:
    """The likeliest token of each frame of a clip, without those of its strides, and where in the recording the clip ends."""

    tokens: Tokens
    ends: float
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Chunking:
    """How a recording of more than `whole` samples is cut: into chunks of `length`, whose `left` and `right` are context alone."""

    whole: float
    length: int
    left: int
    right: int

    def cuts(self, samples: int) -> Iterator[tuple[int, int]]:
        """Yield where each chunk begins and ends, but for one that would be nothing but the context of the one before."""
        for start in range(0, samples, self.length - self.left - self.right):
            end = min(start + self.length, samples)
            if end - start > (self.left if start else 0):
                yield start, end
            if end == samples:
                return


@dataclass(frozen=True, eq=False)
class Chunk(Clip):
    """A clip with its strides: how many samples at its ends only give context."""

    left: int = 0
    right: int = 0


@dataclass
class Ctc(Hearer):
    """A model with its ear and its tokenizer; `forward` gives a recording's transcript, of a chunk the Frames, which `facts` can join.

    `ratio` is how many samples one frame of the model stands for; `decoding` is what a reader of the report should know of it.
    """

    ear: Ear
    extractor: Extractor
    model: Any
    tokenizer: Any
    timestamps: str
    ratio: float
    chunking: Chunking
    budget: Budget
    per_unit: float
    decoding: str = ""
    batching: Batching = "padded"
    findings: Findings = Findings()
    unit: str = "audio seconds"

    @property
    def facts(self) -> Facts:
        """What makes a transcript of the Frames of a recording's chunks."""
        return {"transcript": self._transcript}

    def examine(self) -> Findings:
        """Return what the model does with sounds that are padded and alone; without a count of its frames it is given equal lengths."""
        countable = self.extractor.frames(1_000) is not None
        found = self.extractor.examine(has_own_frames=countable)
        return found if countable or found.batching != "padded" else replace(found, batching="exact lengths")

    def follow(self, findings: Findings) -> None:
        """Take sounds into batches as the model allows it."""
        self.batching = findings.batching

    def prepare(self, items: Sequence[Spoken]) -> list[Prepared | Parts | RowError]:
        """Return each recording, or its chunks, with the length that the header tells; nothing is decoded yet."""
        known = self.ear.durations([each.audio for each in items])
        return [each if isinstance(each, RowError) else self._one(item, each) for item, each in zip(items, known, strict=True)]

    def _one(self, item: Spoken, seconds: float) -> Prepared | Parts | RowError:
        if unknown := not_followed(item.options):
            return RowError("input", "bad_option", f"{unknown} is for a Whisper, and this model is none")
        return self._cut(item.audio, seconds)

    def _cut(self, sound: Sound, seconds: float) -> Prepared | Parts | RowError:
        samples, chunking = self.ear.length(seconds), self.chunking
        if self._frames(samples) < 1:
            return TOO_SHORT
        if samples <= chunking.whole:
            return Prepared(Chunk(sound), samples)
        cuts = list(chunking.cuts(samples))
        if len(cuts) < 2:
            return Prepared(Chunk(sound), samples)
        return Parts(tuple(self._chunk(sound, start, end, last=end == samples) for start, end in cuts))

    def _chunk(self, sound: Sound, start: int, end: int, *, last: bool) -> Prepared:
        left, right = self.chunking.left if start else 0, 0 if last else self.chunking.right
        seconds = None if last else (end - start) / self.ear.rate
        return Prepared(Chunk(sound, start / self.ear.rate, seconds, left, right), end - start)

    def _frames(self, samples: int) -> int:
        frames = self.extractor.frames(samples) if self.extractor.is_waveform else None
        return int(samples / self.ratio) if frames is None else frames

    def forward(self, batch: Sequence[Prepared]) -> Sequence[Any]:
        """Return what is heard in each clip; one that cannot be decoded, or is too short, fails by itself."""
        heard = self.ear.hear(batch)
        tokens = batching.spread(heard, self._tokens)
        return [
            found if isinstance(found, RowError) else self._read(each.features, clip, found)
            for each, clip, found in zip(batch, heard, tokens, strict=True)
        ]

    def _read(self, clip: Chunk, heard: Any, tokens: Tokens) -> Transcript | Frames | RowError:
        if clip.is_whole:
            return self._transcript([Frames(tokens, heard.ends, heard.warnings)]) if tokens.size else TOO_SHORT
        # Where the recording breaks off, what is missing of the chunk is context first.
        missing = 0 if clip.seconds is None else max(0, round(clip.seconds * self.ear.rate) - heard.length)
        samples = max(1, heard.length)
        frames = round(samples / self.ratio)
        left, right = (round(stride / samples * frames) for stride in (clip.left, max(0, clip.right - missing)))
        return Frames(tokens[left : frames - right if right else None], heard.ends, heard.warnings)

    def _tokens(self, clips: Sequence[Heard]) -> list[Any]:
        """Return the likeliest token of every frame of each clip: none where a clip is shorter than a frame."""
        found: list[Any] = [np.empty(0, np.int64)] * len(clips)
        enough = [i for i, each in enumerate(clips) if self._frames(each.length) >= 1]
        # A recording may break off before the length that its header declares, by which the batch was made.
        lengths = {clips[i].length for i in enough} if self.batching == "exact lengths" else {None}
        for length in lengths:
            group = [i for i in enough if length in (None, clips[i].length)]
            for i, tokens in zip(group, self._run([clips[i] for i in group]) if group else (), strict=True):
                found[i] = tokens
        return found

    @torch.inference_mode()
    def _run(self, clips: Sequence[Heard]) -> Iterator[Any]:
        features = [each.features for each in clips]
        logits = self.model(**self.extractor.pad(features)).logits.float()
        finite = torch.isfinite(logits).all(dim=2).cpu().numpy()
        tokens = logits.argmax(dim=2).cpu().numpy()
        for i, each in enumerate(features):
            frames = self.extractor.frames(len(each.values))
            yield tokens[i, :frames] if finite[i, :frames].all() else NON_FINITE

    def _transcript(self, parts: Sequence[Frames]) -> Transcript:
        tokens = np.concatenate([each.tokens for each in parts])
        seconds = max(each.ends for each in parts)
        warnings = tuple(dict.fromkeys(warning for each in parts for warning in each.warnings))
        if self.timestamps == "none":
            return Transcript(self.tokenizer.decode(tokens, skip_special_tokens=False), seconds, warnings=warnings)
        decoded = self.tokenizer.decode(tokens, skip_special_tokens=False, output_word_offsets=True)
        words = tuple(self._word(each) for each in decoded.word_offsets)
        segments = tuple(segments_of(words))
        return Transcript(decoded.text, seconds, None, segments, words if self.timestamps == "word" else (), warnings)

    def _word(self, offsets: dict[str, Any]) -> Word:
        step = self.ratio / self.per_unit
        return Word(offsets["word"], round(offsets["start_offset"] * step, 3), round(offsets["end_offset"] * step, 3))


def load(artifact: Path, options: Any, placement: Placement) -> Ctc:
    """Return the speech model of an artifact with what it hears and writes with; raises ModelError for an option that it cannot follow."""
    if unknown := not_followed(options):
        raise ModelError(f"{unknown}: this option is for a Whisper, and a CTC model writes what it hears")
    feature_extractor = checkpoint.load_feature_extractor(artifact, placement)
    model = checkpoint.load_model(artifact, "AutoModelForCTC", placement)
    rate = int(feature_extractor.sampling_rate)
    seconds = CPU_SECONDS if placement.device == "cpu" else GPU_SECONDS

    extractor = extraction.extractor_of(feature_extractor, model)
    ratio = samples_per_frame(extractor)
    return Ctc(
        Ear(rate, extractor.features),
        extractor,
        model,
        checkpoint.load_tokenizer(artifact, placement),
        timestamps=options.return_timestamps,
        ratio=ratio,
        chunking=chunking(options, rate, round(ratio)),
        budget=Budget(seconds * rate, 64),
        per_unit=rate,
        decoding=GREEDY if (artifact / MODEL / NGRAMS).is_dir() else "",
    )


def samples_per_frame(extractor: Extractor) -> float:
    """Return how many samples one frame of a model's logits stands for, as its configuration tells, or by hearing two silences."""
    if told := getattr(extractor.model.config, "inputs_to_logits_ratio", None):
        return float(told)
    with torch.inference_mode():
        sounds = [extractor.features(np.zeros(seconds * extractor.rate, np.float32)) for seconds in (2, 4)]
        short, long = (extractor.model(**extractor.pad([each])).logits.shape[1] for each in sounds)
    return float(2 * extractor.rate / (long - short))


def not_followed(options: Any) -> str | None:
    """Return the first option that is set otherwise than by default and that no CTC model follows."""
    fields = type(options).model_fields
    return next((name for name in WHISPER_OPTIONS if getattr(options, name) != fields[name].default), None)


def segments_of(words: Sequence[Word]) -> Iterator[Segment]:
    """Yield what is said between pauses: a CTC model knows of nothing longer than a word."""
    first = 0
    for i, word in enumerate(words):
        if i + 1 == len(words) or words[i + 1].start - word.end >= PAUSE_SECONDS:
            yield Segment(" ".join(each.word for each in words[first : i + 1]), words[first].start, word.end)
            first = i + 1


def chunking(options: Any, rate: int, frame: int) -> Chunking:
    """Return how recordings are cut, in whole frames of the model; unless chunks are asked for, only those over a minute are."""
    length = options.chunk_length_s or CHUNK_SECONDS
    size, left, right = (round(seconds * rate / frame) * frame for seconds in (length, *options.strides(length)))
    return Chunking(0.0 if options.chunk_length_s else WHOLE_SECONDS * rate, size, left, right)
