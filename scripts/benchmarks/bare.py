"""The bare PyTorch loop that everything is held against: inputs in memory as tensors, ideally batched, and nothing made of the outputs.

Its batches are cut from the rows sorted by length (of texts that are written: by the length that is known to come out), at the best
of several sizes. Equal rows are computed each.
"""

import multiprocessing
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers

from benchmarks import photos, sounds
from benchmarks.contest import Contestant
from benchmarks.workloads import Workload

Batch = Mapping[str, torch.Tensor]
# Padded tokens, or seconds, of a batch, and rows where each costs the same.
TOKENS, SECONDS, ROWS = (512, 1_024, 2_048, 4_096), (15, 30, 60, 120), (16, 32, 64, 256)
IMAGES = (1, 4, 16, 32)
GPU_TIMES = 16
CLASSES = {
    "text-classification": "AutoModelForSequenceClassification",
    "feature-extraction": "AutoModel",
    "zero-shot-classification": "AutoModelForSequenceClassification",
    "image-classification": "AutoModelForImageClassification",
    "text-generation": "AutoModelForCausalLM",
    "text2text-generation": "AutoModelForSeq2SeqLM",
}


def contestants(workload: Workload, artifact: Path, device: str, dtype: str, rows: Sequence[Any]) -> list[Contestant]:
    """Return a bare loop for each size of batch."""
    kind = CLASSES.get(workload.task) or ("AutoModelForSpeechSeq2Seq" if workload.model.startswith("whisper") else "AutoModelForCTC")
    model: Any = getattr(transformers, kind).from_pretrained(artifact / "model", dtype=dtype).eval().to(device)
    inputs, lengths = {"audio": heard, "image": looked_at}.get(workload.input, read)(workload, artifact, model, rows)
    writes = hasattr(model, "generate") and not kind.endswith(("AutoModel", "Classification"))
    sizes = ROWS if writes else {"audio": SECONDS, "image": IMAGES}.get(workload.input, TOKENS)
    if writes:
        lengths = [written(workload, model, each) for each in inputs]
    times = 1 if device == "cpu" else GPU_TIMES
    return [loop(workload, model, inputs, lengths, size * times, f"bare loop, {dtype}, {size * times}", writes=writes) for size in sizes]


def read(workload: Workload, artifact: Path, model: Any, rows: Sequence[str]) -> tuple[list[Batch], list[int]]:
    """Return every text, or pair of text and label, as tensors."""
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(artifact / "model")
    labels = workload.options.get("candidate_labels")
    pairs = [(text, f"This example is {label}.") for text in rows for label in labels] if labels else [(text,) for text in rows]
    inputs = [dict(tokenizer(*each, truncation=True, return_tensors="pt")) for each in pairs]
    return inputs, [each["input_ids"].shape[1] for each in inputs]


def heard(workload: Workload, artifact: Path, model: Any, rows: Sequence[bytes]) -> tuple[list[Batch], list[int]]:
    """Return every recording as tensors; its length is in seconds times a hundred."""
    extractor: Any = transformers.AutoFeatureExtractor.from_pretrained(artifact / "model")
    waves = [sounds.decoded(each, extractor.sampling_rate) for each in rows]
    inputs = [dict(extractor(each, sampling_rate=extractor.sampling_rate, return_tensors="pt")) for each in waves]
    return inputs, [len(each) * 100 // extractor.sampling_rate for each in waves]


def looked_at(workload: Workload, artifact: Path, model: Any, rows: Sequence[bytes]) -> tuple[list[Batch], list[int]]:
    """Return every image as tensors, which are all of one size."""
    processor: Any = transformers.AutoImageProcessor.from_pretrained(artifact / "model")
    return [dict(processor(photos.opened(each).convert("RGB"), return_tensors="pt")) for each in rows], [1] * len(rows)


def written(workload: Workload, model: Any, row: Batch) -> int:
    """Return how many tokens are written for a row."""
    with torch.inference_mode():
        return int(model.generate(**on(model, row), **asked(workload)).shape[1])


def asked(workload: Workload) -> dict[str, Any]:
    """Return what `model.generate` is told where the pipeline is called so."""
    passed = {key: value for key, value in workload.native.items() if key in ("max_new_tokens", "do_sample")}
    return {**passed, **workload.native.get("generate_kwargs", {})}


def loop(
    workload: Workload, model: Any, inputs: Sequence[Batch], lengths: Sequence[int], size: int, name: str, *, writes: bool
) -> Contestant:
    """Return the loop over batches of a size, which are on the device before it begins."""
    order = sorted(range(len(inputs)), key=lambda i: (-lengths[i], inputs[i][next(iter(inputs[i]))].shape[-1]))
    batches = [
        on(model, joined([inputs[i] for i in group], left=workload.task == "text-generation"))
        for group in cut(order, lengths, size, workload, writes)
    ]
    given = asked(workload)

    @torch.inference_mode()
    def run(rows: Sequence[Any]) -> list[Any]:
        for batch in batches:
            output = model.generate(**batch, **given) if writes else computed(model(**batch))
            output.cpu()
        return []

    return Contestant(name, run)


def computed(output: Any) -> torch.Tensor:
    """Return the best of logits, or the mean of hidden states."""
    found: torch.Tensor = output.logits.argmax(-1) if "logits" in output else output.last_hidden_state.mean(1)
    return found


def cut(order: Sequence[int], lengths: Sequence[int], size: int, workload: Workload, writes: bool) -> list[list[int]]:
    """Return the rows of each batch; where padding changes results, of equal length alone."""
    groups: list[list[int]] = [[]]
    for i in order:
        first = lengths[groups[-1][0]] if groups[-1] else 0
        room = size if writes else size * (100 if workload.input == "audio" else 1) // max(1, first)
        if groups[-1] and (len(groups[-1]) >= room or (workload.model == "ctc-group" and lengths[i] != first)):
            groups.append([])
        groups[-1].append(i)
    return groups


def joined(rows: Sequence[Batch], *, left: bool) -> dict[str, torch.Tensor]:
    """Return rows as one batch, padded with zeros, without a mask where they are equally long."""
    longest = (
        max(each.shape[1] for row in rows for each in row.values() if each.dim() == 2) if any(v.dim() == 2 for v in rows[0].values()) else 0
    )

    def padded(tensor: torch.Tensor) -> torch.Tensor:
        missing = longest - tensor.shape[1] if tensor.dim() == 2 else 0
        return torch.nn.functional.pad(tensor, (missing, 0) if left else (0, missing)) if missing else tensor

    batch = {name: torch.cat([padded(row[name]) for row in rows]) for name in rows[0]}
    if "attention_mask" in batch and bool(batch["attention_mask"].all()):
        batch.pop("attention_mask")
    return batch


def on(model: Any, batch: Batch) -> dict[str, torch.Tensor]:
    """Return a batch on the model's device, numbers in its format."""
    return {name: each.to(model.device, model.dtype if each.is_floating_point() else each.dtype) for name, each in batch.items()}


def on_all_cpus(workload: Workload, artifact: Path, dtype: str, rows: Sequence[str], size: int, count: int) -> float:
    """Return the seconds that so many processes of one thread take together for all rows, from when the last of them is ready."""
    context = multiprocessing.get_context("spawn")
    barrier, done = context.Barrier(count + 1), context.Queue()
    shares = [list(rows[number::count]) for number in range(count)]
    processes = [context.Process(target=share, args=(workload.name, artifact, dtype, each, size, barrier, done)) for each in shares]
    for each in processes:
        each.start()
    barrier.wait()
    started = time.perf_counter()
    for _ in processes:
        done.get()
    seconds = time.perf_counter() - started
    for each in processes:
        each.join()
    return seconds


def share(name: str, artifact: Path, dtype: str, rows: Sequence[str], size: int, barrier: Any, done: Any) -> None:
    """Run the loop over a share of the rows once all processes are ready."""
    from benchmarks.workloads import WORKLOADS

    torch.set_num_threads(1)
    found = next(each for each in contestants(WORKLOADS[name], artifact, "cpu", dtype, rows) if each.name.endswith(f" {size}"))
    found.run(rows[:1])
    barrier.wait()
    found.run(rows)
    done.put(len(rows))
