"""A tiny ViT, trained here on the CPU, that tells the signs of make_drawings apart.
Knows nothing of Spark or MLflow: what it leaves behind is an ordinary Hugging Face model directory."""

import json
import logging
import time
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import torch
import typer
from make_drawings import SIGNS, draw_sign, write_drawings
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageClassification, ViTConfig, ViTForImageClassification, ViTImageProcessor

BATCH, BATCHES = 48, 160
PEAK_LEARNING_RATE = 2e-3
TRAINING_SEED, HELD_OUT_SEED, HELD_OUT_DRAWINGS = 2026, 977, 200
LABELS = list(SIGNS)
SIDE = 32

CONFIG = ViTConfig(
    id2label=dict(enumerate(LABELS)),
    label2id={label: number for number, label in enumerate(LABELS)},
    image_size=SIDE,
    patch_size=8,
    hidden_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=128,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)


def make_processor() -> ViTImageProcessor:
    """What brings an image to the size and the range that the model knows."""
    return ViTImageProcessor(size={"height": SIDE, "width": SIDE})


def draw_batch(number: int) -> torch.Tensor:
    """Eight new drawings of every sign, as the model takes them, in the order of the labels over and over."""
    # Three numbers, where drawings on disk are drawn from two: no --seed of make_drawings gives drawings that are trained on.
    rng = np.random.default_rng([TRAINING_SEED, number, 1])
    images = [draw_sign(rng, LABELS[label % len(LABELS)]).image for label in range(BATCH)]
    return make_processor()(images, return_tensors="pt")["pixel_values"]


def train(model: ViTForImageClassification, steps: int) -> None:
    """Every batch is seen several times: to draw one takes longer than to learn from it."""
    log = logging.getLogger("train_drawings")
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_LEARNING_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LEARNING_RATE, total_steps=steps, pct_start=0.15)
    batches = [draw_batch(number) for number in range(BATCHES)]
    labels = torch.arange(BATCH) % len(LABELS)
    model.train()
    for step in range(steps):
        loss = model(pixel_values=batches[step % BATCHES], labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 0 or step == steps - 1:
            log.info("step %d of %d, loss %.4f", step + 1, steps, loss.item())


def classify(model_dir: Path, drawings: Iterable[Path]) -> list[str]:
    """What the saved checkpoint takes each drawing for, one at a time."""
    model = AutoModelForImageClassification.from_pretrained(model_dir).eval()
    processor = AutoImageProcessor.from_pretrained(model_dir)
    found = []
    for drawing in drawings:
        with Image.open(drawing) as image, torch.inference_mode():
            logits = model(**processor(image.convert("RGB"), return_tensors="pt")).logits
        found.append(model.config.id2label[int(logits[0].argmax())])
    return found


def accuracy(model_dir: Path) -> float:
    """The share of drawings that are taken for what they are, of those that training has not seen."""
    with TemporaryDirectory() as folder:
        labels = write_drawings(Path(folder), drawings=HELD_OUT_DRAWINGS, seed=HELD_OUT_SEED).to_pydict()
        found = classify(model_dir, [Path(folder) / "drawings" / name for name in labels["file"]])
    return sum(map(str.__eq__, found, labels["sign"])) / len(found)


def main(out_dir: Path, steps: Annotated[int, typer.Option(min=10)] = 640) -> None:
    """Trains the checkpoint, saves it, and prints its accuracy on held-out drawings as one JSON object."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    started = time.perf_counter()
    out_dir.mkdir(parents=True, exist_ok=True)
    # Two threads wait for each other at every small operation when the cores are shared.
    torch.set_num_threads(1)
    torch.manual_seed(TRAINING_SEED)
    model = ViTForImageClassification(CONFIG)
    train(model, steps)
    for part in (model, make_processor()):
        part.save_pretrained(out_dir)
    right = accuracy(out_dir)
    seconds = time.perf_counter() - started
    found = {"held_out": HELD_OUT_DRAWINGS, "accuracy": round(right, 4), "parameters": model.num_parameters()}
    typer.echo(json.dumps({**found, "seconds": round(seconds, 1)}))


if __name__ == "__main__":
    typer.run(main)
