"""What an executor finds out before the first row, here in this process."""

from pathlib import Path

import pytest
import tiny_encoders

from sparkcoil import digest, probe
from sparkcoil.engines import Placement
from sparkcoil.spec import Spec
from sparkcoil.weights import Weights

ROWS = [{"text": b"An example."}]


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny classifier, laid out as a logged model."""
    return tiny_encoders.build(tmp_path_factory.mktemp("artifact"), "AutoModelForSequenceClassification")


def spec(artifact: Path, *, dtype: str = "auto", device: str = "auto", task: str = "text-classification") -> Spec:
    """Return the spec of a probe for a model."""
    return Spec(task, {}, Placement(device, dtype), Weights(digest.of_folder(artifact), str(artifact), None), {}, probe=True)


def test_a_model_that_fits_loads_and_predicts_is_cleared(artifact: Path) -> None:
    found = probe.report(spec(artifact), ROWS)
    assert "refusal" not in found
    assert found["host"]


def test_a_model_that_does_not_fit_in_memory_is_refused_in_words(artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 99 kB\nMemAvailable:       1 kB\n")
    monkeypatch.setattr(probe, "MEMINFO", tmp_path / "meminfo")
    found = probe.report(spec(artifact), ROWS)
    assert found["kind"] == "EnvironmentError_"
    assert "it has 0.00 GiB of memory free, and the model's weights take" in found["refusal"]


def test_a_gpu_that_is_not_there_is_refused(artifact: Path) -> None:
    found = probe.report(spec(artifact, device="cuda"), ROWS)
    assert (found["kind"], "sees no GPU" in found["refusal"]) == ("EnvironmentError_", True)


def test_files_that_are_not_the_runs_are_refused(artifact: Path) -> None:
    wrong = Spec("text-classification", {}, Placement("auto", "auto"), Weights("0" * 64, str(artifact), None), {}, probe=True)
    assert "is not the run's" in probe.report(wrong, ROWS)["refusal"]


def test_a_model_that_cannot_be_loaded_is_refused_with_the_reason(artifact: Path) -> None:
    found = probe.report(spec(artifact, task="question-answering"), [{"question": b"Who?", "context": b"Me."}])
    assert "weights of BertForQuestionAnswering are missing from the checkpoint" in found["refusal"]


def test_an_example_that_the_task_cannot_read_is_no_refusal(artifact: Path) -> None:
    assert "refusal" not in probe.report(spec(artifact), [{"text": b"\xff"}])


def test_the_fastest_format_comes_with_its_reason(artifact: Path) -> None:
    found = probe.report(spec(artifact, dtype="fastest"), ROWS)
    assert found["dtype"] in ("float32", "bfloat16")
    assert found["why"]
