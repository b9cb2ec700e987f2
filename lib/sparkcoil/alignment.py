"""When each token was said: the path through a window that a Whisper's alignment heads paid attention along.

The attention is that of one pass over the finished tokens, so that a window's times do not depend on the batch it was decoded in.
Knows nothing of Spark or MLflow.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F


@contextmanager
def eager(model: Any) -> Iterator[None]:
    """Let the model compute attention in the way that keeps its weights within the block."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def attention(model: Any, hidden: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Return what each token's alignment heads paid attention to, of shape (rows, heads, tokens, positions)."""
    heads = model.generation_config.alignment_heads
    decoder = model.get_decoder()
    kept: dict[int, torch.Tensor] = {}

    def keeping(layer: int) -> Any:
        return lambda module, given, output: kept.update({layer: output[1]})

    hooks = [decoder.layers[layer].encoder_attn.register_forward_hook(keeping(layer)) for layer in {layer for layer, _ in heads}]
    try:
        with eager(model):
            decoder(input_ids=ids, encoder_hidden_states=hidden, use_cache=False)
    finally:
        for hook in hooks:
            hook.remove()
    return torch.stack([kept[layer][:, head] for layer, head in heads], dim=1).float()


def positions(weights: torch.Tensor, width: int) -> list[int]:
    """Return the position at which each token begins, from its heads' weights, smoothed by a median over so many positions."""
    if weights.shape[1] == 0:
        return []
    spread = torch.std(weights, dim=1, keepdim=True, unbiased=False).clamp(min=1e-10)
    even = smoothed((weights - torch.mean(weights, dim=1, keepdim=True)) / spread, width)
    return steps(-even.mean(dim=0).double().cpu().numpy())


def smoothed(weights: torch.Tensor, width: int) -> torch.Tensor:
    """Return the weights with each replaced by the median of its neighbours along the last axis."""
    reach = width // 2
    if weights.shape[-1] <= reach:
        return weights
    return F.pad(weights, (reach, reach), mode="reflect").unfold(-1, width, 1).sort(dim=-1)[0][..., reach]


def steps(costs: np.ndarray) -> list[int]:
    """Return the column at which the cheapest path, from the first cell to the last without going back, enters each row."""
    trace = moves(costs)
    row, column = costs.shape
    entered = [0] * row
    while row > 0 or column > 0:
        move = 1 if column == 0 else 2 if row == 0 else int(trace[row, column])
        if row > 0:
            entered[row - 1] = max(column - 1, 0)
        row, column = row - (move != 2), column - (move != 1)
    return entered


def moves(costs: np.ndarray) -> np.ndarray:
    """Return for each cell, counted from 1, how the cheapest path comes to it: 0 along both axes, 1 by the row, 2 by the column.

    Cells on a diagonal do not depend on each other, so that a diagonal is computed at once.
    """
    rows, columns = costs.shape
    total = np.full((rows + 1, columns + 1), np.inf, dtype=np.float32)
    total[0, 0] = 0
    trace = np.full(total.shape, 2, dtype=np.int8)
    for diagonal in range(2, rows + columns + 1):
        i = np.arange(max(1, diagonal - columns), min(rows, diagonal - 1) + 1)
        j = diagonal - i
        both, down, along = total[i - 1, j - 1], total[i - 1, j], total[i, j - 1]
        trace[i, j] = np.where((both < down) & (both < along), 0, np.where((down < both) & (down < along), 1, 2))
        total[i, j] = costs[i - 1, j - 1] + np.choose(trace[i, j], (both, down, along))
    return trace


def padded(rows: Sequence[Sequence[int]], filler: int) -> torch.Tensor:
    """Return rows of tokens as one table, filled up behind; what stands behind a token changes nothing about it."""
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[filler] * (longest - len(row))] for row in rows])
