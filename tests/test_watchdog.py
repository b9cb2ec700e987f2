"""A model that gives no sign of life for too long ends its process; one that does may take as long as it needs."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tiny_encoders
import tiny_models
import tiny_speech
import torch

from sparkcoil import engines, tasks, watchdog
from sparkcoil.engines import Placement
from sparkcoil.scoring import Scoring
from sparkcoil.watchdog import Watch

SLOW = """
import time
from sparkcoil import watchdog
with watchdog.ending(1):
    for _ in range(15):
        time.sleep(0.2)
        watchdog.beat()
time.sleep(1.5)
print("alive", flush=True)
with watchdog.ending(1):
    time.sleep(100)
"""


def noting(pause: float = 0.0) -> tuple[Watch, list[str]]:
    """Return a watch with what it notes: when time starts and when it stops."""
    notes: list[str] = []
    return Watch(lambda: notes.append("begins"), lambda: notes.append("ends"), pause), notes


def test_a_process_without_a_sign_of_life_is_ended_with_its_stack_and_any_other_is_not() -> None:
    ended = subprocess.run([sys.executable, "-c", SLOW], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (1, "alive\n")
    assert 'File "<string>", line 11 in <module>' in ended.stderr


def test_a_sign_of_life_counts_within_a_batch_alone_and_once_in_a_while() -> None:
    watch, notes = noting()
    watchdog.beat()
    with watch:
        watchdog.beat()
        watchdog.beat()
    watchdog.beat()
    assert notes == ["begins", "begins", "begins", "ends"]
    rare, notes = noting(pause=1000)
    with rare:
        watchdog.beat()
    assert notes == ["begins", "ends"]


def test_a_batch_that_fails_ends_too() -> None:
    watch, notes = noting()
    with pytest.raises(ValueError, match="told"), watch:
        raise ValueError("told")
    watchdog.beat()
    assert notes == ["begins", "ends"]


def test_an_engine_without_a_model_gives_no_signs() -> None:
    watchdog.listen(SimpleNamespace())
    watchdog.listen(SimpleNamespace(model=None))
    model = torch.nn.Linear(1, 1)
    watchdog.listen(SimpleNamespace(model=model))
    watch, notes = noting()
    with watch:
        model(torch.zeros(1, 1))
    assert notes == ["begins", "begins", "ends"]


@pytest.mark.parametrize(
    ("task", "build", "row", "options"),
    [
        ("text-generation", tiny_models.tiny_causal, {"text": b"the socket"}, {"max_new_tokens": 12, "min_new_tokens": 12}),
        ("summarization", tiny_models.tiny_seq2seq, {"text": b"the socket"}, {"max_new_tokens": 12, "min_new_tokens": 12}),
        (
            "automatic-speech-recognition",
            tiny_speech.tiny_whisper,
            {"audio": tiny_speech.wav(tiny_speech.noise(1, 1))},
            {"max_new_tokens": 12, "min_new_tokens": 12},
        ),
    ],
)
def test_each_step_of_a_text_is_a_sign_of_life(
    tmp_path: Path, task: str, build: Callable[[Path], Path], row: dict[str, bytes], options: dict[str, Any]
) -> None:
    known = tasks.load(task)
    chosen = known.options(**{name: value for name, value in options.items() if name in known.options.model_fields})
    artifact = build(tmp_path / "artifact")
    engine = engines.load(engines.name_of(known, artifact), artifact, chosen, Placement("cpu", "float32"))
    watchdog.listen(engine)
    watch, notes = noting()
    records, _ = Scoring(known, engine, chosen, engine.budget, watch=watch).score([row])
    assert records[0].error is None
    assert (notes[0], notes[-1], notes.count("ends")) == ("begins", "ends", 1)
    assert len(notes) > 8


def test_an_encoder_gives_a_sign_for_each_batch(tmp_path: Path) -> None:
    artifact = tiny_encoders.build(tmp_path, "AutoModelForSequenceClassification")
    known = tasks.load("text-classification")
    engine = engines.load(engines.name_of(known, artifact), artifact, known.options(), Placement("cpu", "float32"))
    watchdog.listen(engine)
    watch, notes = noting()
    Scoring(known, engine, known.options(), engine.budget, watch=watch).score([{"text": b"a"}])
    assert notes == ["begins", "begins", "ends"]
