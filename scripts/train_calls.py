"""A tiny Whisper, trained here on the CPU, that writes down make_calls' recordings with the times of each group.
Knows nothing of Spark or MLflow: what it leaves behind is an ordinary Hugging Face model directory."""

import json
import logging
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import torch
import typer
from speech.lessons import KEYS, UNLEARNED, Batch, Teacher, draw_lesson
from speech.whisper import LISTENING_HEADS, WIDTH, make_extractor, make_model, make_tokenizer
from transformers import WhisperForConditionalGeneration
from transformers.models.whisper.modeling_whisper import shift_tokens_right

BATCH = 16
PEAK_LEARNING_RATE = 3e-3
TRAINING_SEED = 2026


class Training(torch.nn.Module):
    """The model with heads that are thrown away: they say what the encoder knows of each tick."""

    def __init__(self, model):
        super().__init__()
        self.model = model
        self.heads = torch.nn.ModuleList([torch.nn.Linear(WIDTH, size) for size in (len(KEYS) + 1, 6, 9)])

    def forward(self, batch: Batch, *, ears_only: bool):
        hidden = self.model.model.encoder(batch.features).last_hidden_state
        frame = [torch.nn.functional.cross_entropy(head(hidden).transpose(1, 2), batch.ticks[:, i].clamp(max=head.out_features - 1)) for i, head in enumerate(self.heads)]
        if ears_only:
            return frame
        out = self.model(encoder_outputs=(hidden,), decoder_input_ids=batch.inputs, output_attentions=True)
        text = torch.nn.functional.cross_entropy(out.logits.transpose(1, 2), batch.labels, ignore_index=UNLEARNED)
        there = batch.places.any(-1)
        att = torch.cat([(out.cross_attentions[layer][:, head] * batch.places).sum(-1)[there] for layer, head in LISTENING_HEADS])
        return [*frame, text, -att.clamp(min=1e-4).log().mean()], out.logits


def main(out_dir: Path, steps: int = 400, ears: float = 0.3) -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    started = time.perf_counter()
    torch.set_num_threads(1)
    torch.manual_seed(TRAINING_SEED)
    tokenizer, extractor = make_tokenizer(), make_extractor()
    model = make_model(tokenizer)
    teacher = Teacher(tokenizer, extractor)
    tr = Training(model)
    print(sum(p.numel() for p in model.parameters()), len(tokenizer))
    opt = torch.optim.AdamW(tr.parameters(), lr=PEAK_LEARNING_RATE, weight_decay=0.01, fused=True)
    sched = torch.optim.lr_scheduler.OneCycleLR(opt, PEAK_LEARNING_RATE, total_steps=steps, pct_start=0.1)
    data = 0; pool = []
    tr.train()
    for step in range(steps):
        t = time.perf_counter()
        rng = np.random.default_rng([TRAINING_SEED, step, 1])
        if step % 2 == 0:
            pool.append(teacher.batch([draw_lesson(rng) for _ in range(BATCH)]))
            pool = pool[-6:]
            batch = pool[-1]
        else:
            batch = pool[0]
        data += time.perf_counter() - t
        only = step < steps * ears
        if only:
            losses = tr(batch, ears_only=True)
        else:
            losses, logits = tr(batch, ears_only=False)
        loss = sum(w * x for w, x in zip((1, 2, 2, 1, 0.5), losses))
        opt.zero_grad(); loss.backward()
        torch.nn.utils.clip_grad_norm_(tr.parameters(), 2.0)
        opt.step(); sched.step()
        if step % 20 == 0 or step == steps - 1:
            acc = -1
            if not only:
                m = batch.labels != UNLEARNED
                w = m & (batch.labels < tokenizer.convert_tokens_to_ids("<|endoftext|>"))
                ok = logits.argmax(-1) == batch.labels
                acc = [round(ok[m].float().mean().item(), 3), round(ok[w].float().mean().item(), 3), round(ok[m & ~w].float().mean().item(), 3)]
            print(step, f"{time.perf_counter()-started:.1f}s data {data:.1f}", [round(x.item(), 3) for x in losses], acc, flush=True)
    out_dir.mkdir(parents=True, exist_ok=True)
    for part in (model, tokenizer, extractor):
        part.save_pretrained(out_dir)
    print("trained", time.perf_counter() - started)


if __name__ == "__main__":
    typer.run(main)
