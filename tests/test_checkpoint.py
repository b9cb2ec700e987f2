"""Loading the model of an artifact: its number format, its device, its adapter, and what may not be loaded."""

import json
from pathlib import Path
from typing import Any

import peft
import pytest
import tiny_encoders
import torch
import transformers

from sparkcoil import checkpoint
from sparkcoil.engines import Placement
from sparkcoil.errors import ModelError

CLASSIFIER = "AutoModelForSequenceClassification"


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    """The folder of a tiny classifier of three labels, laid out as a logged model."""
    return tiny_encoders.build(tmp_path / "tiny", CLASSIFIER, num_labels=3)


def load(artifact: Path, dtype: str = "auto", device: str = "cpu", **given: Any) -> Any:
    """Return the classifier of an artifact."""
    return checkpoint.load_model(artifact, CLASSIFIER, Placement(device, dtype, **given))


def logits(model: Any, artifact: Path) -> torch.Tensor:
    """Return what a model says of the sentences, one at a time."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(artifact / "model")
    with torch.inference_mode():
        said = [model.eval()(**tokenizer(each, return_tensors="pt")).logits[0].float() for each in tiny_encoders.SENTENCES]
    return torch.stack(said)


def adapt(artifact: Path, **given: Any) -> Any:
    """Put a LoRA adapter that changes the scores beside an artifact's model, and return the native model with it."""
    base = transformers.AutoModelForSequenceClassification.from_pretrained(artifact / "model")
    torch.manual_seed(5)
    lora = peft.LoraConfig(task_type="SEQ_CLS", r=4, target_modules=["query", "value"], init_lora_weights=False, **given)
    adapted = peft.get_peft_model(base, lora)
    adapted.save_pretrained(artifact / "peft")
    return adapted


def configure(artifact: Path, **changes: Any) -> None:
    """Change a checkpoint's configuration."""
    file = artifact / "model" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


@pytest.mark.parametrize("given", [{}, {"use_dora": True}, {"use_rslora": True}])
def test_a_merged_adapter_gives_what_the_native_one_gives_beside_its_base(artifact: Path, given: dict[str, Any]) -> None:
    native = adapt(artifact, **given)
    assert not torch.allclose(logits(native, artifact), logits(load_base(artifact), artifact), atol=0.1)
    model = load(artifact)
    assert not isinstance(model, peft.PeftModel)
    assert torch.allclose(logits(model, artifact), logits(native, artifact), atol=1e-4)


def load_base(artifact: Path) -> Any:
    """Return the native model without its adapter."""
    return transformers.AutoModelForSequenceClassification.from_pretrained(artifact / "model")


def test_an_adapter_on_a_model_in_bfloat16_leaves_it_in_bfloat16(artifact: Path) -> None:
    native = logits(adapt(artifact), artifact)
    model = load(artifact, "bfloat16")
    assert {each.dtype for each in model.parameters()} == {torch.bfloat16}
    assert torch.allclose(logits(model, artifact).softmax(-1), native.softmax(-1), atol=0.05)


def test_a_model_without_its_head_is_refused(artifact: Path) -> None:
    config = (artifact / "model" / "config.json").read_text()
    transformers.AutoModel.from_pretrained(artifact / "model").save_pretrained(artifact / "model")
    (artifact / "model" / "config.json").write_text(config)
    with pytest.raises(ModelError, match=r"2 weights of BertForSequenceClassification are missing .* such as classifier\.bias"):
        load(artifact)


def test_an_adapters_own_head_stands_in_for_the_one_that_its_base_lacks(artifact: Path) -> None:
    native = logits(adapt(artifact), artifact)
    transformers.AutoModel.from_pretrained(artifact / "model").save_pretrained(artifact / "model")
    assert torch.allclose(logits(load(artifact), artifact), native, atol=1e-4)


def test_a_quantised_model_is_refused_without_a_gpu_before_anything_is_loaded(artifact: Path) -> None:
    configure(artifact, quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True})
    (artifact / "model" / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"quantised \(bitsandbytes\), which needs a GPU, and none is seen here"):
        load(artifact)


@pytest.mark.parametrize("asked", ["eager", "sdpa"])
def test_the_attention_that_is_asked_for_is_used(artifact: Path, asked: str) -> None:
    assert load(artifact, attn_implementation=asked).config._attn_implementation == asked


def test_labels_of_the_run_files_own_are_the_models(artifact: Path) -> None:
    model = load(artifact, load_kwargs={"id2label": {0: "red", 1: "green", 2: "blue"}})
    assert (model.config.id2label, model.config.num_labels) == ({0: "red", 1: "green", 2: "blue"}, 3)


def test_a_number_of_labels_that_the_weights_do_not_have_is_not_made_up(artifact: Path) -> None:
    assert load(artifact, load_kwargs={"num_labels": 3}).config.num_labels == 3
    with pytest.raises((ModelError, RuntimeError), match=r"mismatch|random"):
        load(artifact, load_kwargs={"num_labels": 5})


def test_a_placed_model_is_not_moved_again(artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moves: list[Any] = []
    monkeypatch.setattr(transformers.BertForSequenceClassification, "to", lambda self, *to: moves.append(to) or self)
    model = load(artifact, device="meta", load_kwargs={"device_map": "cpu"})
    assert (moves, str(model.device)) == ([], "cpu")
    load(artifact)
    assert moves == [("cpu",)]


@pytest.mark.parametrize("saved", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("asked", ["auto", "float32", "bfloat16"])
def test_the_number_format_is_the_one_asked_for_and_otherwise_as_saved(artifact: Path, saved: str, asked: str) -> None:
    load_base(artifact).to(getattr(torch, saved)).save_pretrained(artifact / "model")
    model = load(artifact, asked)
    assert {each.dtype for each in model.parameters()} == {getattr(torch, saved if asked == "auto" else asked)}
    assert not model.training


def test_pickled_weights_are_loaded_only_where_they_are_trusted(artifact: Path) -> None:
    torch.save(load_base(artifact).state_dict(), artifact / "model" / "pytorch_model.bin")
    (artifact / "model" / "model.safetensors").unlink()
    with pytest.raises(OSError, match="safetensors"):
        load(artifact)
    assert load(artifact, trust=("pickle",)).config.num_labels == 3
