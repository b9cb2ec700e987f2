"""From prepared prompts to generated texts: rows that are generated alike share a batch.

A row's text does not depend on which rows share its batch. Knows nothing of Spark or MLflow.
"""

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers import LogitsProcessor, LogitsProcessorList, StoppingCriteriaList

from sparkcoil import compaction
from sparkcoil.engines import Prepared
from sparkcoil.errors import RowError
from sparkcoil.generation import Generated
from sparkcoil.planning import Decoder, Plan, Prompt
from sparkcoil.steps import Ended, RepetitionPenalty, Watch, completed

# Fewer tokens, and those of fewer rows, are not worth a forward pass of their own.
SHARED_TOKENS, SHARING_ROWS = 16, 4

Texts = list[list[int]]
"""The tokens of each text of a row."""


def generate(found: Decoder, batch: Sequence[Prepared]) -> list[Generated | RowError]:
    """Return what was generated for each prompt of a batch."""
    results: dict[int, Generated | RowError] = {}
    for group in groups(found, [each.features for each in batch]):
        results.update(zip(group, generate_alike(found, [batch[i].features for i in group]), strict=True))
    return [results[i] for i in range(len(batch))]


def groups(found: Decoder, prompts: Sequence[Prompt]) -> list[list[int]]:
    """Return the positions of prompts that may share a call; a row that samples stands alone, so that its seed is its own."""
    grouped: dict[Hashable, list[int]] = {}
    begun = Counter(prompt.ids[:SHARED_TOKENS] for prompt in prompts) if found.shares else Counter()
    for i, prompt in enumerate(prompts):
        key: list[Hashable] = [prompt.plan.settings]
        if prompt.plan.seed is not None or found.findings.batching == "one by one":
            key.append(i)
        # Beams and a forced end depend on the limit; a greedy text does not, and is cut to its own.
        if (found.default(prompt.plan, "num_beams") or 1) > 1 or found.default(prompt.plan, "forced_eos_token_id") is not None:
            key.append(("limit", prompt.plan.ending.limit))
        # Padding in front of a prompt would count as repeated.
        repeats = found.decoder_only and found.default(prompt.plan, "no_repeat_ngram_size")
        if repeats or found.findings.batching == "exact lengths":
            key.append(("length", len(prompt.ids)))
        # Those made by one template share the keys and values of its beginning.
        if begun[prompt.ids[:SHARED_TOKENS]] >= SHARING_ROWS:
            key.append(prompt.ids[:SHARED_TOKENS])
        grouped.setdefault(tuple(key), []).append(i)
    return list(grouped.values())


def generate_alike(found: Decoder, prompts: Sequence[Prompt]) -> list[Generated | RowError]:
    """Return what the model makes of prompts that share their settings; greedy rows leave the batch when their texts are over."""
    plan = prompts[0].plan
    settings = {**dict(plan.settings), "pad_token_id": found.pad, "eos_token_id": list(found.eos) or None}
    settings["max_new_tokens"] = max(prompt.plan.ending.limit for prompt in prompts)
    if own_penalty(found, plan):
        settings["repetition_penalty"] = 1.0
    single = all(found.default(plan, name) in (None, 1) for name in ("num_beams", "num_return_sequences"))
    divisible = compaction.is_divisible(found.model.generation_config) and found.lets_go
    if len(prompts) > 1 and single and plan.seed is None and divisible:
        texts, lost = together(found, prompts, settings)
    else:
        texts, lost = at_once(found, prompts, settings)
    made = [generated(found, prompt, each) for prompt, each in zip(prompts, texts, strict=True)]
    return [RowError("output", "non_finite", "the model gave NaN") if i in lost else each for i, each in enumerate(made)]


def together(found: Decoder, prompts: Sequence[Prompt], settings: dict[str, Any]) -> tuple[list[Texts], set[int]]:
    """Return the greedy text of each prompt, and the prompts for which the model gave NaN."""
    common = shared(prompts) if found.shares else 0
    flight = compaction.started(found.model, *padded(found, [each.ids for each in prompts], common), shared=common)
    start = flight.tokens.shape[1]

    def ended(rows: Sequence[int]) -> Ended:
        return Ended(found.tokenizer, [prompts[i].plan.ending for i in rows], start)

    texts, lost = compaction.written(
        found.model.generate, flight, settings, ended, lambda attended: penalties(found, prompts[0].plan, attended)
    )
    return [[texts[i]] for i in range(len(prompts))], lost


def at_once(found: Decoder, prompts: Sequence[Prompt], settings: dict[str, Any]) -> tuple[list[Texts], set[int]]:
    """Return all texts of each prompt by one call of `model.generate`, and the prompts for which the model gave NaN."""
    ids, mask = padded(found, [each.ids for each in prompts])
    start = ids.shape[1] if found.decoder_only else 1
    watch, plan = Watch(len(prompts)), prompts[0].plan
    with seeded(plan.seed, found.model.device):
        output = found.model.generate(
            input_ids=ids,
            attention_mask=mask,
            logits_processor=LogitsProcessorList([*penalties(found, plan, mask), watch]),
            stopping_criteria=StoppingCriteriaList([Ended(found.tokenizer, [each.plan.ending for each in prompts], start)]),
            **settings,
        )
    texts = output[:, start:].tolist()
    share = len(texts) // len(prompts)
    return [texts[i * share : (i + 1) * share] for i in range(len(prompts))], watch.seen()


def own_penalty(found: Decoder, plan: Plan) -> float | None:
    """Return the repetition penalty of a plan where it must be our own, since padding stands in front of prompts."""
    penalty = found.default(plan, "repetition_penalty")
    return float(penalty) if found.decoder_only and penalty not in (None, 1.0) else None


def penalties(found: Decoder, plan: Plan, mask: torch.Tensor) -> list[LogitsProcessor]:
    """Return the penalty of a plan as it holds where padding stands in front; none where there is none, or no padding."""
    penalty = own_penalty(found, plan)
    return [RepetitionPenalty(penalty, mask)] if penalty else []


def generated(found: Decoder, prompt: Prompt, sequences: Sequence[Sequence[int]]) -> Generated:
    """Return a row's texts from the new tokens of each."""
    completions = tuple(completed(found.tokenizer, prompt.plan.ending, tokens, found.eos) for tokens in sequences)
    return Generated(prompt.request, prompt.text, len(prompt.ids), completions)


def shared(prompts: Sequence[Prompt]) -> int:
    """Return how many tokens all prompts begin with, of which each leaves one to go on from; none where they are few."""
    first, last = min(prompt.ids for prompt in prompts), max(prompt.ids for prompt in prompts)
    common = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    common = min(common, min(len(prompt.ids) for prompt in prompts) - 1)
    return common if common >= SHARED_TOKENS else 0


def padded(found: Decoder, prompts: Sequence[Sequence[int]], shared: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return token ids and attention mask; a text that is to be continued is padded in front, or behind what it shares with the others."""
    longest = max(map(len, prompts))
    ids = torch.full((len(prompts), longest), found.pad)
    mask = torch.zeros_like(ids)
    for i, prompt in enumerate(prompts):
        gap = longest - len(prompt) if found.decoder_only else 0
        places = [*range(shared), *range(shared + gap, len(prompt) + gap)]
        ids[i, places] = torch.tensor(prompt)
        mask[i, places] = 1
    return ids.to(found.model.device), mask.to(found.model.device)


@contextmanager
def seeded(seed: int | None, device: torch.device) -> Iterator[None]:
    """Seed torch for the block, and leave its generators as they were."""
    if seed is None:
        yield
        return
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
