"""What the training scripts of the tutorials share: a tokenizer of whole words, a loop, and the share of right answers.
Knows nothing of the examples that it is given."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

SEED = 7
PAD, UNKNOWN, END = "<pad>", "<unk>", "<|end|>"
UNLEARNED = -100
ANSWER_TOKENS = 64
ASKED_AT_ONCE = 50

Lesson = Sequence[tuple[str, bool]]
"""A text in pieces; the model learns to write those that are marked."""


def settle() -> None:
    """From here on the same is computed each time: one seed, and one thread, whose sums come out the same on any number of cores."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)


def word_tokenizer(texts: Sequence[str], marks: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """A token for each word of the texts with the space before it, in sorted order, behind the special ones."""
    words = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = [PAD, UNKNOWN, END, *marks]
    known = sorted({word for text in texts for word, _ in words.pre_tokenize_str(text)})
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate([*special, *known])}, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer, tokenizer.decoder = words, decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, unk_token=UNKNOWN, eos_token=END, additional_special_tokens=list(marks)
    )


def padded(rows: Sequence[Sequence[int]], fill: int) -> torch.Tensor:
    """The rows side by side, filled up to the longest."""
    width = max(map(len, rows))
    return torch.tensor([[*row, *[fill] * (width - len(row))] for row in rows])


def causal_batch(tokenizer: PreTrainedTokenizerFast, lessons: Sequence[Lesson]) -> dict[str, torch.Tensor]:
    """Inputs of a causal model with the labels of what it learns to write."""
    pieces = [[(tokenizer(text)["input_ids"], learned) for text, learned in lesson] for lesson in lessons]
    ids = [[token for tokens, _ in lesson for token in tokens] for lesson in pieces]
    labels = [[token if learned else UNLEARNED for tokens, learned in lesson for token in tokens] for lesson in pieces]
    inputs = padded(ids, tokenizer.pad_token_id)
    return {"input_ids": inputs, "attention_mask": (inputs != tokenizer.pad_token_id).long(), "labels": padded(labels, UNLEARNED)}


def fit(model: Any, batches: Iterator[Mapping[str, torch.Tensor]], *, steps: int, peak: float) -> None:
    """The model is trained for a fixed number of steps, not for a time: a slow machine arrives at the same weights."""
    weights = [each for each in model.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=peak, weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, total_steps=steps, pct_start=0.1)
    model.train()
    recent = 0.0
    for step in range(1, steps + 1):
        loss = model(**next(batches)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        recent += loss.item()
        if step % 100 == 0:
            sys.stderr.write(f"step {step} of {steps}: loss {recent / 100:.3f}\n")
            recent = 0.0
    model.eval()


@torch.inference_mode()
def answers(model: Any, tokenizer: PreTrainedTokenizerFast, prompts: Sequence[str]) -> list[str]:
    """What the model writes for each prompt, likeliest token first."""
    found: list[str] = []
    # What is gone on from must come last; what is read whole must begin where its positions do.
    side = "right" if model.config.is_encoder_decoder else "left"
    for start in range(0, len(prompts), ASKED_AT_ONCE):
        inputs = tokenizer(list(prompts[start : start + ASKED_AT_ONCE]), padding=True, padding_side=side, return_tensors="pt")
        asked = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        written = model.generate(**asked, max_new_tokens=ANSWER_TOKENS, do_sample=False, pad_token_id=tokenizer.pad_token_id)
        new = written if model.config.is_encoder_decoder else written[:, asked["input_ids"].shape[1] :]
        found += tokenizer.batch_decode(new, skip_special_tokens=True)
    return found


def share(right: Sequence[bool]) -> float:
    """The share of what is right."""
    return round(sum(right) / len(right), 4)
