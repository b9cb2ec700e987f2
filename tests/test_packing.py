"""What of a checkpoint directory goes into an artifact, and what of an artifact counts as the model."""

import json
from pathlib import Path
from typing import Any

import pytest
import tiny_encoders

from sparkcoil import digest, gate, packing
from sparkcoil.errors import ModelError
from sparkcoil.registry import write_model


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    """A tiny classifier as log_model writes it."""
    built = tiny_encoders.build(tmp_path / "tiny", "AutoModelForSequenceClassification")
    write_model(built / "model", tmp_path / "logged", task="text-classification")
    return tmp_path / "logged"


def names(folder: Path) -> list[str]:
    """Return the files that are taken of a folder, by name."""
    return sorted(str(each.relative_to(folder)) for each in packing.carried(folder))


def test_the_layers_of_a_sentence_transformers_model_are_taken_along(tmp_path: Path) -> None:
    modules = [{"path": "", "type": "x.Transformer"}, {"path": "1_Pooling", "type": "x.Pooling"}, {"path": "../secret", "type": "x.Dense"}]
    (tmp_path / "model" / "1_Pooling").mkdir(parents=True)
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "config.json").write_text("{}")
    (tmp_path / "model" / "1_Pooling" / "config.json").write_text("{}")
    (tmp_path / "model" / "modules.json").write_text(json.dumps(modules))
    assert names(tmp_path / "model") == ["1_Pooling/config.json", "modules.json"]


def test_a_component_is_told_from_another_that_is_written_to_the_same_file(tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text('{"image_processor_type": "ViTImageProcessor"}')
    found = {part: packing.part_class(part, tmp_path) for part in packing.PARTS}
    assert found == {"tokenizer": None, "feature_extractor": None, "image_processor": "ViTImageProcessor"}


def test_a_class_that_transformers_does_not_have_is_left_to_its_auto_class(tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "EvilTokenizer"}')
    assert packing.part_class("tokenizer", tmp_path) == "PreTrainedTokenizerFast"


def test_the_artifact_names_the_packages_that_its_pyfunc_imports(artifact: Path) -> None:
    lines = (artifact / "requirements.txt").read_text().splitlines()
    assert {"mlflow", "transformers", "torch", "pydantic", "pyspark"} <= {line.split("==")[0] for line in lines}
    assert all(line.count("==") == 1 for line in lines)


@pytest.mark.parametrize(
    ("config", "needed"),
    [
        ({"backbone_config": {"model_type": "timm_backbone"}}, True),
        ({"backbone": "resnet50", "use_timm_backbone": True}, True),
        ({"backbone": None, "use_timm_backbone": False}, False),
    ],
)
def test_a_backbone_of_timm_is_a_package_that_is_named(tmp_path: Path, config: dict[str, Any], needed: bool) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config, indent=2))
    folders = {"model": tmp_path, "components/image_processor": tmp_path}
    found = packing.requirements(packing.Package("model", folders, {"instance_type": "ObjectDetectionPipeline"}, {}))
    assert any(each.startswith("timm==") for each in found) == needed


def test_bytecode_that_python_wrote_beside_the_library_changes_no_digest_and_is_no_code_of_the_models(artifact: Path) -> None:
    before = digest.of_folder(artifact)
    for place in ("code/sparkcoil", "code/sparkcoil/tasks"):
        (artifact / place / "__pycache__").mkdir()
        (artifact / place / "__pycache__" / "errors.cpython-311.pyc").write_bytes(b"\x00")
    gate.check(artifact, "ours")
    assert digest.of_folder(artifact) == before


@pytest.mark.parametrize("place", ["model/__pycache__", "__pycache__", "code/other/__pycache__"])
def test_bytecode_anywhere_else_is_still_refused_and_counts(artifact: Path, place: str) -> None:
    before = digest.of_folder(artifact)
    (artifact / place).mkdir(parents=True)
    (artifact / place / "errors.cpython-311.pyc").write_bytes(b"\x00")
    with pytest.raises(ModelError, match="is code of the model's own"):
        gate.check(artifact, "ours")
    assert digest.of_folder(artifact) != before
