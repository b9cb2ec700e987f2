"""The path of a Whisper's attention is the one that transformers finds."""

import numpy as np
import pytest
import torch
from transformers.models.whisper.generation_whisper import _dynamic_time_warping, _median_filter

from sparkcoil.alignment import padded, positions, smoothed, steps


def natively(costs: np.ndarray) -> list[int]:
    rows, columns = _dynamic_time_warping(costs)
    return [int(each) for each in columns[np.pad(np.diff(rows), (1, 0), constant_values=1).astype(bool)]]


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (3, 1), (7, 3), (5, 40), (20, 200)])
@pytest.mark.parametrize("rounded", [False, True], ids=["all different", "ties"])
def test_the_cheapest_path_is_the_native_one(shape: tuple[int, int], rounded: bool) -> None:
    costs = np.random.default_rng(1).normal(size=shape)
    costs = costs.round() if rounded else costs
    assert steps(costs) == natively(costs)


def test_tokens_begin_where_attention_moves_on() -> None:
    weights = torch.full((2, 3, 60), 0.01)
    for token, place in enumerate((4, 20, 44)):
        weights[:, token, place : place + 16] = 1.0
    assert positions(weights, 3) == [0, 20, 44]


def test_a_single_token_begins_at_the_start() -> None:
    assert positions(torch.rand(2, 1, 9), 7) == [0]


def test_no_tokens_have_no_places() -> None:
    assert positions(torch.rand(2, 0, 9), 7) == []


@pytest.mark.parametrize("length", [2, 3, 4, 50])
def test_smoothing_is_the_native_one(length: int) -> None:
    weights = torch.rand(2, 5, length)
    assert torch.equal(smoothed(weights, 7), _median_filter(weights[None], 7)[0])


def test_rows_are_filled_up_behind() -> None:
    assert padded([[1, 2, 3], [4]], 0).tolist() == [[1, 2, 3], [4, 0, 0]]
