"""Labels of pixels, a band of rows at a time, held against those that are made at once."""

import numpy as np
import pytest
import torch
import transformers

from sparkcoil.engines import bands


@pytest.mark.parametrize("size", [(97, 61), (8, 9), (5, 7), (400, 3), (24, 24)])
def test_bands_have_the_labels_of_the_whole_image(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    logits = torch.randn(1, 5, 8, 9)
    post_process = transformers.SegformerImageProcessor().post_process_semantic_segmentation
    whole = bands.labels(post_process, logits, size)
    assert len(np.unique(whole)) == 5
    for rows in (1, 2, 3, 7):
        banded = bands.labels(post_process, logits, size, most=rows * 5 * size[1])
        assert (banded.shape, banded.dtype) == (whole.shape, whole.dtype)
        assert (banded != whole).mean() <= 0.001


def test_no_band_holds_more_numbers_than_asked_for() -> None:
    logits = torch.randn(1, 5, 8, 9)
    assert [each.shape[2] for each in bands.bands(logits, 20, 6)] == [6, 6, 6, 2]
