"""How each row's text is generated, as a value: what the model is told, where the text ends, and a seed where it samples.

Knows nothing of Spark or MLflow.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from sparkcoil import compaction
from sparkcoil.engines import Findings, Prepared
from sparkcoil.errors import RowError
from sparkcoil.generation import GenerationOptions, Request
from sparkcoil.steps import Ending

NEW_TOKENS = 256
UNLIMITED = 10**9
# Options that `model.generate` takes as they are, always and for sampling alone.
PASSED = ("num_beams", "repetition_penalty", "no_repeat_ngram_size", "length_penalty", "early_stopping")
PASSED_IN_SAMPLING = ("temperature", "top_k", "top_p")


@dataclass(frozen=True)
class Plan:
    """How a row is generated: what `model.generate` is told, the row's own end, and a seed where it samples."""

    settings: tuple[tuple[str, Any], ...]
    ending: Ending
    seed: int | None


@dataclass(frozen=True)
class Prompt:
    """A request as the model takes it: `text` is what `ids` were made of, before any cutting."""

    request: Request
    text: str
    ids: tuple[int, ...]
    plan: Plan


@dataclass(frozen=True)
class Decoder:
    """A model with its tokenizer, and what its own generation configuration says of lengths and of the ends of texts."""

    model: Any
    tokenizer: Any
    eos: tuple[int, ...]
    pad: int
    max_new_tokens: int
    min_length: int
    min_new_tokens: int
    findings: Findings = Findings()

    @property
    def decoder_only(self) -> bool:
        """Whether the new text follows the prompt in one sequence."""
        return not self.model.config.is_encoder_decoder

    @cached_property
    def shares(self) -> bool:
        """Whether prompts may share the keys and values of what they begin with."""
        return self.findings.shares and self.findings.batching == "padded" and compaction.shares(self.model)

    @cached_property
    def lets_go(self) -> bool:
        """Whether rows can be taken out of what the model remembers."""
        return compaction.lets_go(self.model)

    @cached_property
    def special_tokens(self) -> Mapping[str, int]:
        """The tokens of the vocabulary that have no text of their own, by their names."""
        added: Mapping[int, Any] = getattr(self.tokenizer, "added_tokens_decoder", {})
        return {str(token): number for number, token in added.items() if token.special}

    def default(self, plan: Plan, name: str) -> Any:
        """Return a setting as it holds for a plan: the plan's own, else the model's."""
        return dict(plan.settings).get(name, getattr(self.model.generation_config, name, None))


def decoder(model: Any, tokenizer: Any) -> Decoder:
    """Return the decoder of a model; lengths leave its generation configuration, since here they are counted for each row."""
    own = model.generation_config
    eos = own.eos_token_id if own.eos_token_id is not None else tokenizer.eos_token_id
    ends = tuple(eos) if isinstance(eos, Sequence) else () if eos is None else (int(eos),)
    candidates = (own.pad_token_id, tokenizer.pad_token_id, *ends, 0)
    # `max_length` counts a prompt too, and models say their whole context there: it is heeded where there is no prompt to count.
    limit = own.max_new_tokens or (own.max_length - 1 if own.max_length and model.config.is_encoder_decoder else NEW_TOKENS)
    found = Decoder(
        model,
        tokenizer,
        ends,
        pad=next(each for each in candidates if each is not None),
        max_new_tokens=limit,
        min_length=own.min_length or 0,
        min_new_tokens=own.min_new_tokens or 0,
    )
    own.max_length = own.max_new_tokens = own.min_length = own.min_new_tokens = None
    # What is found out of a call is asked for here, and stop strings have become an option; a static cache would let no row go.
    own.stop_strings = own.cache_implementation = None
    own.return_dict_in_generate = own.output_scores = own.output_logits = own.output_attentions = own.output_hidden_states = False
    return found


def positions(config: Any, side: str) -> int:
    """Return how many positions the encoder or the decoder of a model has; T5 and the like have no end."""
    nested = getattr(config, side, None)
    own = getattr(config, f"max_{side}_position_embeddings", None) or getattr(config, "max_position_embeddings", None)
    found = int(own or getattr(nested, "max_position_embeddings", None) or UNLIMITED)
    return found if found > 0 else UNLIMITED  # XLNet says -1


def encode(tokenizer: Any, text: str, limit: int, options: GenerationOptions, *, special: bool = True) -> tuple[tuple[int, ...], bool]:
    """Return a text's token ids, and whether it was cut to the limit; raises RowError where it may not be cut."""
    ids = tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"]
    if len(ids) <= limit:
        return tuple(ids), False
    if options.truncation == "fail":
        raise RowError("input", "too_long", f"the text has {len(ids)} tokens, more than the {limit} that the model reads")
    tokenizer.truncation_side = options.truncation.removeprefix("truncate_")
    return tuple(tokenizer(text, add_special_tokens=special, truncation=True, max_length=limit)["input_ids"]), True


def plan(found: Decoder, options: Any, ids: Sequence[int], *, standing: int, room: int, **extra: Any) -> Plan:
    """Return how a row is generated; raises RowError where its options leave nothing to generate.

    `standing` tokens are there before the first new one, and count where `max_length` does; `room` is left for new ones.
    """
    limit = min(asked_limit(found, options, standing), room)
    if limit < 1:
        raise RowError("input", "too_long", f"the prompt has {standing} tokens, which leave no room for new ones")
    fewest = min(asked_minimum(found, options, standing), limit)
    names = PASSED + (PASSED_IN_SAMPLING if options.samples() else ())
    asked = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    asked |= {"do_sample": options.samples(), "num_return_sequences": options.wanted(), "min_new_tokens": fewest or None, **extra}
    seed = seed_of(options.seed, ids) if options.samples() else None
    # A special token has no text in which a string could be found.
    tokens = tuple(found.special_tokens[each] for each in options.stop if each in found.special_tokens)
    ending = Ending(tuple(ids) if found.decoder_only else (), limit, options.stop, tokens)
    made = Plan(tuple(sorted(asked.items())), ending, seed)
    if seed is None and options.wanted() > (found.default(made, "num_beams") or 1):
        raise RowError("input", "bad_option", "more than one text needs sampling, or as many num_beams")
    return made


def asked_limit(found: Decoder, options: GenerationOptions, standing: int) -> int:
    """Return the most new tokens that the options, or else the model, ask for."""
    asked = options.new_tokens()
    if asked is None and options.max_length is not None:
        return options.max_length - standing
    return asked or found.max_new_tokens


def reserved(found: Decoder, options: GenerationOptions, positions: int) -> int:
    """Return the positions that are kept for new tokens where a prompt has to be cut.

    They are half of all at most: a larger `max_new_tokens` is a bound, for which no prompt should be cut to nothing.
    """
    asked = options.new_tokens() or (1 if options.max_length else found.max_new_tokens)
    return min(asked, positions // 2)


def asked_minimum(found: Decoder, options: GenerationOptions, standing: int) -> int:
    """Return the fewest new tokens that the options, or else the model, ask for."""
    if options.min_new_tokens is not None:
        return options.min_new_tokens
    if options.min_length is not None:
        return max(0, options.min_length - standing)
    return max(0, found.min_new_tokens or found.min_length - standing)


def seed_of(seed: int, ids: Sequence[int]) -> int:
    """Return a row's own seed, from that of the run and the row's prompt."""
    digest = hashlib.sha256(repr((seed, tuple(ids))).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def resampled(prepared: Prepared, attempt: int) -> Prepared:
    """Return a prompt to be generated once more, by sampling with a seed of the attempt's own."""
    prompt: Prompt = prepared.features
    settings = {**dict(prompt.plan.settings), "do_sample": True, "num_beams": 1}
    seed = seed_of(prompt.request.options.seed, (attempt, *prompt.ids))
    return replace(prepared, features=replace(prompt, plan=replace(prompt.plan, settings=tuple(sorted(settings.items())), seed=seed)))
