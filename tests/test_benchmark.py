"""The benchmark measures what it says: its rows are as described, outputs are compared, and its page shows what was measured."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"


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


def test_what_is_measured_again_takes_the_place_of_what_was_measured_before(benchmark: Any) -> None:
    for rows in (1, 2):
        benchmark.keep("kept", {"workload": "a", "rows": rows})
    benchmark.keep("kept", {"workload": "b", "rows": 3})
    kept = json.loads((benchmark.RESULTS / "kept.json").read_text())
    assert [(each["workload"], each["rows"]) for each in kept] == [("a", 2), ("b", 3)]


def test_the_page_says_how_many_times_as_long_as_ours_each_takes(benchmark: Any, tmp_path: Path) -> None:
    from benchmarks import page

    seconds = {"sparkcoil, float32": [2.0, 2.2, 2.1], "bare loop, 1024": [2.0, 2.0, 1.9], "pipeline, batch 1": [4.2, 4.1, 4.3]}
    noted = {"useful": 99, "computed": 100, "seconds": {"forward": 2.0}}
    agreement = {"equal": 1.0, "native_with_itself": 1.0}
    measured = {"workload": "w", "rows": 21, "unit": "tokens", "units": 210.0, "agreement": agreement, "seconds": seconds, "noted": noted}
    (tmp_path / "engine.json").write_text(json.dumps([{**measured, "environment": {"cpu": "some"}}]))
    page.write(tmp_path)
    written = (tmp_path / "README.md").read_text()
    assert "| pipeline, batch 1 | 4.20 (4.1 to 4.3) | 5.0 | 2.00 |" in written
    assert "R = 0.95" in written and "2.00 times as fast as the peers' best setting" in written and "padding efficiency 0.990" in written
    assert (tmp_path / "engine.svg").read_text().count("pipeline, batch 1") == 1


def test_the_page_in_docs_is_made_from_the_figures_beside_it(benchmark: Any, tmp_path: Path) -> None:
    from benchmarks import page

    kept = SCRIPTS.parent / "docs" / "benchmarks"
    for file in kept.glob("*.json"):
        (tmp_path / file.name).write_text(file.read_text())
    page.write(tmp_path)
    assert (tmp_path / "README.md").read_text() == (kept / "README.md").read_text()
