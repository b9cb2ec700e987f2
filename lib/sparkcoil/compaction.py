"""Greedy texts without waiting: rows whose texts are over leave the batch, and the rest goes on in a smaller one.

`model.generate` is called again and again, each time until a share of its rows is over, and goes on from its own keys and values:
its steps are nearly as fast as a bare loop's, and every model's own rules stay in force.
Knows nothing of Spark or MLflow.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from transformers import Cache, DynamicCache, LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer
from transformers.modeling_outputs import BaseModelOutput

from sparkcoil import batching
from sparkcoil.batching import Budget
from sparkcoil.steps import Watch

# The share of a batch's rows whose end ends a call: each call costs about as much as a step does.
LEAVING = 0.25
# Padded tokens of prompts that a CPU encodes at once, and how many of them padding may be.
ENCODER_BUDGET = Budget(2_048, 64, padding=32)
# What of a model's generation configuration counts from the tokens that a call begins with, or from the encoder's input.
UNDIVIDED = ("begin_suppress_tokens", "exponential_decay_length_penalty", "encoder_repetition_penalty", "encoder_no_repeat_ngram_size")


@dataclass(frozen=True)
class Flight:
    """Rows whose texts are not over: which, their tokens so far with what was there before, and what the model goes on from.

    `attended` is the attention mask of the encoder's input, or of the tokens where there is no encoder.
    """

    rows: Sequence[int]
    tokens: torch.Tensor
    attended: torch.Tensor
    past: Cache | None = None
    hidden: torch.Tensor | None = None

    @property
    def inputs(self) -> dict[str, Any]:
        """What `model.generate` is told of the rows."""
        past = {} if self.past is None else {"past_key_values": self.past}
        if self.hidden is None:
            return {"input_ids": self.tokens, "attention_mask": self.attended, **past}
        decoded = {"decoder_input_ids": self.tokens, "decoder_attention_mask": torch.ones_like(self.tokens)}
        return {"encoder_outputs": states(self.hidden), "attention_mask": self.attended, **decoded, **past}

    def without(self, over: torch.Tensor, tokens: torch.Tensor, past: Cache | None) -> "Flight":
        """Return the rows that are not over, with all tokens that they have by now."""
        kept = (~over).nonzero()[:, 0]
        attended = self.attended
        if self.hidden is None:
            attended = torch.nn.functional.pad(attended, (0, tokens.shape[1] - attended.shape[1]), value=1)
        if past is not None:
            past.batch_select_indices(kept)
        rows = [self.rows[int(i)] for i in kept]
        return Flight(rows, tokens[kept], attended[kept], past, None if self.hidden is None else self.hidden[kept])


@dataclass
class States(BaseModelOutput):
    """What an encoder gives; a mixture of experts is asked for how it chose them too."""

    router_logits: Any = None


def states(hidden: torch.Tensor) -> States:
    """Return an encoder's states as a model takes them."""
    return States(last_hidden_state=cast(torch.FloatTensor, hidden))


class Leaving(StoppingCriteria):
    """Ends a call for all of its rows once a share of them is over, by their own end or by a token that ends texts."""

    def __init__(self, ended: StoppingCriteria, eos: Sequence[int], share: float) -> None:
        self.ended = ended
        self.eos = torch.tensor(eos, dtype=torch.long)
        self.share = share
        self.over = torch.zeros(0, dtype=torch.bool)

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        """Return which rows are over, which are all where enough are."""
        over = self.ended(input_ids, scores) | torch.isin(input_ids[:, -1], self.eos.to(input_ids.device))
        self.over = over | self.over if len(self.over) else over
        return torch.ones_like(over) if self.over.sum() >= self.share * len(over) else self.over


def lets_go(model: Any) -> bool:
    """Tell whether rows can be taken out of what a model remembers: out of keys and values, not out of states that recur."""
    if model.config.is_encoder_decoder:
        return True
    if model._is_stateful or "past_key_values" not in inspect.signature(model.forward).parameters:
        return False
    return memories(model) <= {DynamicLayer, DynamicSlidingWindowLayer}


def is_divisible(own: Any) -> bool:
    """Tell whether a generation configuration holds nothing that would change when a call is divided into several."""
    return all(getattr(own, name, None) in (None, 1.0, 0) for name in UNDIVIDED) and getattr(own, "guidance_scale", None) in (None, 1)


def shares(model: Any) -> bool:
    """Tell whether prompts may share the keys and values of what they begin with, and be padded behind that.

    Each position is told apart from where it stands, and no layer forgets what lies far behind.
    """
    if model.config.is_encoder_decoder or not {"position_ids", "past_key_values"} <= {*inspect.signature(model.forward).parameters}:
        return False
    return memories(model) <= {DynamicLayer}


def memories(model: Any) -> set[type]:
    """Return the kinds of what a model's layers remember."""
    return {type(layer) for layer in DynamicCache(config=model.config.get_text_config(decoder=True)).layers}


def started(model: Any, ids: torch.Tensor, mask: torch.Tensor, *, shared: int) -> Flight:
    """Return prompts whose first `shared` tokens, or whose encoder's part, are computed."""
    rows = range(len(ids))
    if model.config.is_encoder_decoder:
        hidden = encoded(model.get_encoder(), ids, mask)
        own = model.generation_config
        first = own.bos_token_id if own.decoder_start_token_id is None else own.decoder_start_token_id
        return Flight(rows, ids.new_full((len(ids), 1), first), mask, hidden=hidden)
    # Left to itself a RoBERTa counts positions otherwise than `model.generate` tells it to.
    places = torch.arange(shared, device=ids.device)[None]
    past = model(input_ids=ids[:1, :shared], position_ids=places, use_cache=True).past_key_values if shared else None
    if past is not None:
        past.batch_repeat_interleave(len(ids))
    return Flight(rows, ids, mask, past)


def encoded(encoder: Any, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return the encoder's states of prompts that are padded behind; on a CPU those of like lengths are computed together.

    The states are of shape (prompts, tokens, width), zero where a prompt is padding.
    """
    if ids.device.type != "cpu":
        return cast(torch.Tensor, encoder(input_ids=ids, attention_mask=mask).last_hidden_state)
    lengths = mask.sum(dim=1).tolist()
    order, states = batching.longest_first(lengths), list[torch.Tensor]()
    while len(states) < len(order):
        rest = order[len(states) :]
        group = rest[: batching.take(rest, lengths, ENCODER_BUDGET)]
        longest = max(1, lengths[group[0]])
        found = encoder(input_ids=ids[group, :longest], attention_mask=mask[group, :longest]).last_hidden_state
        states += torch.nn.functional.pad(found, (0, 0, 0, ids.shape[1] - longest))
    return torch.stack(states)[torch.tensor(order).argsort()]


def written(
    generate: Callable[..., Any],
    flight: Flight,
    settings: dict[str, Any],
    ended: Callable[[Sequence[int]], StoppingCriteria],
    processors: Callable[[torch.Tensor], list[LogitsProcessor]],
) -> tuple[dict[int, list[int]], set[int]]:
    """Return each row's new tokens, and the rows for which the model gave NaN.

    `generate` is called with `settings`, which say how many tokens are written at most, and which of them end a text.
    `ended` makes the criterion by which rows end otherwise, and `processors` what looks at their scores, told what is no padding.
    """
    start, limit, fewest = flight.tokens.shape[1], settings["max_new_tokens"], settings.get("min_new_tokens") or 0
    found: dict[int, list[int]] = {}
    lost: set[int] = set()
    while flight.rows:
        done, watch = flight.tokens.shape[1] - start, Watch(len(flight.rows))
        # A model without keys and values to go on from would begin each call anew.
        leaving = Leaving(ended(flight.rows), settings["eos_token_id"] or [], 1.0 if done and flight.past is None else LEAVING)
        given = {**settings, "max_new_tokens": limit - done, "min_new_tokens": max(0, fewest - done) or None}
        output = generate(
            **flight.inputs,
            **given,
            logits_processor=LogitsProcessorList([*processors(flight.attended), watch]),
            stopping_criteria=StoppingCriteriaList([leaving]),
            return_dict_in_generate=True,
        )
        texts = output.sequences[:, start:].tolist()
        found.update((flight.rows[i], texts[i]) for i in leaving.over.nonzero()[:, 0].tolist())
        lost |= {flight.rows[i] for i in watch.seen()}
        past = getattr(output, "past_key_values", None)
        flight = flight.without(leaving.over, output.sequences, past if isinstance(past, Cache) else None)
    return found, lost
