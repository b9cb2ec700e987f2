"""Trains a small BERT that tells from a docstring which package it documents, in about a minute, and saves it as a checkpoint.

The tokenizer, the labels and the weights come from the train split alone; the held-out split is only scored.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import pandas as pd
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

CLASSES = 14
VOCABULARY = 6000
MAX_TOKENS = 128
STEPS = 750
BATCH = 32
PEAK_LEARNING_RATE = 2e-3
INITIALIZER_RANGE = 0.05
LABEL_SMOOTHING = 0.1
MASKED_SHARE = 0.1
SEED = 7
SPECIAL_TOKENS = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}


@dataclass(frozen=True)
class Examples:
    """The token ids and class numbers of one split."""

    ids: list[list[int]]
    classes: list[int]


@dataclass(frozen=True)
class Training:
    """What came out, as the last line on stdout says it; blank bodies are in none of the counts."""

    classes: int
    train: int
    held_out: int
    held_out_accuracy: float
    majority_share: float
    seconds: float


def train_tokenizer(texts: Sequence[str]) -> PreTrainedTokenizerFast:
    """A lower-casing byte-pair tokenizer learned from the texts, the same each time."""
    # Not WordPiece: its trainer numbers the pieces that go on a word by a randomly seeded hash, and so breaks ties at random.
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=list(SPECIAL_TOKENS.values()), show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    ends = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", ends)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=MAX_TOKENS, **SPECIAL_TOKENS)


def build_model(tokenizer: PreTrainedTokenizerFast, labels: Sequence[str]) -> BertForSequenceClassification:
    """An untrained classifier over the labels."""
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=256,
        max_position_embeddings=MAX_TOKENS,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=INITIALIZER_RANGE,
        id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
    )
    return BertForSequenceClassification(config)


def encode(table: pd.DataFrame, tokenizer: PreTrainedTokenizerFast, labels: Sequence[str]) -> Examples:
    """The rows whose package is a label, as class numbers and token ids cut to what the model can read."""
    known = table[table["package"].isin(labels)]
    ids = tokenizer(known["body"].tolist(), truncation=True)["input_ids"]
    return Examples(ids=ids, classes=[labels.index(package) for package in known["package"]])


def collate(examples: Examples, rows: Sequence[int], *, pad: int) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Padded model inputs and the class numbers."""
    ids = [examples.ids[row] for row in rows]
    width = max(map(len, ids))
    tokens = torch.tensor([row + [pad] * (width - len(row)) for row in ids])
    return {"input_ids": tokens, "attention_mask": (tokens != pad).long()}, torch.tensor([examples.classes[row] for row in rows])


def iter_batches(examples: Examples, chance: random.Random) -> Iterator[list[int]]:
    """Row numbers without end, in batches of about equal length so that little is spent on padding, never twice the same."""
    while True:
        order = sorted(range(len(examples.ids)), key=lambda row: len(examples.ids[row]) * chance.uniform(1, 1.2) + chance.random())
        batches = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
        chance.shuffle(batches)
        yield from batches


def mask_words(ids: torch.Tensor, tokenizer: PreTrainedTokenizerFast) -> torch.Tensor:
    """The ids with some words hidden: a few thousand texts are soon known by heart otherwise."""
    hidden = (torch.rand(ids.shape) < MASKED_SHARE) & (ids >= len(SPECIAL_TOKENS))
    return ids.masked_fill(hidden, tokenizer.mask_token_id)


def fit(model: BertForSequenceClassification, examples: Examples, tokenizer: PreTrainedTokenizerFast) -> None:
    """The model is trained for a fixed number of steps, not for a time: a slow machine arrives at the same weights."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_LEARNING_RATE, weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LEARNING_RATE, total_steps=STEPS, pct_start=0.1)
    loss_of = torch.nn.CrossEntropyLoss(label_smoothing=LABEL_SMOOTHING)
    model.train()
    recent = 0.0
    for step, rows in enumerate(islice(iter_batches(examples, random.Random(SEED)), STEPS), start=1):
        inputs, classes = collate(examples, rows, pad=tokenizer.pad_token_id)
        loss = loss_of(model(**inputs | {"input_ids": mask_words(inputs["input_ids"], tokenizer)}).logits, classes)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        recent += loss.item()
        if step % 75 == 0:
            sys.stderr.write(f"step {step} of {STEPS}: loss {recent / 75:.3f}\n")
            recent = 0.0


@torch.inference_mode()
def measure_accuracy(model: BertForSequenceClassification, examples: Examples, *, pad: int) -> float:
    """The share of examples whose most likely class is their own."""
    model.eval()
    order = sorted(range(len(examples.ids)), key=lambda row: len(examples.ids[row]))
    batches = (collate(examples, order[start : start + BATCH], pad=pad) for start in range(0, len(order), BATCH))
    return sum((model(**inputs).logits.argmax(-1) == classes).sum().item() for inputs, classes in batches) / len(order)


def train(table: pd.DataFrame, out_dir: Path) -> Training:
    """A checkpoint in the folder, and how good it is on texts it never saw."""
    started = time.monotonic()
    documented = table[table["body"].fillna("").str.strip() != ""]
    seen, unseen = (documented[documented["split"] == split] for split in ("train", "held_out"))
    # By name among equals: the order value_counts() leaves them in is no promise.
    sizes = seen["package"].value_counts().rename_axis("package").reset_index().sort_values(["count", "package"], ascending=[False, True])
    labels = sorted(sizes["package"].head(CLASSES))
    tokenizer = train_tokenizer(seen["body"].tolist())
    model = build_model(tokenizer, labels)
    examples, held_out = (encode(rows, tokenizer, labels) for rows in (seen, unseen))
    fit(model, examples, tokenizer)
    accuracy = measure_accuracy(model, held_out, pad=tokenizer.pad_token_id)
    model.save_pretrained(out_dir)
    tokenizer.save_pretrained(out_dir)
    return Training(
        classes=len(labels),
        train=len(examples.ids),
        held_out=len(held_out.ids),
        held_out_accuracy=round(accuracy, 4),
        majority_share=round(max(map(held_out.classes.count, range(len(labels)))) / len(held_out.ids), 4),
        seconds=round(time.monotonic() - started, 1),
    )


def main() -> None:
    """Trains, saves and prints the figures as one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("docstrings", type=Path, help="docstrings.parquet as scripts/make_docstrings.py writes it")
    parser.add_argument("out_dir", type=Path)
    arguments = parser.parse_args()
    torch.manual_seed(SEED)
    # One thread: sums come out the same however many cores there are, and at this size more threads mostly wait for each other.
    torch.set_num_threads(1)
    print(json.dumps(asdict(train(pd.read_parquet(arguments.docstrings), arguments.out_dir))))


if __name__ == "__main__":
    main()
