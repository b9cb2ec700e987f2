"""The benchmark measures what it says: its rows are as described, outputs are compared, and its page shows what was measured."""

import json
import math
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"

pytestmark = pytest.mark.long("scripts")


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The script as a module, whose models are made in a folder of the test."""
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(SCRIPTS)
        import benchmark

        patched.setattr(benchmark, "CACHE", tmp_path_factory.mktemp("benchmark"))
        patched.setattr(benchmark, "RESULTS", tmp_path_factory.mktemp("results"))
        yield benchmark
        for name in [each for each in sys.modules if each.partition(".")[0] in ("benchmark", "benchmarks")]:
            del sys.modules[name]


def test_tickets_are_to_forty_in_a_hundred_like_another(benchmark: Any) -> None:
    from benchmarks import texts

    drawn = texts.tickets(1_000)
    assert len(drawn) == 1_000 and len({*drawn}) == 600
    assert drawn == texts.tickets(1_000)


def test_one_text_in_64_is_long(benchmark: Any) -> None:
    from benchmarks import texts

    lengths = [len(each.split()) for each in texts.skewed(128)]
    assert sorted(lengths)[-2:] == [320, 320] and sorted(lengths)[-3] == 5


def test_chats_have_some_180_tokens_in_common_with_those_of_their_template(benchmark: Any) -> None:
    from benchmarks import texts

    tokenizer = texts.tokenizer()
    first, _, _, fourth = (tokenizer(each, add_special_tokens=False)["input_ids"] for each in texts.chats(4))
    common = next(i for i, (a, b) in enumerate(zip(first, fourth, strict=False)) if a != b)
    assert 170 <= common <= 190


def test_a_workload_is_timed_for_everyone_after_outputs_were_compared(benchmark: Any) -> None:
    workload = benchmark.WORKLOADS["reviews, BERT-mini"]
    found = benchmark.beside(workload, benchmark.logged(workload), "cpu", "bfloat16", 2, workload.rows(3))
    exact, short = found["agreement"]["ours"].values()
    assert exact["equal"] == 1.0 and exact["largest_difference"] < 1e-5 < short["largest_difference"] < 5e-3
    assert {name.partition(",")[0] for name in found["seconds"]} == {"sparkcoil", "bare loop", "pipeline"}
    assert {len(each) for each in found["seconds"].values()} == {2}
    noted = found["noted"]["sparkcoil, float32"]
    assert noted["computed_rows"] == 3 and noted["useful"] <= noted["computed"]


def test_outputs_that_disagree_end_a_workload_before_anything_is_timed(benchmark: Any) -> None:
    from benchmarks import held

    def halved(prediction: Any) -> dict[str, float]:
        return {each["label"]: each["score"] / 2 for each in prediction["scores"]}

    workload = replace(benchmark.WORKLOADS["reviews, BERT-mini"], of_ours=halved)
    with pytest.raises(held.Disagreement, match=r"^row 0 is 1\.\de-01 apart, where 1e-04 is allowed$"):
        benchmark.beside(workload, benchmark.logged(workload), "cpu", "float32", 1, workload.rows(2))


def test_a_disagreement_names_the_row_and_not_its_content(benchmark: Any) -> None:
    from benchmarks import held

    with pytest.raises(held.Disagreement, match=r"^50.0% of texts differ where 0.0% may, the first in row 1, from character 2 on$"):
        held.held(["same", "oak"], ["same", "oat"], 1e-4)
    with pytest.raises(held.Disagreement, match=r"^row 1 is nan apart"):
        held.held([{"a": 0.5}, {"a": float("nan")}], [{"a": 0.5}, {"a": 0.5}], 1e-4)


def test_texts_may_differ_in_the_share_in_which_the_native_pipeline_differs_with_itself(benchmark: Any) -> None:
    from benchmarks import held

    assert held.held(["same", "oak"], ["same", "oat"], 1e-4, texts_apart=0.5) == {"equal": 0.5}


def test_another_label_counts_only_where_our_best_scores_are_apart(benchmark: Any) -> None:
    from benchmarks import held

    assert held.labels_held([{"a": 0.5001, "b": 0.4999}, {"a": 0.8, "b": 0.2}], ["b", "b"], 5e-3) == 0.5


def test_labels_of_zero_shot_are_apart(benchmark: Any) -> None:
    workload = benchmark.WORKLOADS["zero-shot of ten labels, BERT-mini"]
    found = benchmark.beside(workload, benchmark.logged(workload), "cpu", "float32", 1, workload.rows(3))
    assert found["agreement"]["ours"]["sparkcoil, float32"]["equal"] == 1.0


def test_embeddings_are_those_of_sentence_transformers(benchmark: Any) -> None:
    workload = benchmark.WORKLOADS["embeddings of tickets, MiniLM"]
    found = benchmark.beside(workload, benchmark.logged(workload), "cpu", "float32", 1, workload.rows(3))
    agreed = found["agreement"]["ours"]["sparkcoil, float32"]
    assert agreed["equal"] == 1.0 and agreed["smallest_cosine"] > 0.99999
    assert "sentence-transformers, batch 32" in found["seconds"]


def test_what_is_measured_again_takes_the_place_of_what_was_measured_before(benchmark: Any) -> None:
    for rows in (1, 2):
        benchmark.keep("kept", {"workload": "a", "rows": rows})
    benchmark.keep("kept", {"workload": "b", "rows": 3})
    kept = json.loads((benchmark.RESULTS / "kept.json").read_text())
    assert [(each["workload"], each["rows"]) for each in kept] == [("a", 2), ("b", 3)]


ENGINE = {
    "workload": "reviews, MiniLM",
    "rows": 21,
    "unit": "tokens",
    "units": 210.0,
    "agreement": {"ours": {"sparkcoil, float32": {"equal": 1.0, "largest_difference": 1e-7}}, "native_with_itself": 1.0},
    "seconds": {
        "sparkcoil, float32": [2.0, 2.2, 2.1],
        "sparkcoil, bfloat16": [1.0, 1.0, 1.0],
        "bare loop, float32, 1024": [1.89, 2.0, 1.8],
        "bare loop, bfloat16, 1024": [0.8, 0.8, 0.8],
        "pipeline, batch 1": [4.2, 4.1, 4.3],
        "pipeline, batch 8": [3.15, 3.2, 3.1],
    },
    "noted": {"sparkcoil, float32": {"useful": 99, "computed": 100, "seconds": {"forward": 2.0}}},
    "environment": {"cpu": "some"},
}
NOTED = {
    "padding_efficiency": 0.9,
    "worker_seconds": {"load": 5.0, "read": 1.0, "forward": 9.0, "write": 0.0},
    "seconds": {"score": 6.25, "total": 8.0},
}
JOB = {
    "workload": "reviews, MiniLM, 1 file",
    "rows": 21,
    "agreement": {"equal": 1.0, "largest_difference": 1e-3},
    "others": {"plain spark_udf": 0.25},
    "seconds": {
        "sparkcoil, float32": [8.0],
        "sparkcoil, fastest": [4.0],
        "plain spark_udf": [12.0],
        "pandas UDF, batch 8": [9.0],
        "bare loop, 1 of one thread": [8.0],
        "bare loop, 2 of one thread": [4.0],
        "Daft, batch 1": "not installed",
    },
    "factors": {"padding efficiency": 0.9, "kernel": 0.9},
    "two_executors": 0.64,
    "noted": {"sparkcoil, float32": NOTED},
    "environment": {"cpu": "some"},
}
SMALLER = [
    {
        "workload": "partitions and skew",
        "runs": {"tickets, 2 partitions": {**NOTED, "units_per_second": 7}},
        "environment": {"cpu": "some"},
    },
    {"workload": "growth and small runs", "seconds": {"10 rows": {"total": 1.5, "score": 1.25}}, "environment": {"cpu": "some"}},
    {"workload": "memory", "mebibytes": {"plain spark_udf": 1234}, "environment": {"cpu": "some"}},
]


def page_of(folder: Path, **measured: Any) -> str:
    """The page made of figures that a test made up."""
    from benchmarks import page

    for name, each in measured.items():
        (folder / f"{name}.json").write_text(json.dumps(each))
    page.write(folder)
    return (folder / "README.md").read_text()


def test_the_page_begins_with_r_and_the_speed_over_peers_in_each_format(benchmark: Any, tmp_path: Path) -> None:
    written = page_of(tmp_path, engine=[ENGINE], spark=[JOB])
    first = written[: written.index("## Targets")]
    assert "| reviews, MiniLM | 21 | float32 | 0.90 | 2.00 | 1.50 |" in first
    assert "| reviews, MiniLM | 21 | bfloat16 | 0.80 | 4.20 | 3.15 |" in first
    assert "| reviews, MiniLM, 1 file | 21 | fastest |  | 3.00 | 2.25 |" in first


def test_the_page_has_everyone_who_was_timed_and_who_did_not_run(benchmark: Any, tmp_path: Path) -> None:
    written = page_of(tmp_path, engine=[ENGINE], spark=[JOB])
    assert "| pipeline, batch 1 | 4.20 (4.1 to 4.3) | 5.0 | 2.00 |" in written and "padding efficiency 0.990" in written
    assert "| Daft, batch 1 | did not run: not installed | | |" in written and "plain spark_udf 25.0%" in written
    assert (tmp_path / "engine.svg").read_text().count("pipeline, batch 1") == 1


def test_the_page_says_which_targets_are_met_and_missed(benchmark: Any, tmp_path: Path) -> None:
    written = page_of(tmp_path, engine=[ENGINE], spark=[JOB])
    assert f"{written.count(': met.')} of {written.count(' was aimed at: ')} are met." in written
    assert "- reviews, MiniLM: R is 0.90, at least 0.93 was aimed at: **missed**." in written
    assert "the speed of `fastest` over plain `spark_udf` is 3.00, at least 2.5 was aimed at: met." in written
    assert "scoring on two executors over two bare loops is 0.64, at least 0.95 was aimed at: **missed**." in written


def test_the_page_has_growth_partitions_and_memory(benchmark: Any, tmp_path: Path) -> None:
    written = page_of(tmp_path, spark=[JOB, *SMALLER])
    assert "| tickets, 2 partitions | 8.00 | 6.25 | 0.9 | 7 |" in written
    assert "| 10 rows | 1.50 | 1.25 |" in written and "| plain spark_udf | 1,234 |" in written


def test_the_page_says_that_outputs_disagree(benchmark: Any, tmp_path: Path) -> None:
    apart = {"workload": "w", "disagreement": "row 3 is 1e-01 apart", "environment": {"cpu": "some"}}
    written = page_of(tmp_path, engine=[apart, ENGINE])
    assert "| w | | not timed, since outputs disagree | | | |" in written and "Not timed: row 3 is 1e-01 apart." in written


def test_the_product_of_the_factors_is_r(benchmark: Any) -> None:
    from benchmarks.factors import factors

    found = factors(4.0, NOTED["seconds"], NOTED)
    assert math.prod(found.values()) == pytest.approx(4.0 / 8.0)
    assert found["feed"] == 0.9 and found["balance"] == 10 / 2 / 6.25


def test_the_page_in_docs_is_made_from_the_figures_beside_it(benchmark: Any, tmp_path: Path) -> None:
    from benchmarks import page

    kept = SCRIPTS.parent / "docs" / "benchmarks"
    for file in kept.glob("*.json"):
        (tmp_path / file.name).write_text(file.read_text())
    page.write(tmp_path)
    assert (tmp_path / "README.md").read_text() == (kept / "README.md").read_text()
