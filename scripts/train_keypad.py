"""A tiny Wav2Vec2 CTC checkpoint, trained here on the CPU, that reads the keys of make_keypad's recordings.
Knows nothing of Spark or MLflow: what it leaves behind is an ordinary Hugging Face model directory."""

import json
import logging
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import jiwer
import numpy as np
import soundfile
import torch
import typer
from make_keypad import HIGH_HZ, KEYS, LOW_HZ, Clip, Press, draw_clip, write_recordings
from speech.wav2vec import RATE, UNREGULARISED, make_extractor, mono
from transformers import (
    AutoFeatureExtractor,
    AutoModelForCTC,
    AutoTokenizer,
    Wav2Vec2Config,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2ForCTC,
)

VOCABULARY = {token: number for number, token in enumerate(["<pad>", "<unk>", "|", *KEYS])}
BLANK = VOCABULARY["<pad>"]
BATCH = 16
PEAK_LEARNING_RATE = 2e-3
TRAINING_SEED, HELD_OUT_SEED, HELD_OUT_CLIPS = 2026, 977, 100

CONFIG = Wav2Vec2Config(
    vocab_size=len(VOCABULARY),
    pad_token_id=BLANK,
    bos_token_id=None,
    eos_token_id=None,
    # Only with layer norm do the features of a clip not depend on how far it was padded.
    feat_extract_norm="layer",
    conv_bias=True,
    # A frame sees 30 ms and comes every 10 ms: short enough for one to fit into the shortest gap between two equal keys.
    conv_dim=(64, 96),
    conv_kernel=(320, 3),
    conv_stride=(80, 2),
    hidden_size=96,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=192,
    do_stable_layer_norm=True,
    num_conv_pos_embeddings=15,
    num_conv_pos_embedding_groups=4,
    **UNREGULARISED,
    ctc_loss_reduction="mean",
    ctc_zero_infinity=True,
)


def make_tokenizer(folder: Path) -> Wav2Vec2CTCTokenizer:
    """One token per key; the padding token is CTC's blank."""
    vocabulary = folder / "vocab.json"
    vocabulary.write_text(json.dumps(VOCABULARY))
    return Wav2Vec2CTCTokenizer(
        str(vocabulary), unk_token="<unk>", pad_token="<pad>", word_delimiter_token="|", bos_token=None, eos_token=None
    )


def filter_bank(kernel: int) -> torch.Tensor:
    """Four phases of the eight keypad tones and of eight other tones, 64 filters: rectified, the phases add up to a magnitude."""
    hertz = np.concatenate([LOW_HZ, HIGH_HZ, np.geomspace(200, 3800, 8)])
    phases = np.arange(4) * np.pi / 2
    seconds = np.arange(kernel) / RATE
    waves = np.cos(2 * np.pi * hertz[:, None, None] * seconds + phases[:, None]) * np.hanning(kernel)
    return torch.tensor(waves.reshape(64, 1, kernel) * (2 / kernel) ** 0.5, dtype=torch.float32)


def make_model() -> Wav2Vec2ForCTC:
    """An untrained model whose ear, the first convolution, is tuned to the keypad."""
    model = Wav2Vec2ForCTC(CONFIG)
    first = model.wav2vec2.feature_extractor.conv_layers[0].conv
    with torch.no_grad():
        first.weight.copy_(filter_bank(first.kernel_size[0]))
    return model


def frame_labels(presses: Iterable[Press], frames: int) -> torch.Tensor:
    """For every output frame of the model, the key that is held at its centre, or blank."""
    stride = CONFIG.inputs_to_logits_ratio
    reach = CONFIG.conv_kernel[0] + (CONFIG.conv_kernel[1] - 1) * CONFIG.conv_stride[0]
    centres = (np.arange(frames) * stride + reach / 2) / RATE
    labels = np.full(frames, BLANK)
    for press in presses:
        labels[(centres >= press.start) & (centres < press.end)] = VOCABULARY[press.key]
    return torch.from_numpy(labels)


def frame_loss(model: Wav2Vec2ForCTC, inputs: dict[str, torch.Tensor], *, clips: Sequence[Clip]) -> torch.Tensor:
    """Cross-entropy per frame, padding included as blank: the generator knows when each key was held."""
    logits = model(**inputs).logits
    labels = torch.stack([frame_labels(clip.presses, logits.shape[1]) for clip in clips])
    return torch.nn.functional.cross_entropy(logits.transpose(1, 2), labels)


def ctc_loss(model: Wav2Vec2ForCTC, inputs: dict[str, torch.Tensor], *, clips: Sequence[Clip]) -> torch.Tensor:
    """CTC as the model itself computes it, from the keys alone."""
    labels = [torch.tensor([VOCABULARY[key] for key in clip.keys]) for clip in clips]
    return model(**inputs, labels=torch.nn.utils.rnn.pad_sequence(labels, batch_first=True, padding_value=-100)).loss


def train(model: Wav2Vec2ForCTC, steps: int) -> None:
    """Two thirds of the steps learn from known key positions, which leaves no plateau to be stuck on; the rest is CTC."""
    log = logging.getLogger("train_keypad")
    extractor = make_extractor()
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LEARNING_RATE, total_steps=steps, pct_start=0.1)
    model.train()
    for step in range(steps):
        # Three numbers, where recordings on disk are drawn from two: no --seed of make_keypad gives clips that were trained on.
        rng = np.random.default_rng([TRAINING_SEED, step, 1])
        clips = [draw_clip(rng) for _ in range(BATCH)]
        waves = [mono(clip.samples, clip.sampling_rate) for clip in clips]
        inputs = dict(extractor(waves, sampling_rate=RATE, padding=True, return_tensors="pt"))
        loss = (frame_loss if step < steps * 2 // 3 else ctc_loss)(model, inputs, clips=clips)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 20 == 0 or step == steps - 1:
            log.info("step %d of %d, %s %.4f", step + 1, steps, "per frame" if step < steps * 2 // 3 else "CTC", loss.item())


def transcribe(model_dir: Path, recordings: Iterable[Path]) -> list[str]:
    """What the saved checkpoint hears, one recording at a time."""
    model = AutoModelForCTC.from_pretrained(model_dir).eval()
    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    extractor = AutoFeatureExtractor.from_pretrained(model_dir)
    transcripts = []
    for recording in recordings:
        wave = mono(*soundfile.read(recording, dtype="float32", always_2d=True))
        with torch.inference_mode():
            logits = model(**extractor(wave, sampling_rate=RATE, return_tensors="pt")).logits
        transcripts.append(tokenizer.decode(logits[0].argmax(dim=-1)))
    return transcripts


def key_error_rate(model_dir: Path) -> float:
    """Wrong, missing and invented keys per key pressed, on recordings that training has not seen."""
    with TemporaryDirectory() as folder:
        labels = write_recordings(Path(folder), clips=HELD_OUT_CLIPS, seed=HELD_OUT_SEED).to_pydict()
        heard = transcribe(model_dir, [Path(folder) / "recordings" / name for name in labels["file"]])
    return jiwer.cer(labels["keys"], heard)


def main(out_dir: Path, steps: Annotated[int, typer.Option(min=10)] = 150) -> None:
    """Trains the checkpoint, saves it, and prints its key error rate on held-out recordings as one JSON object."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    started = time.perf_counter()
    out_dir.mkdir(parents=True, exist_ok=True)
    # Two threads wait for each other at every small operation: 0.35 s a clip in place of 0.005 when the cores are shared.
    torch.set_num_threads(1)
    torch.manual_seed(TRAINING_SEED)
    model = make_model()
    train(model, steps)
    for part in (model, make_tokenizer(out_dir), make_extractor()):
        part.save_pretrained(out_dir)
    rate = key_error_rate(out_dir)
    seconds = time.perf_counter() - started
    typer.echo(json.dumps({"held_out": HELD_OUT_CLIPS, "key_error_rate": round(rate, 4), "seconds": round(seconds, 1)}))


if __name__ == "__main__":
    typer.run(main)
