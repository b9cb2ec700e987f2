"""Who scores without Spark: sparkcoil's scorer as a Python worker runs it, and the native pipeline.

Each contestant is a function from rows to outputs, ready to be timed: models are loaded, and nothing is tokenised or decoded yet.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers

from benchmarks import photos, sounds
from benchmarks.contest import Contestant
from benchmarks.held import Disagreement
from benchmarks.workloads import Workload
from sparkcoil import batching, digest
from sparkcoil.engines import Placement
from sparkcoil.scorer import Scorer
from sparkcoil.spec import Spec
from sparkcoil.tasks import Row
from sparkcoil.weights import Weights

WINDOW = 10_000


def spec_of(workload: Workload, artifact: Path, device: str, dtype: str) -> Spec:
    """Return how a worker is told to score a workload."""
    weights = Weights(digest.remembered(artifact), str(artifact), None)
    return Spec(workload.task, workload.options, Placement(device, dtype), weights, {})


def ours(workload: Workload, artifact: Path, device: str, dtype: str) -> Contestant:
    """Return sparkcoil's scorer as a worker has it; `noted` holds what its last run counted."""
    scorer = Scorer(spec_of(workload, artifact, device, dtype))
    scorer.score(as_rows(workload, workload.rows(2)))
    found = Contestant(f"sparkcoil, {dtype}", lambda rows: [])

    def run(rows: Sequence[Any]) -> list[Any]:
        assert scorer.scoring is not None
        scorer.scoring.last = None  # equal rows at the edge of a window would be remembered from the round before
        outputs: list[Any] = []
        for start in range(0, len(rows), WINDOW):
            records, found.noted = scorer.score(as_rows(workload, rows[start : start + WINDOW]))
            for each in records:
                if each.prediction is None:
                    raise Disagreement(f"row {len(outputs)} failed: {each.error.code if each.error else 'without a reason'}")
                outputs.append(workload.of_ours(each.prediction))
        return outputs

    found.run = run
    return found


def window_padding(workload: Workload, artifact: Path) -> float:
    """Return the share of what a whole window of different rows makes a CPU compute that is no padding, counted without the model."""
    scorer = Scorer(spec_of(workload, artifact, "cpu", "float32"))
    scorer.score(as_rows(workload, workload.rows(2)))
    assert scorer.scoring is not None
    task, options, engine, budget = scorer.scoring.task, scorer.scoring.options, scorer.scoring.engine, scorer.scoring.budget
    items = [task.read(row, options)[0] for row in as_rows(workload, [*dict.fromkeys(workload.rows(WINDOW))])]
    lengths = [part.length for each in engine.prepare(items) for part in getattr(each, "parts", (each,))]
    tally = batching.run(lengths, lengths, list, budget, engine.batching).tally
    return tally.useful / tally.computed


def format_of(contestant: Contestant) -> str:
    """Return the number format of one of ours."""
    return contestant.name.rpartition(", ")[2]


def as_rows(workload: Workload, cells: Sequence[Any]) -> list[Row]:
    """Return cells as they arrive from Spark."""
    return [{workload.input: each.encode() if isinstance(each, str) else each} for each in cells]


def native(workload: Workload, artifact: Path, device: str, batch: int) -> Contestant:
    """Return the native pipeline with a batch size, which is given decoded samples of recordings, and images that Pillow has opened."""
    if workload.task == "feature-extraction":
        return Contestant(f"sentence-transformers, batch {batch}", encoding(workload, artifact, device, batch))
    if workload.task == "text2text-generation":
        return Contestant(f"generate, batch {batch}", bare_generation(workload, artifact, device, batch))
    pipe: Any = transformers.pipeline(workload.task, model=str(artifact / "model"), device=device)  # type: ignore[call-overload]

    def run(rows: Sequence[Any]) -> list[Any]:
        given: Any = list(rows)
        if workload.input == "audio":
            rate = pipe.feature_extractor.sampling_rate
            given = ({"raw": sounds.decoded(each, rate), "sampling_rate": rate} for each in rows)
        if workload.input == "image":
            given = (photos.opened(each) for each in rows)
        return [workload.of_native(each) for each in pipe(given, batch_size=batch, **workload.native)]

    return Contestant(f"pipeline, batch {batch}", run)


def encoding(workload: Workload, artifact: Path, device: str, batch: int) -> Callable[[Sequence[Any]], list[Any]]:
    """Return the `encode` of sentence-transformers, which sorts all texts by their length in characters, and takes tokens' mean."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    words = Transformer(str(artifact / "model"))
    model = SentenceTransformer(modules=[words, Pooling(words.get_embedding_dimension())], device=device)
    return lambda rows: [workload.of_native(each) for each in model.encode(list(rows), batch_size=batch, show_progress_bar=False)]


def bare_generation(workload: Workload, artifact: Path, device: str, batch: int) -> Callable[[Sequence[Any]], list[Any]]:
    """Return what a program does for which transformers 5 has no pipeline: tokenise, generate and decode batch by batch."""
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(artifact / "model")
    model: Any = transformers.AutoModelForSeq2SeqLM.from_pretrained(artifact / "model").eval().to(device)

    def run(rows: Sequence[Any]) -> list[Any]:
        outputs: list[Any] = []
        for group in slices(rows, batch):
            inputs = tokenizer(list(group), padding=True, truncation=True, return_tensors="pt").to(device)
            with torch.inference_mode():
                texts = tokenizer.batch_decode(model.generate(**inputs, **workload.native), skip_special_tokens=True)
            outputs += [workload.of_native({"text": each}) for each in texts]
        return outputs

    return run


def slices(rows: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Yield rows in their order, so many at once."""
    return (rows[start : start + size] for start in range(0, len(rows), size))
