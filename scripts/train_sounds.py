"""A tiny wav2vec2, trained here on the CPU, that tells the sounds of make_sounds apart.
Knows nothing of Spark or MLflow: what it leaves behind is an ordinary Hugging Face model directory."""

import json
import logging
import time
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import soundfile
import torch
import typer
from make_sounds import SOUNDS, draw_sound, write_recordings
from speech.wav2vec import RATE, UNREGULARISED, make_extractor, mono
from transformers import (
    AutoFeatureExtractor,
    AutoModelForAudioClassification,
    Wav2Vec2Config,
    Wav2Vec2ForSequenceClassification,
)

BATCH = 14
PEAK_LEARNING_RATE = 2e-3
TRAINING_SEED, HELD_OUT_SEED, HELD_OUT_SOUNDS = 2026, 977, 140
LABELS = list(SOUNDS)

CONFIG = Wav2Vec2Config(
    id2label=dict(enumerate(LABELS)),
    label2id={label: number for number, label in enumerate(LABELS)},
    # Only with layer norm do the features of a sound not depend on how far it was padded.
    feat_extract_norm="layer",
    conv_bias=True,
    # A frame sees 45 ms and comes every 40 ms.
    conv_dim=(64, 64),
    conv_kernel=(400, 4),
    conv_stride=(160, 4),
    hidden_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=128,
    classifier_proj_size=64,
    do_stable_layer_norm=True,
    num_conv_pos_embeddings=15,
    num_conv_pos_embedding_groups=4,
    **UNREGULARISED,
)


def make_model() -> Wav2Vec2ForSequenceClassification:
    """An untrained model whose ear, the first convolution, holds two phases of 32 tones from a hum to a hiss."""
    model = Wav2Vec2ForSequenceClassification(CONFIG)
    first = model.wav2vec2.feature_extractor.conv_layers[0].conv
    kernel = first.kernel_size[0]
    phases = 2 * np.pi * np.geomspace(60, 5000, 32)[:, None, None] * np.arange(kernel) / RATE + np.array([0, np.pi / 2])[:, None]
    waves = np.cos(phases) * np.hanning(kernel) * (2 / kernel) ** 0.5
    with torch.no_grad():
        first.weight.copy_(torch.tensor(waves.reshape(64, 1, kernel), dtype=torch.float32))
    return model


def train(model: Wav2Vec2ForSequenceClassification, steps: int) -> None:
    """Each step has two new sounds of every kind."""
    log = logging.getLogger("train_sounds")
    extractor = make_extractor()
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LEARNING_RATE, total_steps=steps, pct_start=0.1)
    labels = torch.arange(BATCH) % len(LABELS)
    model.train()
    for step in range(steps):
        # Three numbers, where recordings on disk are drawn from two: no --seed of make_sounds gives sounds that were trained on.
        rng = np.random.default_rng([TRAINING_SEED, step, 1])
        clips = [draw_sound(rng, LABELS[label]) for label in labels]
        waves = [mono(clip.samples, clip.sampling_rate) for clip in clips]
        loss = model(**extractor(waves, sampling_rate=RATE, padding=True, return_tensors="pt"), labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 20 == 0 or step == steps - 1:
            log.info("step %d of %d, loss %.4f", step + 1, steps, loss.item())


def classify(model_dir: Path, recordings: Iterable[Path]) -> list[str]:
    """What the saved checkpoint takes each recording for, one at a time."""
    model = AutoModelForAudioClassification.from_pretrained(model_dir).eval()
    extractor = AutoFeatureExtractor.from_pretrained(model_dir)
    found = []
    for recording in recordings:
        wave = mono(*soundfile.read(recording, dtype="float32", always_2d=True))
        with torch.inference_mode():
            logits = model(**extractor(wave, sampling_rate=RATE, return_tensors="pt")).logits
        found.append(model.config.id2label[int(logits[0].argmax())])
    return found


def accuracy(model_dir: Path) -> float:
    """The share of recordings that are taken for what they are, of those that training has not seen."""
    with TemporaryDirectory() as folder:
        labels = write_recordings(Path(folder), sounds=HELD_OUT_SOUNDS, seed=HELD_OUT_SEED).to_pydict()
        found = classify(model_dir, [Path(folder) / "recordings" / name for name in labels["file"]])
    return sum(map(str.__eq__, found, labels["sound"])) / len(found)


def main(out_dir: Path, steps: Annotated[int, typer.Option(min=10)] = 120) -> None:
    """Trains the checkpoint, saves it, and prints its accuracy on held-out recordings as one JSON object."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    started = time.perf_counter()
    out_dir.mkdir(parents=True, exist_ok=True)
    # Two threads wait for each other at every small operation when the cores are shared.
    torch.set_num_threads(1)
    torch.manual_seed(TRAINING_SEED)
    model = make_model()
    train(model, steps)
    for part in (model, make_extractor()):
        part.save_pretrained(out_dir)
    right = accuracy(out_dir)
    seconds = time.perf_counter() - started
    found = {"held_out": HELD_OUT_SOUNDS, "accuracy": round(right, 4), "parameters": model.num_parameters()}
    typer.echo(json.dumps({**found, "seconds": round(seconds, 1)}))


if __name__ == "__main__":
    typer.run(main)
