"""What an artifact may hold: hostile ones are refused by name before anything of them runs, and leave no trace."""

import contextlib
import io
import json
import os
import pickle
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from sparkcoil import gate
from sparkcoil.errors import ModelError

URI = "models:/suspect/1"
FLAVORS: dict[str, Any] = {
    "python_function": {"loader_module": "mlflow.transformers", "env": {"conda": "conda.yaml"}, "code": None},
    "transformers": {
        "components": ["tokenizer"],
        "framework": "pt",
        "model_binary": "model",
        "source_model_name": "/home/someone/checkpoint",
        "task": "text-classification",
        "code": None,
    },
}
HUB_ADAPTER = {
    "peft_type": "LORA",
    "base_model_name_or_path": "/data/base",
    "auto_mapping": {"base_model_class": "BertModel", "parent_library": "transformers.models.bert.modeling_bert"},
    "megatron_core": "megatron.core",
    "megatron_config": None,
    "layer_replication": None,
    "prompt_tuning_init_state_dict_path": None,
}


class Payload:
    """A pickle of this writes the canary when it is loaded."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.canary,)


def torch_zip(payload: bytes) -> bytes:
    """A payload inside a zip, as torch.save writes it."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("archive/data.pkl", payload)
    return content.getvalue()


def source(canary: Path) -> str:
    """Code that writes the canary when it is imported."""
    return f"from pathlib import Path\nPath({str(canary)!r}).touch()\n"


def put(artifact: Path, name: str, content: Any) -> None:
    """Write a file of the artifact: bytes and texts as they are, data as JSON, or as YAML in the MLmodel file."""
    path = artifact / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if not isinstance(content, bytes | str):
        content = yaml.safe_dump(content) if name == "MLmodel" else json.dumps(content)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def put_flavors(artifact: Path, flavor: str, **changed: Any) -> None:
    put(artifact, "MLmodel", {"flavors": {**FLAVORS, flavor: {**FLAVORS[flavor], **changed}}})


def make(artifact: Path) -> Path:
    """A sound artifact of a few hundred bytes."""
    put(artifact, "MLmodel", {"artifact_path": f"file://{artifact}", "flavors": FLAVORS, "metadata": {"data": "s3://bucket/rows"}})
    put(artifact, "conda.yaml", "name: env")
    put(artifact, "input_example.json", {"columns": ["auto_map"], "data": [["../x"]], "auto_map": "a column"})
    put(artifact, "model/config.json", {"architectures": ["BertModel"], "label2id": {"auto_map": 0}, "_attn_implementation": "sdpa"})
    put(artifact, "model/model.safetensors.index.json", {"weight_map": {"weight": "model.safetensors"}})
    put(artifact, "components/tokenizer/tokenizer.json", {"model": {"vocab": {"auto_map": 7}}})
    put(artifact, "components/tokenizer/tokenizer_config.json", {"name_or_path": "/a/b", "special_tokens_map_file": "/a/b.json"})
    put(artifact, "components/tokenizer/vocab.json", {"auto_map": 7})
    put(artifact, "components/tokenizer/chat_template.jinja", "{{ messages }}")
    put(artifact, "peft/adapter_config.json", HUB_ADAPTER)
    save_file({"weight": np.ones(3, dtype=np.float32)}, artifact / "model" / "model.safetensors")
    save_file({"lora": np.ones(3, dtype=np.float32)}, artifact / "peft" / "adapter_model.safetensors")
    return artifact


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return make(tmp_path / "artifact")


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "canary"


def refusal(artifact: Path, *trust: str) -> str:
    """The sentence that an artifact is refused with."""
    with pytest.raises(ModelError) as caught:
        gate.check(artifact, URI, trust)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Each hostile artifact: what it does to a sound one, given the canary that its payload writes; and the file to be named.


def pickle_in_bin(artifact: Path, canary: Path) -> str:
    put(artifact, "model/pytorch_model.bin", torch_zip(pickle.dumps(Payload(canary))))
    return "model/pytorch_model.bin"


def pickle_of_the_trainer(artifact: Path, canary: Path) -> str:
    put(artifact, "model/training_args.bin", pickle.dumps(Payload(canary)))
    return "model/training_args.bin"


def pickle_named_safetensors(artifact: Path, canary: Path) -> str:
    put(artifact, "model/model.safetensors", pickle.dumps(Payload(canary)))
    return "model/model.safetensors"


def torch_zip_named_safetensors(artifact: Path, canary: Path) -> str:
    put(artifact, "model/model-00002-of-00002.safetensors", torch_zip(pickle.dumps(Payload(canary))))
    return "model/model-00002-of-00002.safetensors"


def pickle_named_text(artifact: Path, canary: Path) -> str:
    put(artifact, "components/tokenizer/vocab.txt", pickle.dumps(Payload(canary)))
    return "components/tokenizer/vocab.txt"


def pickle_in_a_numpy_file(artifact: Path, canary: Path) -> str:
    np.save(artifact / "model" / "speaker.npy", np.array([Payload(canary)], dtype=object), allow_pickle=True)
    return "model/speaker.npy"


def python_model(artifact: Path, canary: Path) -> str:
    put(artifact, "python_model.pkl", pickle.dumps(Payload(canary)))
    return "python_model.pkl"


def pickle_in_an_adapter(artifact: Path, canary: Path) -> str:
    put(artifact, "peft/adapter_model.bin", torch_zip(pickle.dumps(Payload(canary))))
    return "peft/adapter_model.bin"


def modeling_file(artifact: Path, canary: Path) -> str:
    put(artifact, "model/config.json", {"auto_map": {"AutoModel": "modeling_canary.Model"}})
    put(artifact, "model/modeling_canary.py", source(canary))
    return "model/config.json"


def modeling_file_spelled_otherwise(artifact: Path, canary: Path) -> str:
    put(artifact, "model/config.json", '{"text_config": {"auto\\u005fmap": {"AutoModel": "modeling_canary.Model"}}}')
    put(artifact, "model/modeling_canary.py", source(canary))
    return "model/config.json"


def tokenizer_file(artifact: Path, canary: Path) -> str:
    put(artifact, "components/tokenizer/tokenization_canary.py", source(canary))
    put(artifact, "components/tokenizer/tokenizer_config.json", {"auto_map": {"AutoTokenizer": [None, "tokenization_canary.Fast"]}})
    return "components/tokenizer/tokenization_canary.py"


def compiled_module(artifact: Path, canary: Path) -> str:
    put(artifact, "model/__pycache__/modeling_canary.cpython-311.pyc", source(canary))
    return "model/__pycache__/modeling_canary.cpython-311.pyc"


def code_path(artifact: Path, canary: Path) -> str:
    put(artifact, "code/canary_module.py", source(canary))
    put_flavors(artifact, "python_function", code="code")
    return "code/canary_module.py"


def foreign_loader(artifact: Path, canary: Path) -> str:
    put(artifact.parent, "elsewhere/canary_loader.py", source(canary))
    sys.path.insert(0, str(artifact.parent / "elsewhere"))
    put_flavors(artifact, "python_function", loader_module="canary_loader")
    return "MLmodel"


def linked_file(artifact: Path, canary: Path) -> str:
    put(artifact.parent, "outside/evil.json", {"auto_map": {"AutoModel": "evil.Model"}})
    (artifact / "model" / "generation_config.json").symlink_to(artifact.parent / "outside" / "evil.json")
    return "model/generation_config.json"


def linked_folder(artifact: Path, canary: Path) -> str:
    put(artifact.parent, "outside/modeling_canary.py", source(canary))
    (artifact / "components" / "processor").symlink_to("../../outside")
    return "components/processor"


def climbing_shards(artifact: Path, canary: Path) -> str:
    put(artifact.parent, "evil.bin", torch_zip(pickle.dumps(Payload(canary))))
    put(artifact, "model/model.safetensors.index.json", {"weight_map": {"weight": "../../evil.bin"}})
    return "model/model.safetensors.index.json"


def custom_generate(artifact: Path, canary: Path) -> str:
    put(artifact, "model/custom_generate/generate.py", source(canary))
    return "model/custom_generate/generate.py"


def yaml_tag(artifact: Path, canary: Path) -> str:
    put(artifact, "MLmodel", f"flavors: !!python/object/apply:os.mkdir [{str(canary)!r}]")
    return "MLmodel"


def adapter_library(artifact: Path, canary: Path) -> str:
    put(artifact.parent, "elsewhere/canary_library.py", source(canary))
    sys.path.insert(0, str(artifact.parent / "elsewhere"))
    put(artifact, "peft/adapter_config.json", {"auto_mapping": {"parent_library": "canary_library", "base_model_class": "Model"}})
    return "peft/adapter_config.json"


def megatron_library(artifact: Path, canary: Path) -> str:
    put(artifact, "peft/adapter_config.json", {"megatron_core": "canary_library", "megatron_config": {"x": 1}})
    return "peft/adapter_config.json"


def adapter_state(artifact: Path, canary: Path) -> str:
    put(artifact.parent, "evil", torch_zip(pickle.dumps(Payload(canary))))
    put(artifact, "peft/adapter_config.json", {"prompt_tuning_init_state_dict_path": str(artifact.parent / "evil")})
    return "peft/adapter_config.json"


HOSTILE: list[Callable[[Path, Path], str]] = [
    pickle_in_bin,
    pickle_of_the_trainer,
    pickle_named_safetensors,
    torch_zip_named_safetensors,
    pickle_named_text,
    pickle_in_a_numpy_file,
    python_model,
    pickle_in_an_adapter,
    modeling_file,
    modeling_file_spelled_otherwise,
    tokenizer_file,
    compiled_module,
    code_path,
    foreign_loader,
    linked_file,
    linked_folder,
    climbing_shards,
    custom_generate,
    yaml_tag,
    adapter_library,
    megatron_library,
    adapter_state,
]
LIFTED = {
    "pickle": {pickle_in_bin, pickle_of_the_trainer, pickle_in_an_adapter},
    "remote_code": {
        *(modeling_file, modeling_file_spelled_otherwise, tokenizer_file, compiled_module, custom_generate),
        *(code_path, foreign_loader, adapter_library, megatron_library),
    },
}


def test_a_sound_artifact_passes(artifact: Path) -> None:
    assert gate.check(artifact, URI) == ()


@pytest.mark.parametrize("spoil", HOSTILE, ids=lambda spoil: spoil.__name__)
def test_a_hostile_artifact_is_refused_by_name_and_leaves_no_trace(
    spoil: Callable[[Path, Path], str], artifact: Path, canary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    named = spoil(artifact, canary)
    modules = set(sys.modules)
    assert refusal(artifact).startswith(f"model.uri: {URI}: {named} ")
    assert not canary.exists()
    assert not {name for name in set(sys.modules) - modules if "canary" in name}


@pytest.mark.parametrize("word", gate.TRUST)
@pytest.mark.parametrize("spoil", HOSTILE, ids=lambda spoil: spoil.__name__)
def test_each_word_of_trust_lifts_exactly_its_own(
    spoil: Callable[[Path, Path], str], word: str, artifact: Path, canary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    named = spoil(artifact, canary)
    if spoil not in LIFTED[word]:
        assert named in refusal(artifact, word)
    else:
        lifted = gate.check(artifact, URI, [word])
        assert any(named in sentence for sentence in lifted)
        assert all(sentence.endswith(f"; let through by model.trust: [{word}]") for sentence in lifted)
    assert not canary.exists()


def test_the_payloads_do_leave_a_trace_where_they_run(canary: Path, tmp_path: Path, artifact: Path) -> None:
    pickle.loads(pickle.dumps(Payload(canary)))
    assert canary.exists()
    canary.unlink()
    exec(source(canary))
    assert canary.exists()
    canary.unlink()
    yaml_tag(artifact, canary)
    yaml.unsafe_load((artifact / "MLmodel").read_text())
    assert canary.exists()


def test_the_sentence_says_what_to_do(artifact: Path, canary: Path) -> None:
    pickle_in_bin(artifact, canary)
    assert refusal(artifact) == (
        f"model.uri: {URI}: model/pytorch_model.bin may run code when loaded (a pickle); "
        "save the model as safetensors, or allow it with model.trust: [pickle]"
    )


def test_both_words_lift_both(artifact: Path, canary: Path) -> None:
    pickle_in_bin(artifact, canary)
    modeling_file(artifact, canary)
    assert gate.check(artifact, URI, gate.TRUST) == (
        "model/config.json points to code of the model's own (auto_map); let through by model.trust: [remote_code]",
        "model/modeling_canary.py is code of the model's own; let through by model.trust: [remote_code]",
        "model/pytorch_model.bin may run code when loaded (a pickle); let through by model.trust: [pickle]",
    )
    assert "model/pytorch_model.bin" in refusal(artifact, "remote_code")


def test_nothing_is_read_from_a_pipe(artifact: Path) -> None:
    os.mkfifo(artifact / "model" / "generation_config.json")
    pipe = os.open(artifact / "model" / "generation_config.json", os.O_RDWR | os.O_NONBLOCK)
    os.write(pipe, b"waiting")
    assert "model/generation_config.json is a pipe, a socket or a device" in refusal(artifact, *gate.TRUST)
    assert os.read(pipe, 100) == b"waiting"
    os.close(pipe)


def test_links_inside_the_artifact_are_followed_and_judged(artifact: Path) -> None:
    (artifact / "base").symlink_to("model")
    (artifact / "peft" / "config.json").symlink_to("../model/config.json")
    assert gate.check(artifact, URI) == ()
    put(artifact, "model/notes.txt", json.dumps({"auto_map": {"AutoModel": "x.Y"}}))
    (artifact / "peft" / "settings.json").symlink_to("../model/notes.txt")
    assert "peft/settings.json points to code of the model's own (auto_map)" in refusal(artifact)


def test_a_loop_of_links_is_refused(artifact: Path) -> None:
    (artifact / "one").symlink_to("two")
    (artifact / "two").symlink_to("one")
    assert "one is a link that leads nowhere" in refusal(artifact)


def test_a_link_to_a_device_is_refused(artifact: Path) -> None:
    (artifact / "model" / "random.json").symlink_to("/dev/zero")
    assert "model/random.json is a link out of the artifact" in refusal(artifact)


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("model/preprocessor_config.json", {"auto_map": {"AutoProcessor": "x.Y"}}),
        ("peft/adapter_config.json", {"auto_map": {"AutoModel": "x.Y"}}),
        ("base/config.json", {"custom_pipelines": {"mine": {"impl": "pipe.Pipe"}}}),
        ("model/generation_config.json", {"custom_generate": "someone/generate"}),
        ("model/config.json", {"attn_implementation": "someone/kernel"}),
        ("model/config.json", {"vision_config": {"_attn_implementation_internal": "paged|someone/kernel@main:f"}}),
        ("peft/adapter_config.json", {"tokenizer_kwargs": {"trust_remote_code": True}}),
        ("model/modules.json", [{"path": "1_X", "type": "canary.Module"}]),
    ],
)
def test_settings_that_import_code_are_refused(artifact: Path, name: str, setting: Any) -> None:
    put(artifact, name, setting)
    assert f"{name} points to code of the model's own" in refusal(artifact, "pickle")
    assert len(gate.check(artifact, URI, ["remote_code"])) == 1


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("model/model.safetensors.index.json", {"weight_map": {"weight": "/etc/passwd"}}),
        ("model/model.safetensors.index.json", {"weight_map": {"weight": "..\\evil.bin"}}),
        ("model/config.json", {"transformers_weights": "../evil.safetensors"}),
        ("model/config.json", {"auto_map": {"AutoModel": "/tmp/evil.Model"}}),
        ("model/modules.json", [{"path": "../1_Pooling", "type": "sentence_transformers.models.Pooling"}]),
        ("components/tokenizer/tokenizer_config.json", {"vocab_file": "/etc/passwd"}),
        ("components/tokenizer/tokenizer_config.json", {"fast_tokenizer_files": ["../../tokenizer.4.0.json"]}),
        ("peft/adapter_config.json", {"peft_type": "XLORA", "adapters": {"0": "someone/adapter"}}),
        ("peft/adapter_config.json", {"peft_type": "SHADOW", "shadow_model": "someone/model"}),
    ],
)
def test_settings_that_name_files_outside_are_refused_whatever_is_trusted(artifact: Path, name: str, setting: Any) -> None:
    put(artifact, name, setting)
    assert f"{name} names what lies outside the artifact" in refusal(artifact, *gate.TRUST)


@pytest.mark.parametrize(
    "changed", [{"model_binary": "../x"}, {"components": ["../../x"]}, {"tokenizer": "../../x"}, {"peft_adaptor": "/x"}]
)
def test_mlmodel_paths_that_climb_are_refused(artifact: Path, changed: dict[str, Any]) -> None:
    put_flavors(artifact, "transformers", **changed)
    assert f"MLmodel names what lies outside the artifact ({next(iter(changed))})" in refusal(artifact, *gate.TRUST)


def test_the_data_path_of_the_pyfunc_is_judged(artifact: Path) -> None:
    put_flavors(artifact, "python_function", data="../../data")
    assert "MLmodel names what lies outside the artifact (data)" in refusal(artifact, *gate.TRUST)


@pytest.mark.parametrize("framework", ["tf", "flax"])
def test_another_framework_is_refused(artifact: Path, framework: str) -> None:
    put_flavors(artifact, "transformers", framework=framework)
    assert "MLmodel names another framework than PyTorch" in refusal(artifact, *gate.TRUST)


def test_code_paths_and_trusted_code_in_the_mlmodel_are_refused(artifact: Path) -> None:
    put_flavors(artifact, "transformers", code="code")
    assert "MLmodel carries code of its own (code paths)" in refusal(artifact)
    put_flavors(artifact, "transformers", model_config={"trust_remote_code": True})
    assert "MLmodel points to code of the model's own (trust_remote_code)" in refusal(artifact)


def test_our_own_loader_is_let_through(artifact: Path) -> None:
    put_flavors(artifact, "python_function", loader_module="sparkcoil.scorer")
    assert gate.check(artifact, URI) == ()


@pytest.mark.parametrize("suffix", ["onnx", "gguf", "tflite", "pb"])
def test_foreign_weights_are_refused_only_where_they_are_the_only_ones(artifact: Path, suffix: str) -> None:
    put(artifact, f"model/model.{suffix}", b"weights")
    assert gate.check(artifact, URI) == ()
    for weights in artifact.rglob("*.safetensors"):
        weights.unlink()
    assert f"model/model.{suffix} is not PyTorch safetensors" in refusal(artifact, *gate.TRUST)


@pytest.mark.parametrize("suffix", ["pkl", "joblib", "h5", "msgpack", "npz", "PICKLE"])
def test_other_pickles_are_refused_whatever_is_trusted(artifact: Path, suffix: str) -> None:
    put(artifact, f"model/x.{suffix}", b"anything")
    assert f"model/x.{suffix} may run code" in refusal(artifact, *gate.TRUST)


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_numpy_files_of_numbers_pass(artifact: Path, version: tuple[int, int]) -> None:
    with (artifact / "model" / "speaker.npy").open("wb") as content:
        np.lib.format.write_array(content, np.arange(6.0).reshape(2, 3), version=version)
    assert gate.check(artifact, URI) == ()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        (1 << 60).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
        (2).to_bytes(8, "little") + b"{",
        (200_000).to_bytes(8, "little") + b"[" * 200_000,
        (40).to_bytes(8, "little") + b'{"a":{"data_offsets":[0,9]}}'.ljust(40),
    ],
)
def test_safetensors_are_judged_by_their_header(artifact: Path, content: bytes) -> None:
    put(artifact, "model/model.safetensors", content)
    assert "model/model.safetensors is no safetensors file" in refusal(artifact, *gate.TRUST)


@pytest.mark.parametrize("content", [b"{", b"[" * 200_000, b'{"a":' * 100_000, b"\xff\xfe{\x00}\x00", b"\xef\xbb\xbf{}"])
def test_json_that_cannot_be_judged_is_refused(artifact: Path, content: bytes) -> None:
    put(artifact, "model/config.json", content)
    assert "model/config.json is no JSON that can be judged" in refusal(artifact, *gate.TRUST)


def test_huge_json_is_refused_unread_except_for_vocabularies(artifact: Path) -> None:
    for name, sound in [("components/tokenizer/tokenizer.json", True), ("model/generation_config.json", False)]:
        put(artifact, name, b"{")
        os.truncate(artifact / name, 10**9)
        assert sound or f"{name} is no JSON that can be judged" in refusal(artifact)
        assert not sound or gate.check(artifact, URI) == ()


LAUGHS = "\n".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9)}]" if i else "l0: &l0 [x]" for i in range(30))
MERGES = "\n".join(f"l{i}: &l{i} {{<<: [{', '.join([f'*l{i - 1}'] * 9)}]}}" if i else "l0: &l0 {x: 1}" for i in range(30))


@pytest.mark.parametrize(
    "content",
    [
        LAUGHS,
        MERGES,
        "&a [*a]",
        "flavors: &a {x: *a}",
        "[" * 200_000,
        "- " * 100_000,
        "a: " + ":".join(["1"] * 100_000),
        "when: 2001-99-99",
        "- a\n" * 400_000,
        "",
        "flavors: [transformers]",
        "flavors: {transformers: 1}",
        "a: b: c",
        "--- a\n--- b",
        "? [x]\n: y",
        b"\xff\xfe\x00",
        "x" * 3_000_000,
    ],
    ids=range(17),
)
def test_an_mlmodel_that_is_no_plain_yaml_is_refused_soon(artifact: Path, content: Any) -> None:
    put(artifact, "MLmodel", content)
    began = time.monotonic()
    assert f"model.uri: {URI}: MLmodel " in refusal(artifact, *gate.TRUST)
    assert time.monotonic() - began < 5


def test_an_artifact_without_an_mlmodel_file_is_refused(artifact: Path, tmp_path: Path) -> None:
    (artifact / "MLmodel").unlink()
    assert "MLmodel is missing" in refusal(artifact)
    assert "cannot be read" in refusal(tmp_path / "nowhere")


def test_a_name_cannot_break_the_sentence(artifact: Path) -> None:
    put(artifact, "model/x\nERROR: all is well.py", b"")
    assert "model/x\\nERROR" in refusal(artifact)


def test_only_the_headers_of_large_weights_are_read(artifact: Path) -> None:
    header = json.dumps({"weight": {"dtype": "F32", "shape": [1], "data_offsets": [0, 5 * 10**9]}}).encode()
    put(artifact, "model/large.safetensors", len(header).to_bytes(8, "little") + header)
    os.truncate(artifact / "model" / "large.safetensors", 8 + len(header) + 5 * 10**9)
    began = time.monotonic()
    assert gate.check(artifact, URI) == ()
    assert time.monotonic() - began < 1


NAMES = st.one_of(
    st.sampled_from(
        ["MLmodel", "config.json", "model.safetensors", "x.npy", "tokenizer_config.json", "adapter_config.json", "modules.json"]
    ),
    st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20).filter(
        lambda name: name.strip(".")
    ),
)
KEYS = st.sampled_from(["auto_map", "weight_map", "flavors", "transformers", "python_function", "code", "path", "a_file", "data_offsets"])
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
CONTENTS = st.one_of(
    st.binary(max_size=200),
    st.binary(max_size=50).map(lambda rest: len(rest).to_bytes(8, "little") + rest),
    st.binary(max_size=50).map(lambda rest: b"\x93NUMPY" + rest),
    PLAIN.map(lambda data: json.dumps(data).encode()),
    PLAIN.map(lambda data: json.dumps(data).encode()).map(lambda header: len(header).to_bytes(8, "little") + header),
)


@settings(max_examples=200, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=NAMES, content=CONTENTS, folder=st.sampled_from(["", "model", "peft"]))
def test_random_files_pass_or_are_refused_and_nothing_else(tmp_path: Path, name: str, content: bytes, folder: str) -> None:
    artifact = tmp_path / "random"
    for left in [path for path in artifact.rglob("*") if path.is_file()]:
        left.unlink()
    put(artifact, "MLmodel", {"flavors": FLAVORS})
    (artifact / folder).mkdir(exist_ok=True)
    try:
        (artifact / folder / name).write_bytes(content)
    except OSError:  # no file can be called so
        return
    with contextlib.suppress(ModelError):
        assert isinstance(gate.check(artifact, URI), tuple)
