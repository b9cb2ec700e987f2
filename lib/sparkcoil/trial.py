"""What padding, neighbours and a model's own state do to its answers: tried when it is loaded, in place of being believed by its name.

A model that answers made-up inputs alike whether they are padded or alone is padded; one that does not gets rows of equal lengths only,
and one whose rows change each other gets them one by one. Of over a hundred architectures, right ones stayed below 4e-6 of the largest
value, and wrong ones lay above 3e-2. What was found is kept by the digest of the model's files. Knows nothing of Spark or MLflow.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from hashlib import sha256
from typing import Any, NamedTuple

import numpy as np
import torch
import transformers

from sparkcoil import cache
from sparkcoil.batching import Batching
from sparkcoil.engines import Findings, Tried
from sparkcoil.errors import ModelError

Answer = Sequence[np.ndarray]
"""All that a model gives for one input, without what it gives for padding."""

# How far answers to the same input may lie apart, of the largest value: in float32, and in steps of a shorter format.
TOLERANCE, STEPS = 1e-4, 4.0
LENGTHS = (1, 2, 3, 5, 8, 13, 21, 30)
# Longer than any block pattern is short: BigBird's attention is another one below 11 blocks.
BLOCKS = 12
LOCAL = ("window", "block_size", "chunk_length")


class Probe(NamedTuple):
    """A made-up input, which its length and its number determine."""

    length: int
    number: int


Asking = Callable[[Sequence[Probe]], Sequence[Answer]]
"""Gives a model's answer to each of some probes, which share a forward pass."""


def settle(engine: Tried, name: str, digest: str | None) -> None:
    """Let an engine heed what its model does, found out once for each digest on this machine; raises ModelError where nothing helps."""
    known = None if digest is None else read(place(engine.model, name, digest))
    if known is None:
        known = engine.examine()
        if digest is not None:
            write(place(engine.model, name, digest), known)
    if known.changes:
        keep_as_loaded(engine.model)
    engine.findings = known
    engine.follow(known)


def place(model: Any, name: str, digest: str) -> str:
    """Return under what name the findings of a model are kept: what else than its files they depend on is in it."""
    device = getattr(model, "device", torch.device("cpu")).type
    attention = getattr(model.config, "_attn_implementation", None)
    settings = (digest, name, type(model).__name__, device, str(model.dtype), attention, transformers.__version__, torch.__version__)
    return sha256(repr(settings).encode()).hexdigest()[:32]


def read(name: str) -> Findings | None:
    """Return findings that were kept, None where none were."""
    try:
        return Findings(**json.loads((cache.folder("trials") / name).read_text()))
    except (OSError, RuntimeError, ValueError, TypeError):  # an executor may have no home
        return None


def write(name: str, findings: Findings) -> None:
    """Keep findings where the disk allows it: otherwise the next worker tries the model again."""
    with suppress(OSError, RuntimeError):
        path = cache.folder("trials") / name
        unfinished = path.with_suffix(f".{np.random.default_rng().integers(1 << 62)}")
        unfinished.write_text(json.dumps(asdict(findings)))
        unfinished.replace(path)


def examine(model: Any, ask: Asking, lengths: Sequence[int], long: int) -> Findings:
    """Return what a model does with inputs of some lengths; raises ModelError for one that answers the same input in several ways.

    `long` is a length beyond the model's local windows and blocks, below which its attention may be another one.
    """
    loaded, versions = parts_of(model), versions_of(model)
    tolerance = max(tolerance_of(model.dtype), STEPS * noise_of(model.dtype, ask, Probe(long, 0)))
    changes = not is_steady(ask, min(lengths), long, tolerance)
    if changes:
        put_back(loaded)
        ask = before_each(lambda: put_back(loaded), ask)
        if versions != versions_of(model) or not is_steady(ask, min(lengths), long, tolerance):
            raise ModelError(f"{type(model).__name__} gives the same input another answer each time, and cannot be scored")
    batching = batching_of(ask, lengths, tolerance)
    if changes:
        put_back(loaded)
    return Findings(batching, changes=changes)


def is_steady(ask: Asking, short: int, long: int, tolerance: float) -> bool:
    """Tell whether a model gives the same answer to a long input after a short one."""
    first = ask([Probe(long, 0)])
    ask([Probe(short, 1)])
    return gap(ask([Probe(long, 0)]), first) <= tolerance


def batching_of(ask: Asking, lengths: Sequence[int], tolerance: float) -> Batching:
    """Return how a model's rows may share a batch."""

    def is_right(probes: Sequence[Probe]) -> bool:
        return gap(ask(probes), [ask([each])[0] for each in probes]) <= tolerance

    if len(set(lengths)) > 1 and is_right([Probe(*each) for each in zip(lengths, range(len(lengths)), strict=True)]):
        return "padded"
    longest = max(lengths)
    if is_right([Probe(longest, 1), Probe(longest, 2), Probe(longest, 3)]):
        return "exact lengths" if len(set(lengths)) > 1 else "padded"
    return "one by one"


def tolerance_of(dtype: torch.dtype) -> float:
    """Return how far answers in a number format may lie apart, as a share of the largest value."""
    return max(TOLERANCE, STEPS * torch.finfo(dtype).eps)


def noise_of(dtype: torch.dtype, ask: Asking, probe: Probe) -> float:
    """Return how far answers to an input lie apart that shares a batch with its like; a shorter format than float32 is not exact there."""
    return 0.0 if torch.finfo(dtype).bits >= 32 else gap(ask([probe, probe]), [*ask([probe]), *ask([probe])])


def gap(answers: Sequence[Answer], expected: Sequence[Answer]) -> float:
    """Return how far answers lie from the expected ones at most, as a share of the largest value in them; infinity for other shapes."""
    return max((apart(*pair) for one, other in zip(answers, expected, strict=True) for pair in zip(one, other, strict=True)), default=0.0)


def apart(answer: np.ndarray, expected: np.ndarray) -> float:
    """Return how far one array lies from another at most, as a share of the largest finite value."""
    if answer.shape != expected.shape:
        return float("inf")
    alike = (answer == expected) | (np.isnan(answer) & np.isnan(expected))
    if alike.all():
        return 0.0
    size = np.abs(expected[np.isfinite(expected)]).max(initial=0.0)
    distance = np.abs(answer[~alike] - expected[~alike]).max()
    return float(distance / max(size, 1e-30)) if np.isfinite(distance) else float("inf")


def answers_of(outputs: Any, count: int) -> list[Answer]:
    """Return what is in a model's output of each of so many inputs."""
    tensors = [array(each) for each in tensors_of(outputs) if each.ndim and len(each) == count]
    return [[each[i] for each in tensors] for i in range(count)]


def without_padding(answers: Sequence[Answer], lengths: Sequence[int]) -> list[Answer]:
    """Return answers without what is in them of the padding behind inputs of these lengths."""
    longest = max(lengths)
    return [
        [values[:length] if values.ndim and len(values) == longest else values for values in answer]
        for answer, length in zip(answers, lengths, strict=True)
    ]


def tensors_of(outputs: Any) -> Iterator[torch.Tensor]:
    """Yield the numbers in a model's output, however it is nested; not what it remembers for a next step."""
    if isinstance(outputs, torch.Tensor):
        if outputs.is_floating_point():
            yield outputs
    elif isinstance(outputs, dict):
        for name, each in outputs.items():
            if name != "past_key_values":
                yield from tensors_of(each)
    elif isinstance(outputs, tuple | list):
        for each in outputs:
            yield from tensors_of(each)


def array(tensor: torch.Tensor) -> np.ndarray:
    """Return a tensor as an array of float64."""
    return tensor.detach().double().cpu().numpy()


def vocabulary_size(tokenizer: Any, model: Any) -> int:
    """Return how many tokens both a tokenizer and its model know."""
    size = getattr(model.config.get_text_config(), "vocab_size", None)
    return min(len(tokenizer), size) if isinstance(size, int) else len(tokenizer)


def local_length(config: Any) -> int:
    """Return a length beyond which the local windows and blocks that a configuration names end, 0 where it names none."""
    settings = config.get_text_config().to_dict()
    sizes = [(name, size) for name, value in settings.items() if any(part in name for part in LOCAL) for size in numbers(value)]
    return max((size * (BLOCKS if "block" in name else 2) for name, size in sizes), default=0)


def numbers(value: Any) -> list[int]:
    """Return the whole numbers of a setting, which may be one or a list."""
    values = value if isinstance(value, list | tuple) else [value]
    return [each for each in values if isinstance(each, int) and not isinstance(each, bool)]


Parts = Sequence[tuple[torch.nn.Module, dict[str, Any]]]
"""The modules of a model with what each of them holds."""
OWNED = ("_modules", "_parameters", "_buffers")


def versions_of(model: torch.nn.Module) -> list[int]:
    """Return how often each of a model's weights has been written over in place, which cannot be taken back."""
    return [each._version for each in model.parameters()]


def parts_of(model: torch.nn.Module) -> Parts:
    """Return what a model consists of, by which it can be put back."""
    return [(each, attributes_of(each)) for each in model.modules()]


def attributes_of(module: torch.nn.Module) -> dict[str, Any]:
    """Return a copy of what a module holds."""
    return {name: dict(value) if name in OWNED else value for name, value in vars(module).items()}


def put_back(parts: Parts) -> None:
    """Make a model what it was."""
    for module, attributes in parts:
        vars(module).clear()
        vars(module).update({name: dict(value) if name in OWNED else value for name, value in attributes.items()})


def keep_as_loaded(model: torch.nn.Module) -> None:
    """Put a model back before each of its forward passes, so that no input depends on those before it."""
    loaded: list[Parts] = []
    model.register_forward_pre_hook(lambda *_: put_back(loaded[0]))
    loaded.append(parts_of(model))  # with the hook in it


def before_each(act: Callable[[], None], ask: Asking) -> Asking:
    """Return the function with an act before each of its calls."""

    def ask_after(probes: Sequence[Probe]) -> Sequence[Answer]:
        act()
        return ask(probes)

    return ask_after
