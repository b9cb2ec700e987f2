"""The fastest number format that is right: which ones the hardware has, when two predictions agree, and what a trial decides."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_encoders
import torch
from pyspark.sql import SparkSession
from runs import make_table, text_run

from sparkcoil import models, precision, run
from sparkcoil.engines import Placement
from sparkcoil.registry import write_model
from sparkcoil.scorer import Scorer
from sparkcoil.spec import Spec
from sparkcoil.weights import Weights

HAS_BFLOAT16 = "flags\t\t: fpu avx2 avx512_bf16 amx_tile\n"


@pytest.fixture
def cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give the machine another CPU, by the text of its /proc/cpuinfo."""

    def change(text: str) -> None:
        (tmp_path / "cpuinfo").write_text(text)
        monkeypatch.setattr(precision, "CPUINFO", tmp_path / "cpuinfo")

    return change


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"processor\t: 0\n{HAS_BFLOAT16}", "bfloat16"),
        ("flags\t\t: fpu amx_bf16\n", "bfloat16"),
        ("Features\t: fp asimd i8mm bf16\n", "bfloat16"),
        ("flags\t\t: fpu avx2 avx512f\n", None),
        ("model name\t: with avx512_bf16 in its name\nflags\t\t: fpu\n", None),
        ("", None),
    ],
)
def test_a_cpu_computes_in_bfloat16_where_its_flags_say_so(cpu: Any, text: str, expected: str | None) -> None:
    cpu(text)
    assert precision.native("cpu") == expected


def test_a_cpu_that_nothing_is_known_of_has_no_short_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "CPUINFO", tmp_path / "nowhere")
    assert precision.native("cpu") is None


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), "float16"), ((8, 0), "bfloat16"), ((9, 0), "bfloat16")])
def test_a_gpu_computes_in_bfloat16_from_ampere_on(monkeypatch: pytest.MonkeyPatch, capability: Any, expected: str) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert precision.native("cuda:0") == expected


def ranking(*scores: tuple[str, float]) -> dict[str, Any]:
    return {"label": scores[0][0], "scores": [{"label": label, "score": score} for label, score in scores]}


@pytest.mark.parametrize(
    ("exact", "short", "expected"),
    [
        ({"score": 0.5}, {"score": 0.504}, True),
        ({"score": 0.5}, {"score": 0.506}, False),
        ({"score": 0.5}, {"score": float("nan")}, False),
        ({"text": "a", "tokens": 3}, {"text": "a", "tokens": 3}, True),
        ({"text": "a"}, {"text": "b"}, False),
        ({"score": 0.5}, None, False),
        ({"start": None}, {"start": None}, True),
        ({"start": 1}, {"start": 2}, False),
        (ranking(("a", 0.5), ("b", 0.3), ("c", 0.2998)), ranking(("a", 0.5), ("c", 0.3), ("b", 0.2999)), True),
        (ranking(("a", 0.5), ("b", 0.499)), ranking(("b", 0.5), ("a", 0.499)), False),
        ([{"text": "a"}], [{"text": "a"}, {"text": "b"}], False),
        ({"vector": np.float32([0.1, 0.2])}, {"vector": np.float32([0.101, 0.199])}, True),
        ({"vector": np.float32([0.1, 0.2])}, {"vector": np.float32([0.1, 0.21])}, False),
        ({"vector": np.float32([0.1, 0.2])}, {"vector": np.float32([0.1])}, False),
        ({"vectors": [np.float32([0.1])]}, {"vectors": [np.float32([0.1])]}, True),
        ({"score": np.float32(0.5)}, {"score": np.float32(0.501)}, True),
    ],
)
def test_predictions_agree_within_the_tolerance(exact: Any, short: Any, expected: bool) -> None:
    assert precision.agrees(exact, short) is expected


def classifier(folder: Path, spread: float) -> Path:
    """Return a tiny classifier with weights of a spread, logged."""
    built = tiny_encoders.build(folder / "built", "AutoModelForSequenceClassification", initializer_range=spread) / "model"
    write_model(built, folder / "logged", task="text-classification")
    return folder / "logged"


def trial(artifact: Path, rows: list[dict[str, Any]]) -> Any:
    """Return what a trial on the CPU says."""
    weights = Weights(models.resolve(str(artifact)).digest, str(artifact), None)
    return precision.trial(Spec("text-classification", {}, Placement("cpu", "fastest"), weights, {}), rows)


ROWS = [{"text": each.encode()} for each in tiny_encoders.TEXTS]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let bfloat16 take so many times as long as float32: a tiny model's own times are chance."""

    def change(times: float) -> None:
        def seconds(scorer: Scorer, rows: Any) -> float:
            return times if scorer.spec.placement.dtype == "bfloat16" else 1.0

        monkeypatch.setattr(precision, "forward_seconds", seconds)

    return change


def test_a_trial_picks_bfloat16_where_the_cpu_has_it_the_scores_agree_and_it_is_faster(tmp_path: Path, cpu: Any, clock: Any) -> None:
    cpu(HAS_BFLOAT16)
    clock(0.5)
    found = trial(classifier(tmp_path, 0.05), ROWS)
    why = f"native on cpu, 2.0 times as fast as float32, and within 0.005 of it on {len(ROWS)} sample rows"
    assert found == {"dtype": "bfloat16", "why": why}


def test_a_trial_stays_with_float32_where_bfloat16_is_hardly_faster(tmp_path: Path, cpu: Any, clock: Any) -> None:
    cpu(HAS_BFLOAT16)
    clock(0.99)
    found = trial(classifier(tmp_path, 0.05), ROWS)
    assert found == {"dtype": "float32", "why": "bfloat16 is native on cpu, and only 1.01 times as fast on the sample rows"}


def test_both_formats_take_turns_until_one_has_had_enough(tmp_path: Path) -> None:
    weights = Weights(models.resolve(str(classifier(tmp_path, 0.05))).digest, str(tmp_path / "logged"), None)
    scorer = Scorer(Spec("text-classification", {}, Placement("cpu", "float32"), weights, {}))
    assert precision.gained(scorer, scorer, ROWS) > 0


def test_a_trial_stays_with_float32_where_the_scores_do_not_agree(tmp_path: Path, cpu: Any) -> None:
    cpu(HAS_BFLOAT16)
    found = trial(classifier(tmp_path, 0.5), ROWS)
    assert found["dtype"] == "float32"
    apart = re.fullmatch(r"bfloat16 is not within 0.005 of float32 on (\d+) of 16 sample rows that could be scored", found["why"])
    assert apart and int(apart[1]) > 0


def test_a_trial_stays_with_float32_where_no_row_could_be_scored(tmp_path: Path, cpu: Any) -> None:
    cpu(HAS_BFLOAT16)
    found = trial(classifier(tmp_path, 0.05), [{"text": None}])
    assert found == {"dtype": "float32", "why": "bfloat16 is not within 0.005 of float32 on 0 of 0 sample rows that could be scored"}


def test_a_trial_loads_nothing_where_the_hardware_has_no_short_format(tmp_path: Path, cpu: Any) -> None:
    cpu("flags\t\t: fpu\n")
    spec = Spec("text-classification", {}, Placement("cpu", "fastest"), Weights("", str(tmp_path / "nowhere"), None), {})
    assert precision.trial(spec, ROWS) == {"dtype": "float32", "why": "cpu computes in no shorter format natively"}


def test_a_run_says_which_format_was_used_and_why(spark: SparkSession, tmp_path: Path) -> None:
    make_table(spark, "precision_source", [(i, each) for i, each in enumerate(tiny_encoders.SENTENCES)])
    uri = str(classifier(tmp_path, 0.05))
    report = run(spark, text_run("-", "precision_source", "precision_scored", model={"uri": uri, "dtype": "fastest", "device": "cpu"}))
    sample = f"within 0.005 of it on {len(tiny_encoders.SENTENCES)} sample rows"
    assert report.throughput["dtype"] in ("float32", "bfloat16")
    found = report.throughput["dtype_because"]
    expected = {
        "bfloat16": f"native on cpu, [0-9.]+ times as fast as float32, and {sample}",
        "float32": "bfloat16 is native on cpu, and only .*",
    }
    expected = expected if precision.native("cpu") else {"float32": "cpu computes in no shorter format natively"}
    assert re.fullmatch(expected[report.throughput["dtype"]], found)
    assert report.rows["ok"] == len(tiny_encoders.SENTENCES)
