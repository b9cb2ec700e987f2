"""Sequence-to-sequence models such as T5, BART, Marian and NLLB: a text is read whole, another is written."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sparkcoil import checkpoint, decoding
from sparkcoil.batching import Budget
from sparkcoil.decoding import CPU_BUDGET, GPU_BUDGET, Decoder, Prompt
from sparkcoil.engines import Placement, Prepared
from sparkcoil.errors import ModelError, RowError
from sparkcoil.generation import Generated, Request
from sparkcoil.tasks import Facts


@dataclass
class Seq2seq:
    """A tokenizer with its model; `forward` gives what was generated for each request."""

    tokenizer: Any
    model: Any
    decoder: Decoder
    src_lang: str | None
    facts: Facts
    budget: Budget
    unit: str = "tokens"
    per_unit: float = 1.0
    exact_lengths: bool = False

    def prepare(self, items: Sequence[Request]) -> list[Prepared | RowError]:
        """Return the token ids of every text, cut to what the encoder reads, or the row's failure."""
        return [self._one(request) for request in items]

    def _one(self, request: Request) -> Prepared | RowError:
        options = request.options
        try:
            language = self.language(options)
            limit = min(decoding.positions(self.model.config, "encoder"), options.max_input_length or self.tokenizer.model_max_length)
            ids, cut = decoding.encode(self.tokenizer, str(request.content), limit, options)
            ids = ids or (self.decoder.eos or (self.decoder.pad,))[:1]
            room = decoding.positions(self.model.config, "decoder") - 1
            plan = decoding.plan(self.decoder, options, ids, standing=1, room=room, **language)
        except RowError as error:
            return error
        return Prepared(Prompt(request, str(request.content), ids, plan), len(ids), ("truncated",) if cut else ())

    def language(self, options: Any) -> dict[str, int]:
        """Set the tokenizer's source language, and return what makes the model write the target language.

        Tokenizers of one pair of languages know none, and leave both unread.
        """
        if not hasattr(self.tokenizer, "src_lang"):
            return {}
        source, target = getattr(options, "src_lang", None), getattr(options, "tgt_lang", None)
        if source is not None:
            language_id(self.tokenizer, "src_lang", source)
        if self.tokenizer.src_lang != (source or self.src_lang):
            self.tokenizer.src_lang = source or self.src_lang
        return {} if target is None else {"forced_bos_token_id": language_id(self.tokenizer, "tgt_lang", target)}

    @torch.inference_mode()
    def forward(self, batch: Sequence[Prepared]) -> Sequence[Generated | RowError]:
        """Return what was generated for each text."""
        return decoding.generate(self.decoder, batch)


def language_id(tokenizer: Any, option: str, language: str) -> int:
    """Return the id of a language's token; raises RowError for a word that is no language of the model."""
    known = getattr(tokenizer, "lang_code_to_id", None)
    token = tokenizer.get_lang_token(language) if known and language in known and hasattr(tokenizer, "get_lang_token") else language
    found = tokenizer.convert_tokens_to_ids(token)
    if (known and language not in known) or (not known and found not in tokenizer.all_special_ids) or found == tokenizer.unk_token_id:
        raise RowError("input", "bad_option", f"{option} is not a language of this model")
    return int(found)


def load(artifact: Path, options: Any, placement: Placement) -> Seq2seq:
    """Return the model of an artifact with its tokenizer; raises ModelError for a language that it does not know."""
    tokenizer = checkpoint.load_tokenizer(artifact, placement)
    model = checkpoint.load_model(artifact, "AutoModelForSeq2SeqLM", placement)
    engine = Seq2seq(
        tokenizer,
        model,
        decoding.decoder(model, tokenizer),
        src_lang=getattr(tokenizer, "src_lang", None),
        facts={"model": type(model).__name__},
        budget=CPU_BUDGET if placement.device == "cpu" else GPU_BUDGET,
    )
    try:
        engine.language(options)
    except RowError as error:
        raise ModelError(f"{error.message}; its languages: {languages(tokenizer)}") from None
    return engine


def languages(tokenizer: Any) -> str:
    """Return the names of the languages that a tokenizer knows."""
    known = getattr(tokenizer, "lang_code_to_id", None) or set(tokenizer.all_special_tokens) - set(tokenizer.special_tokens_map.values())
    return ", ".join(sorted(known))
