"""Whisper models: recordings as windows of some 30 s, those of all rows heard together, each row's joined to its transcript.

Windows, rather than Whisper's own walk from segment to segment, since all of a long recording's can share batches with other rows',
and since memory does not grow with a recording. Windows overlap, and are joined as transformers' own pipeline joins them.
"""

import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sparkcoil import batching, checkpoint
from sparkcoil.batching import Batching, Budget
from sparkcoil.dictation import Listener
from sparkcoil.engines import Parts, Placement, Prepared
from sparkcoil.engines.hearing import Ear, Hearer
from sparkcoil.errors import ModelError, RowError
from sparkcoil.tasks import Facts
from sparkcoil.transcripts import Spoken, Transcript, Word, timed
from sparkcoil.windows import Passage, Piece, Plan, Window, cut, to_the_end

# Windows in one batch. They all cost the same, however short the recording.
CPU_WINDOWS, GPU_WINDOWS = 8, 32
NEW_TOKENS = 256
# Text that zlib makes this much shorter goes round in circles; the bound is Whisper's own.
REPETITIVE = 2.4
# What of the options `generate` is told, where it is set.
PASSED = ("num_beams", "repetition_penalty", "no_repeat_ngram_size", "length_penalty")
TIMESTAMPS: Mapping[str, bool | str] = {"none": False, "segment": True, "word": "word"}


@dataclass
class Whisper(Hearer):
    """A Whisper with what it hears and writes with; `forward` gives what was said in each window, `facts` hold what joins a row's."""

    ear: Ear
    listener: Listener
    model: Any
    tokenizer: Any
    options: Any
    languages: Mapping[str, int]
    language: int | None
    task: str | None
    budget: Budget
    per_unit: float
    unit: str = "audio seconds"
    batching: Batching = "padded"
    facts: Facts = field(init=False)

    def __post_init__(self) -> None:
        self.facts = {"transcript": self.transcript}

    def prepare(self, items: Sequence[Spoken]) -> list[Parts | RowError]:
        """Return each recording's windows, as long as its header tells, or the row's failure; nothing is decoded yet."""
        known = self.ear.durations([each.audio for each in items])
        return [self._one(item, seconds) for item, seconds in zip(items, known, strict=True)]

    def _one(self, item: Spoken, seconds: float | RowError) -> Parts | RowError:
        if isinstance(seconds, RowError):
            return seconds
        try:
            language, task = self.asked(item.options)
            plan = self.plan(item.options)
        except RowError as error:
            return error

        def prepared(piece: Piece, *, last: bool) -> Prepared:
            start, end = piece.start / self.ear.rate, None if last else piece.length / self.ear.rate
            window = Window(item.audio, start, end, before=piece.before, after=piece.after, language=language, task=task, plan=plan)
            return Prepared(window, piece.length)

        pieces = list(cut(max(1, self.ear.length(seconds)), *map(self.ear.length, self.lengths())))
        return Parts(tuple(prepared(each, last=each is pieces[-1]) for each in pieces))

    def lengths(self) -> tuple[float, float, float]:
        """Return the seconds of a window, and of those what it shares with the one before and the one after."""
        length = float(self.options.chunk_length_s or self.listener.extractor.chunk_length)
        return length, *self.options.strides(length)

    def asked(self, options: Any) -> tuple[int | None, int | None]:
        """Return the tokens of a row's language, None where it is to be found out, and task; raises RowError for one that is none."""
        own = self.model.generation_config
        if not self.languages:
            if options.language or options.task == "translate":
                raise RowError("input", "bad_option", "language and task are for models of several languages, and this one knows one")
            return None, None
        language = self.language if options.language is None else self.languages.get(code(options.language))
        if options.language is not None and language is None:
            raise RowError("input", "bad_option", "language is not one of this model")
        return language, own.task_to_id[options.task or self.task or "transcribe"]

    def plan(self, options: Any) -> Plan:
        """Return how a row's windows are decoded; raises RowError where its prompt leaves no room."""
        own, positions = self.model.generation_config, int(self.model.config.max_target_positions)
        prompt = self.prompt(options.prompt) if options.prompt else ()
        if len(prompt) >= positions // 2:
            raise RowError(
                "input", "too_long", f"the prompt has {len(prompt) - 1} tokens, more than the {positions // 2 - 2} that are read"
            )
        limit = options.max_new_tokens or own.max_new_tokens or own.max_length or NEW_TOKENS
        # Room for what stands before the text: a start, a language, a task, and whether there are timestamps.
        limit = min(limit, positions - len(prompt) - 4)
        settings = {name: getattr(options, name) for name in PASSED if getattr(options, name) is not None}
        settings |= {"do_sample": bool(options.temperature), **({"temperature": options.temperature} if options.temperature else {})}
        return Plan(prompt, limit, tuple(sorted(settings.items())), options.seed if options.temperature else None)

    def prompt(self, text: str) -> tuple[int, ...]:
        """Return the tokens of a prompt; raises RowError for one that holds tokens with a meaning of their own."""
        try:
            return tuple(int(each) for each in self.tokenizer.get_prompt_ids(text))
        except ValueError:
            raise RowError("input", "bad_option", "the prompt holds a special token of the model") from None

    @torch.inference_mode()
    def forward(self, batch: Sequence[Prepared]) -> Sequence[Passage | RowError]:
        """Return what is said in each window; one that cannot be decoded fails by itself."""
        heard = zip(batch, self.ear.hear(batch), strict=True)
        return batching.spread([each if isinstance(each, RowError) else (one.features, each) for one, each in heard], self.listener.listen)

    def transcript(self, passages: Sequence[Passage]) -> Transcript:
        """Return a recording's transcript from what was heard in its windows."""
        heard = to_the_end(passages, self.ear.rate)
        ends = max(each.ends for each in passages)
        outputs = [self.output(each) for each in heard]
        text, chunks = self.joined(outputs, TIMESTAMPS[self.options.return_timestamps])
        segments, words = [], []
        if self.options.return_timestamps == "word":
            words = [Word(each["text"], *each["timestamp"]) for each in chunks]
            chunks = self.joined(outputs, True)[1]
        if self.options.return_timestamps != "none":
            segments = timed(chunks, ends)
        return Transcript(text, ends, self.spoken(heard), tuple(segments), tuple(words), self.warnings(heard))

    def joined(self, outputs: Sequence[Mapping[str, Any]], timestamps: bool | str) -> tuple[str, list[dict[str, Any]]]:
        """Return the text of windows and its pieces with times, joined where neighbours overlap."""
        precision = self.listener.extractor.chunk_length / self.model.config.max_source_positions
        text, more = self.tokenizer._decode_asr(outputs, return_timestamps=timestamps, return_language=None, time_precision=precision)
        return text, more.get("chunks", [])

    def output(self, heard: Passage) -> dict[str, Any]:
        """Return what was heard in a window as the tokenizer joins it; in some languages, words depend on the language."""
        window, tokens, seconds = heard.window, list(heard.tokens), list(heard.seconds)
        # Of an old checkpoint's tokenizer a language may be no special token: it would be read as a word.
        if self.options.return_timestamps == "word" and heard.language is not None and heard.language in self.tokenizer.all_special_ids:
            tokens, seconds = [heard.language, *tokens], [0.0, *seconds]
        stride = tuple(each / self.per_unit for each in (heard.length, window.before, window.after))
        return {"tokens": np.array([tokens], dtype=int), "token_timestamps": np.array([seconds]), "stride": stride}

    def spoken(self, heard: Sequence[Passage]) -> str | None:
        """Return the language of most windows of a recording, the first of those that are equally many."""
        if not self.languages:
            return None if getattr(self.model.generation_config, "is_multilingual", True) else "en"
        found = Counter(each.language for each in heard if each.language is not None)
        names = {token: name for name, token in self.languages.items()}
        return names[found.most_common(1)[0][0]] if found else None

    def warnings(self, heard: Sequence[Passage]) -> tuple[str, ...]:
        """Return what the reader of a transcript should know: that text goes round in circles, or that some is missing."""
        texts = [self.tokenizer.decode([token for token in each.tokens if token < self.tokenizer.eos_token_id]) for each in heard]
        found = {"repetition": any(map(is_repetitive, texts)), "truncated": not all(each.complete for each in heard)}
        media = dict.fromkeys(warning for each in heard for warning in each.warnings)
        return (*media, *(name for name, there in found.items() if there))


def load(artifact: Path, options: Any, placement: Placement) -> Whisper:
    """Return the Whisper of an artifact; raises ModelError for options that it cannot follow."""
    extractor = checkpoint.load_feature_extractor(artifact, placement)
    tokenizer = checkpoint.load_tokenizer(artifact, placement)
    model = checkpoint.load_model(artifact, "AutoModelForSpeechSeq2Seq", placement)
    refuse_unknown_times(model.generation_config, options.return_timestamps)
    if (options.chunk_length_s or 0) > extractor.chunk_length:
        raise ModelError(f"chunk_length_s: this model hears at most {extractor.chunk_length} s at once, found {options.chunk_length_s:g}")
    windows = CPU_WINDOWS if placement.device == "cpu" else GPU_WINDOWS
    budget = Budget(windows * extractor.n_samples, windows)
    known = {name.strip("<|>"): token for name, token in (getattr(model.generation_config, "lang_to_id", None) or {}).items()}
    language, task, forced = told(model)
    timestamps = options.return_timestamps
    listener = Listener(
        model, extractor, timestamps != "none", timestamps == "word", bool(known), forced, *suppressed(model.generation_config)
    )
    ear = Ear(int(extractor.sampling_rate), listener.hear)
    engine = Whisper(ear, listener, model, tokenizer, options, known, language, task, budget, per_unit=ear.rate)
    try:
        engine.asked(options)
        engine.plan(options)
    except RowError as error:
        raise ModelError(f"{error.message}; its languages: {', '.join(sorted(known)) or 'one'}") from None
    return engine


def refuse_unknown_times(own: Any, timestamps: str) -> None:
    """Pass if a generation config says what times need; raises ModelError."""
    needed = {"none": (), "segment": ("no_timestamps_token_id",), "word": ("no_timestamps_token_id", "alignment_heads")}[timestamps]
    missing = [name for name in needed if not hasattr(own, name)]
    if missing:
        raise ModelError(
            f"return_timestamps: {timestamps} needs {missing[0]} in the model's generation_config.json; use the checkpoint's newest"
        )


def told(model: Any) -> tuple[int | None, str | None, tuple[int, ...]]:
    """Return the language and the task that a checkpoint was made for, where it says so, and all tokens that it is always told."""
    own = model.generation_config
    old = getattr(own, "forced_decoder_ids", None) or getattr(model.config, "forced_decoder_ids", None) or []
    own.forced_decoder_ids = None
    forced = tuple(token for _, token in old if token not in (None, getattr(own, "no_timestamps_token_id", None)))
    languages, tasks = getattr(own, "lang_to_id", None) or {}, getattr(own, "task_to_id", None) or {}
    language = languages.get(f"<|{code(own.language)}|>") if getattr(own, "language", None) else None
    tasked = getattr(own, "task", None)
    return (
        next((token for token in forced if token in languages.values()), None) if language is None else language,
        tasked or next((name for name, token in tasks.items() if token in forced), None),
        forced,
    )


def suppressed(own: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the tokens that are never written, and those that no text begins with, and take them out of the generation config."""
    found = tuple(own.suppress_tokens or ()), tuple(own.begin_suppress_tokens or ())
    own.suppress_tokens = own.begin_suppress_tokens = None
    return found


def is_repetitive(text: str) -> bool:
    """Tell whether a text says the same over and over."""
    content = text.encode()
    return len(content) > REPETITIVE * len(zlib.compress(content))


def code(language: str) -> str:
    """Return the code of a language that is given by its code or its English name."""
    from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

    name = language.strip().lower().removeprefix("<|").removesuffix("|>")
    return str(TO_LANGUAGE_CODE.get(name, name))
