"""What a model that writes does with padding and with shared beginnings: the logits of a few steps, tried when it is loaded.

The tokens that it goes on with are given, so that only what it makes of its prompt differs. Knows nothing of Spark or MLflow.
"""

import random
from collections.abc import Sequence

import torch
from transformers import LogitsProcessor, LogitsProcessorList

from sparkcoil import compaction, decoding, trial
from sparkcoil.engines import Findings
from sparkcoil.planning import Decoder

# Lengths of prompts, the new tokens of each, and the tokens of a beginning that prompts share.
LENGTHS, STEPS, SHARED = (2, 9, 17), 3, decoding.SHARED_TOKENS + 4


class Given(LogitsProcessor):
    """Makes the model go on with given tokens, whatever it would write itself."""

    def __init__(self, tokens: Sequence[int], start: int) -> None:
        self.tokens = tokens
        self.start = start

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return scores by which the next of the tokens is the likeliest."""
        found = torch.full_like(scores, -1e4)
        found[:, self.tokens[input_ids.shape[1] - self.start]] = 0
        return found


def rehearse(found: Decoder, readable: int) -> Findings:
    """Return how prompts of a model that reads so many tokens may share a batch, and whether they may share their beginnings."""
    room = readable - STEPS
    lengths = sorted({min(each, room) for each in LENGTHS})
    vocabulary = plain_tokens(found)

    def ask(probes: Sequence[trial.Probe]) -> Sequence[trial.Answer]:
        return steps(found, [made_up(vocabulary, *each) for each in probes], vocabulary)

    findings = trial.examine(found.model, ask, lengths, lengths[-1])
    shares = compaction.shares(found.model) and findings.batching == "padded" and shares_beginnings(found, vocabulary, room)
    return Findings(findings.batching, shares, findings.changes)


def shares_beginnings(found: Decoder, vocabulary: Sequence[int], room: int) -> bool:
    """Tell whether prompts go on from a shared beginning behind a gap as they do alone; the gap is longer than a local window."""
    gap = min(max(trial.local_length(found.model.config), LENGTHS[-1]), room - SHARED - 1)
    if gap < 1:
        return False
    beginning = made_up(vocabulary, SHARED, 0)
    prompts = [beginning + made_up(vocabulary, length, length) for length in (1, gap)]
    alone = [steps(found, [each], vocabulary)[0] for each in prompts]
    return trial.gap(steps(found, prompts, vocabulary, SHARED), alone) <= trial.tolerance_of(found.model.dtype)


@torch.inference_mode()
def steps(found: Decoder, prompts: Sequence[tuple[int, ...]], vocabulary: Sequence[int], shared: int = 0) -> list[trial.Answer]:
    """Return the logits of the steps that go on from each prompt, which share a call."""
    flight = compaction.started(found.model, *decoding.padded(found, prompts, shared), shared=shared)
    output = found.model.generate(
        **flight.inputs,
        do_sample=False,
        num_beams=1,
        num_return_sequences=1,
        max_new_tokens=STEPS,
        pad_token_id=found.pad,
        eos_token_id=None,
        logits_processor=LogitsProcessorList([Given(vocabulary[:STEPS], flight.tokens.shape[1])]),
        output_logits=True,
        return_dict_in_generate=True,
    )
    return [[trial.array(logits[i]) for logits in output.logits] for i in range(len(prompts))]


def made_up(vocabulary: Sequence[int], length: int, number: int) -> tuple[int, ...]:
    """Return a prompt of so many tokens, which its length and its number determine."""
    draw = random.Random(f"{length} {number}")
    return tuple(draw.choice(vocabulary) for _ in range(length))


def plain_tokens(found: Decoder) -> list[int]:
    """Return some hundred tokens of a vocabulary that have no meaning of their own."""
    special = {*found.tokenizer.all_special_ids, *found.eos, found.pad}
    size = trial.vocabulary_size(found.tokenizer, found.model)
    return [each for each in range(0, size, max(1, size // 300)) if each not in special]
