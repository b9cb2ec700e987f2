"""The order in which logged settings and a run's are joined, from hand-made MLmodel files."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from sparkcoil import options, tasks
from sparkcoil.agreement import check_inputs, task_problems
from sparkcoil.artifact import LoggedModel
from sparkcoil.errors import ConfigError, ModelError

SUMMARIES = tasks.load("summarization")


def logged(
    folder: Path,
    *,
    task: str = "summarization",
    generation: dict[str, Any] | None = None,
    config: dict[str, Any] | None = None,
    model_config: dict[str, Any] | None = None,
    signature: dict[str, Any] | None = None,
    notes: dict[str, Any] | None = None,
) -> LoggedModel:
    """Return a model whose folder holds settings at the given levels, and nothing else."""
    (folder / "model").mkdir()
    (folder / "model" / "config.json").write_text(json.dumps(config or {}))
    (folder / "model" / "generation_config.json").write_text(json.dumps(generation or {}))
    params = [{"name": name, "type": "long", "default": value, "shape": None} for name, value in (signature or {}).items()]
    flavors = {"transformers": {"task": task}, "python_function": {"config": model_config}}
    written = {"flavors": flavors, "signature": {"params": json.dumps(params)}, "metadata": notes}
    (folder / "MLmodel").write_text(yaml.safe_dump(written))
    return LoggedModel("models:/m/1", "1", folder)


def test_without_anything_logged_the_defaults_hold(tmp_path: Path) -> None:
    effective = options.resolve(logged(tmp_path), SUMMARIES, {})
    assert effective.options == SUMMARIES.options()
    assert effective.origins == {}


def test_each_level_goes_above_the_one_before_it(tmp_path: Path) -> None:
    model = logged(
        tmp_path,
        generation={"max_new_tokens": 1, "num_beams": 1, "length_penalty": 1.0, "no_repeat_ngram_size": 1},
        model_config={"max_new_tokens": 2, "num_beams": 2, "length_penalty": 2.0},
        signature={"max_new_tokens": 3, "num_beams": 3},
    )
    effective = options.resolve(model, SUMMARIES, {"max_new_tokens": 4})
    values = effective.options.model_dump()
    assert [values[name] for name in ("max_new_tokens", "num_beams", "length_penalty", "no_repeat_ngram_size")] == [4, 3, 2.0, 1]
    assert effective.origins == {
        "max_new_tokens": "run file",
        "num_beams": "signature",
        "length_penalty": "model config",
        "no_repeat_ngram_size": "generation config",
    }


def test_an_option_puts_its_rivals_of_lower_levels_out(tmp_path: Path) -> None:
    effective = options.resolve(logged(tmp_path, generation={"max_length": 20}), SUMMARIES, {"max_new_tokens": 50})
    assert (effective.options.max_length, effective.options.max_new_tokens) == (None, 50)
    assert effective.origins == {"max_new_tokens": "run file"}


def test_a_checkpoint_says_what_it_wants_for_a_task(tmp_path: Path) -> None:
    special = {
        "task_specific_params": {"summarization": {"prefix": "summarize: ", "num_beams": 4}, "translation_en_to_de": {"prefix": "x"}}
    }
    effective = options.resolve(logged(tmp_path, config=special, generation={"num_beams": 2}), SUMMARIES, {})
    assert (effective.options.prefix, effective.options.num_beams) == ("summarize: ", 4)


def test_the_name_of_a_task_implies_its_languages(tmp_path: Path) -> None:
    task = tasks.load("translation_en_to_de")
    effective = options.resolve(logged(tmp_path, task="translation_en_to_de"), task, {"tgt_lang": "fr"})
    assert (effective.options.src_lang, effective.options.tgt_lang) == ("en", "fr")
    assert effective.origins == {"src_lang": "task name", "tgt_lang": "run file"}


def test_a_checkpoint_that_samples_is_greedy_unless_asked(tmp_path: Path) -> None:
    model = logged(tmp_path, task="text-generation", generation={"do_sample": True, "temperature": 0.6, "top_p": 0.9})
    task = tasks.load("text-generation")
    assert not options.resolve(model, task, {}).options.samples()
    assert options.resolve(model, task, {"do_sample": True}).options.samples()


def test_generation_settings_are_not_options_of_a_classifier(tmp_path: Path) -> None:
    model = logged(tmp_path, task="text-classification", generation={"top_k": 50})
    assert options.resolve(model, tasks.load("text-classification"), {}).options.top_k is None


def test_logged_settings_that_are_no_options_are_listed(tmp_path: Path) -> None:
    model = logged(tmp_path, model_config={"batch_size": 8, "device": 0}, signature={"include_prompt": 1})
    assert options.resolve(model, SUMMARIES, {}).ignored == {
        "batch_size": "model config",
        "device": "model config",
        "include_prompt": "signature",
    }


def test_a_prompt_template_is_an_option(tmp_path: Path) -> None:
    model = logged(tmp_path, task="text-generation", notes={"prompt_template": "Answer: {prompt}"})
    assert options.resolve(model, tasks.load("text-generation"), {}).options.prompt_template == "Answer: {prompt}"


def test_a_null_default_is_no_value(tmp_path: Path) -> None:
    assert options.resolve(logged(tmp_path, signature={"max_new_tokens": None}), SUMMARIES, {}).origins == {}


def test_a_logged_value_that_no_option_takes_is_refused_with_its_home(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="models:/m/1: its model config cannot be used: num_beams"):
        options.resolve(logged(tmp_path, model_config={"num_beams": -1}), SUMMARIES, {})


def test_a_wrong_value_of_the_run_file_is_its_own_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="num_beams"):
        options.resolve(logged(tmp_path), SUMMARIES, {"num_beams": -1})


def test_an_unreadable_signature_is_refused(tmp_path: Path) -> None:
    model = logged(tmp_path)
    model.metadata["signature"]["params"] = "[1]"
    with pytest.raises(ModelError, match="the params of its signature cannot be read"):
        options.resolve(model, SUMMARIES, {})


def test_no_label_as_an_option_is_as_none_given(tmp_path: Path) -> None:
    model, task = logged(tmp_path, task="zero-shot-classification"), tasks.load("zero-shot-classification")
    for empty in ([], "", ()):
        assert "candidate_labels" not in options.resolve(model, task, {"candidate_labels": empty}).origins
        run = {"task": task.name, "model": {"options": {"candidate_labels": empty}}, "source": {"columns": {"text": "body"}}}
        assert [*task_problems(run)] == []  # labels may have been logged with the model
        with pytest.raises(ConfigError, match="zero-shot-classification needs one of candidate_labels"):
            check_inputs("run", task, {"text": "body"}, options.resolve(model, task, {"candidate_labels": empty}).origins)
    assert options.resolve(model, task, {"candidate_labels": ["rain"]}).origins == {"candidate_labels": "run file"}
