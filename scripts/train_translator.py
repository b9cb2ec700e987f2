"""Trains a tiny Marian model that turns English weather forecasts into German and French, on the CPU, and saves it as a checkpoint.

As in the Marian models of several languages, a token in front of the text says which language is wanted.
"""

import json
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import pyarrow.parquet as pq
import torch
import typer
from tokenizers.processors import TemplateProcessing
from transformers import MarianConfig, MarianMTModel, PreTrainedTokenizerFast
from tutorials.forecasts import Forecast, iter_forecasts
from tutorials.training import END, SEED, UNLEARNED, answers, fit, padded, settle, share, word_tokenizer

PREFIXES = {"german": ">>deu<<", "french": ">>fra<<"}
STEPS = 450
PEAK_LEARNING_RATE = 6e-3
# Of each language.
BATCH = 16
CORPUS = 3000
# No sentence comes near it, with its prefix and its end.
POSITIONS = 64


def make_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer of the words in the three languages, which puts an end behind every text."""
    forecasts = islice(iter_forecasts(SEED, held_out=False), CORPUS)
    tokenizer = word_tokenizer(
        [text for each in forecasts for text in (each.german, each.french, f" {each.english}")], [*PREFIXES.values()]
    )
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(f"$A {END}", special_tokens=[(END, tokenizer.eos_token_id)])
    return tokenizer


def make_model(tokenizer: PreTrainedTokenizerFast) -> MarianMTModel:
    """An untrained model."""
    config = MarianConfig(
        vocab_size=len(tokenizer),
        decoder_vocab_size=len(tokenizer),
        d_model=64,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=128,
        decoder_ffn_dim=128,
        activation_function="relu",
        scale_embedding=True,
        max_position_embeddings=POSITIONS,
        # No sentence is seen twice, so that nothing can be learned by heart.
        dropout=0.0,
        init_std=0.05,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        forced_eos_token_id=None,
        decoder_start_token_id=tokenizer.pad_token_id,
    )
    return MarianMTModel(config)


def iter_batches(tokenizer: PreTrainedTokenizerFast) -> Iterator[dict[str, torch.Tensor]]:
    """Batches without end, half of each in German and half in French."""
    drawn = iter_forecasts(SEED, held_out=False)
    while True:
        pairs = [(f"{PREFIXES[name]} {each.english}", getattr(each, name)) for name in PREFIXES for each in islice(drawn, BATCH)]
        texts, translations = (tokenizer([*each])["input_ids"] for each in zip(*pairs, strict=True))
        inputs = padded(texts, tokenizer.pad_token_id)
        mask = (inputs != tokenizer.pad_token_id).long()
        yield {"input_ids": inputs, "attention_mask": mask, "labels": padded(translations, UNLEARNED)}


def exact_match(model: MarianMTModel, tokenizer: PreTrainedTokenizerFast, rows: Sequence[Forecast], language: str) -> float:
    """The share of held-out forecasts whose translation is right to the letter."""
    written = answers(model, tokenizer, [f"{PREFIXES[language]} {row.english}" for row in rows])
    return share([text == getattr(row, language) for text, row in zip(written, rows, strict=True)])


def main(forecasts: Path, out_dir: Path) -> None:
    """Trains, saves, and prints what came out as one JSON object."""
    started = time.process_time()
    settle()
    tokenizer = make_tokenizer()
    model = make_model(tokenizer)
    fit(model, iter_batches(tokenizer), steps=STEPS, peak=PEAK_LEARNING_RATE)
    model.save_pretrained(out_dir)
    tokenizer.save_pretrained(out_dir)
    rows = [Forecast(**{name: row[name] for name in ("english", "german", "french")}) for row in pq.read_table(forecasts).to_pylist()]
    exact = {name: exact_match(model, tokenizer, rows, name) for name in PREFIXES}
    seconds = round(time.process_time() - started, 1)
    typer.echo(json.dumps({"held_out": len(rows), "exact_match": exact, "parameters": model.num_parameters(), "cpu_seconds": seconds}))


if __name__ == "__main__":
    typer.run(main)
