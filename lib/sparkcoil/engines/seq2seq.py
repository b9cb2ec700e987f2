"""Sequence-to-sequence models such as T5, BART, Marian and NLLB: a text is read whole, another is written."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparkcoil import checkpoint, planning, writing
from sparkcoil.engines import Placement, Prepared
from sparkcoil.errors import ModelError, RowError
from sparkcoil.generation import Request
from sparkcoil.planning import Prompt
from sparkcoil.writing import Writer


@dataclass(kw_only=True)
class Seq2seq(Writer):
    """A model that reads a text whole; `src_lang` is the language that its tokenizer reads where a row names none."""

    src_lang: str | None

    @property
    def readable(self) -> int:
        """The tokens that a text may have."""
        return int(min(planning.positions(self.model.config, "encoder"), self.tokenizer.model_max_length))

    def prompt(self, request: Request) -> Prepared:
        """Return the token ids of a text, cut to what the encoder reads; raises RowError for a language that it does not know."""
        options = request.options
        language = self.language(options)
        limit = min(planning.positions(self.model.config, "encoder"), options.max_input_length or self.tokenizer.model_max_length)
        ids, cut = planning.encode(self.tokenizer, str(request.content), limit, options)
        ids = ids or (self.decoder.eos or (self.decoder.pad,))[:1]
        room = planning.positions(self.model.config, "decoder") - 1
        plan = planning.plan(self.decoder, options, ids, standing=1, room=room, **language)
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
    engine = Seq2seq(**writing.parts(tokenizer, model, placement), src_lang=getattr(tokenizer, "src_lang", None))
    try:
        engine.language(options)
    except RowError as error:
        raise ModelError(f"{error.message}; its languages: {languages(tokenizer)}") from None
    return engine


def languages(tokenizer: Any) -> str:
    """Return the names of the languages that a tokenizer knows."""
    known = getattr(tokenizer, "lang_code_to_id", None) or set(tokenizer.all_special_tokens) - set(tokenizer.special_tokens_map.values())
    return ", ".join(sorted(known))
