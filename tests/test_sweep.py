"""The sweep over architectures, in short: some of each kind, and those that have been wrong before. All of them: ./scripts/sweep run."""

import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def sweep() -> Any:
    """The module of the verb."""
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        import sweep

        sweep.quieten()
        yield sweep
    finally:
        sys.path.remove(str(ROOT / "scripts"))


# What each architecture comes to as a task.
KNOWN = [
    ("text-classification", "bert", "equal"),
    ("text-classification", "roberta", "equal"),
    ("text-classification", "mobilebert", "exact lengths"),
    ("text-classification", "fnet", "exact lengths"),
    ("text-classification", "umt5", "exact lengths"),
    ("text-classification", "big_bird", "equal"),
    ("token-classification", "bert", "equal"),
    ("fill-mask", "distilbert", "equal"),
    ("feature-extraction", "t5", "equal"),
    ("text-generation", "gpt2", "equal"),
    ("text-generation", "bart", "exact lengths"),
    ("text-generation", "gpt_neo", "equal"),
    ("text2text-generation", "t5", "equal"),
    ("automatic-speech-recognition", "wav2vec2", "exact lengths"),
    ("automatic-speech-recognition", "hubert", "exact lengths"),
    ("automatic-speech-recognition", "wav2vec2-bert", "equal"),
    ("audio-classification", "wavlm", "exact lengths"),
    ("audio-classification", "wav2vec2-bert", "equal"),
    ("image-classification", "vit", "equal"),
    ("image-classification", "resnet", "equal"),
]


@pytest.mark.parametrize(("task", "kind", "outcome"), KNOWN)
def test_an_architecture_is_scored_as_it_answers_natively(sweep: Any, task: str, kind: str, outcome: str) -> None:
    (verdict,) = sweep.swept(task, kind)
    assert verdict.outcome == outcome, verdict


def test_a_model_that_is_scored_otherwise_is_found_out(sweep: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from sparkcoil import trial
    from sparkcoil.engines import Findings

    monkeypatch.setattr(trial, "examine", lambda *given: Findings())  # padding is believed to be right, as it once was
    assert {sweep.swept("text-classification", kind)[0].outcome for kind in ("fnet", "mobilebert")} == {"differs"}
