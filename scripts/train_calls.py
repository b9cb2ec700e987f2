"""A tiny Whisper, trained here on the CPU, that writes down the calls of make_calls, with the times of each group.
Knows nothing of Spark or MLflow: what it leaves behind is an ordinary Hugging Face model directory."""

import json
import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import jiwer
import numpy as np
import soundfile
import torch
import typer
from make_calls import write_recordings
from speech.lessons import CLASSES, UNLEARNED, Batch, Teacher, draw_lesson
from speech.wav2vec import RATE, mono
from speech.whisper import LISTENING_HEADS, WIDTH, WINDOW_SECONDS, make_extractor, make_model, make_tokenizer
from torch.nn.functional import cross_entropy
from transformers import WhisperForConditionalGeneration, pipeline

BATCH = 16
PEAK_LEARNING_RATE = 3e-3
TRAINING_SEED, HELD_OUT_SEED, HELD_OUT_CALLS = 2026, 977, 100
# To draw lessons takes half as long as to learn from them: each batch is used once when it is new, and once more some steps later.
KEPT_BATCHES = 6
# The share of steps in which the encoder learns alone what is heard at each tick.
EARS_ALONE = 0.12
# How much it counts to know a tick's key, the key's place in its group, the group's in the window; the tokens; where they are heard.
WEIGHTS = (1.0, 2.0, 2.0, 1.0, 0.5)


class Pupil(torch.nn.Module):
    """The model with three heads that are thrown away: they say what the encoder knows of each tick, since the generator knows it too."""

    def __init__(self, model: WhisperForConditionalGeneration) -> None:
        super().__init__()
        self.model = model
        self.heads = torch.nn.ModuleList([torch.nn.Linear(WIDTH, size) for size in CLASSES])

    def hearing(self, batch: Batch) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """The encoder's states, and what is lost where they do not tell what is heard at each tick."""
        hidden = self.model.model.encoder(batch.features).last_hidden_state
        return hidden, [cross_entropy(head(hidden).transpose(1, 2), batch.ticks[:, i]) for i, head in enumerate(self.heads)]

    def writing(self, batch: Batch, hidden: torch.Tensor) -> list[torch.Tensor]:
        """What is lost where a token is not the right one, and where attention is not at what the token is heard in."""
        output = self.model(encoder_outputs=(hidden,), decoder_input_ids=batch.inputs, output_attentions=True)
        heard = batch.places.any(-1)
        looks = torch.cat([(output.cross_attentions[layer][:, head] * batch.places).sum(-1)[heard] for layer, head in LISTENING_HEADS])
        tokens = cross_entropy(output.logits.transpose(1, 2), batch.labels, ignore_index=UNLEARNED)
        return [tokens, -looks.clamp(min=1e-4).log().mean()]


def batches(teacher: Teacher, steps: int) -> Iterator[Batch]:
    """A batch for each step."""
    kept: list[Batch] = []
    for step in range(steps):
        if step % 2:
            yield kept[0]
        else:
            rng = np.random.default_rng([TRAINING_SEED, step, 1])
            kept = [*kept, teacher.batch([draw_lesson(rng) for _ in range(BATCH)])][-KEPT_BATCHES:]
            yield kept[-1]


def train(model: WhisperForConditionalGeneration, teacher: Teacher, steps: int) -> None:
    """First the encoder learns from what the generator knows of each tick, then all of the model to write as well."""
    log = logging.getLogger("train_calls")
    pupil = Pupil(model)
    optimizer = torch.optim.AdamW(pupil.parameters(), lr=PEAK_LEARNING_RATE, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LEARNING_RATE, total_steps=steps, pct_start=0.1)
    pupil.train()
    for step, batch in enumerate(batches(teacher, steps)):
        hidden, losses = pupil.hearing(batch)
        if step >= steps * EARS_ALONE:
            losses += pupil.writing(batch, hidden)
        loss = sum(weight * each for weight, each in zip(WEIGHTS, losses, strict=False))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(pupil.parameters(), 2.0)
        optimizer.step()
        schedule.step()
        if step % 20 == 0 or step == steps - 1:
            log.info("step %d of %d, losses %s", step + 1, steps, " ".join(f"{each.item():.3f}" for each in losses))
    model.eval()


def transcribe(model_dir: Path, recordings: Sequence[Path]) -> list[Any]:
    """What the saved checkpoint hears by transformers' own pipeline: of each recording the text, and its pieces with times."""
    recognize = pipeline("automatic-speech-recognition", model=str(model_dir), device="cpu")
    found = []
    for recording in recordings:
        samples, rate = soundfile.read(recording, dtype="float32", always_2d=True)
        sound = {"raw": mono(samples, rate), "sampling_rate": RATE}
        found.append(recognize(sound, chunk_length_s=WINDOW_SECONDS, return_timestamps=True))
    return found


def time_errors(groups: Sequence[Any], chunks: Sequence[Any]) -> list[float]:
    """By how many seconds the starts and ends of what was heard lie off; nothing where the groups are not told apart rightly."""
    if [each["text"] for each in groups] != [each["text"].strip() for each in chunks]:
        return []
    pairs = zip(groups, chunks, strict=True)
    return [abs(a - b) for group, chunk in pairs for a, b in zip((group["start"], group["end"]), chunk["timestamp"], strict=True) if b]


def judged(model_dir: Path) -> dict[str, float]:
    """How well recordings are written down that training has not seen."""
    with TemporaryDirectory() as folder:
        labels = write_recordings(Path(folder), calls=HELD_OUT_CALLS, seed=HELD_OUT_SEED).to_pylist()
        heard = transcribe(model_dir, [Path(folder) / "recordings" / label["file"] for label in labels])
    right, texts = [label["transcript"] for label in labels], [each["text"].strip() for each in heard]
    errors = [time_errors(label["groups"], each["chunks"]) for label, each in zip(labels, heard, strict=True)]
    return {
        "word_error_rate": jiwer.wer(right, texts),
        "exact_share": float(np.mean([a == b for a, b in zip(right, texts, strict=True)])),
        "exact_segments_share": float(np.mean(list(map(bool, errors)))),
        "median_time_error": float(np.median([each for row in errors for each in row] or [np.nan])),
    }


def main(out_dir: Path, steps: Annotated[int, typer.Option(min=10)] = 600) -> None:
    """Trains the checkpoint, saves it, and prints how it does on held-out recordings as one JSON object."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    started = time.perf_counter()
    out_dir.mkdir(parents=True, exist_ok=True)
    # Two threads wait for each other at every small operation when the cores are shared.
    torch.set_num_threads(1)
    torch.manual_seed(TRAINING_SEED)
    tokenizer, extractor = make_tokenizer(), make_extractor()
    model = make_model(tokenizer)
    train(model, Teacher(tokenizer, extractor), steps)
    trained = time.perf_counter() - started
    for part in (model, tokenizer, extractor):
        part.save_pretrained(out_dir)
    found = {**{name: round(value, 4) for name, value in judged(out_dir).items()}, "parameters": model.num_parameters()}
    typer.echo(json.dumps({"held_out": HELD_OUT_CALLS, **found, "seconds_training": round(trained, 1)}))


if __name__ == "__main__":
    typer.run(main)
