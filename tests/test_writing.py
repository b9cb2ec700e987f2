"""How many texts are generated together: the more, the smaller the model."""

from types import SimpleNamespace

import pytest
import torch
from transformers import LlamaConfig, MarianConfig, PreTrainedConfig, T5Config, WhisperConfig

from sparkcoil.writing import CPU_BUDGET, GPU_BUDGET, rows_at_once


@pytest.mark.parametrize(
    ("config", "dtype", "rows"),
    [
        (T5Config(d_model=64, num_layers=2), torch.float32, GPU_BUDGET.rows),
        (MarianConfig(d_model=512, decoder_layers=6), torch.float32, CPU_BUDGET.rows),
        (LlamaConfig(hidden_size=576, num_hidden_layers=6), torch.float32, CPU_BUDGET.rows),
        (LlamaConfig(hidden_size=256, num_hidden_layers=8), torch.bfloat16, 128),
        (LlamaConfig(hidden_size=4096, num_hidden_layers=32), torch.bfloat16, CPU_BUDGET.rows),
        (WhisperConfig(d_model=128, decoder_layers=2), torch.float32, GPU_BUDGET.rows),
    ],
)
def test_the_smaller_the_model_the_more_rows_are_generated_together(config: PreTrainedConfig, dtype: torch.dtype, rows: int) -> None:
    assert rows_at_once(SimpleNamespace(config=config, dtype=dtype)) == rows


def test_a_model_whose_size_is_not_told_has_the_least() -> None:
    assert rows_at_once(SimpleNamespace(config=PreTrainedConfig(), dtype=torch.float32)) == CPU_BUDGET.rows
