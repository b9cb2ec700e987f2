"""Every way in which a model may be logged, as values: how it is made, what it is scored with, and what comes of it.

`docs/models.md` is generated from this list; tests/test_ways.py proves each line of it.
"""

import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import peft
import tiny_encoders
import tiny_models
import torch
import transformers
import yaml

from sparkcoil.registry import write_model

SENTENCES = [*tiny_encoders.SENTENCES, "12", "étude à Besançon"]
PROMPTS = ["the socket is closed", "an array", "12", '{"a": {"b": "{prompt}"}}']
NO_REQUIREMENTS: Mapping[str, Any] = {"pip_requirements": ["mlflow"]}


@dataclass(frozen=True)
class Scores:
    """What a logged model is scored with: input columns by name, the predictions that the native model gives, and the run's settings."""

    inputs: Mapping[str, Sequence[Any]]
    expected: Sequence[Mapping[str, Any]]
    model: Mapping[str, Any] = field(default_factory=dict)
    tolerance: float = 1e-4


Make = Callable[[Path, Path], Scores | None]


@dataclass(frozen=True)
class Way:
    """A way of logging: `make` fills a folder with the MLflow model; `refused` is the reason where it may not be scored."""

    name: str
    make: Make
    refused: str | None = None


WAYS: list[Way] = []


def way(
    name: str, *, refused: str | None = None
) -> Callable[[Callable[[Path, Path], Scores | None]], Callable[[Path, Path], Scores | None]]:
    """Put the function into the list of ways under a name."""

    def add(make: Make) -> Make:
        WAYS.append(Way(name, make, refused))
        return make

    return add


def classifier(scratch: Path, **config: Any) -> Any:
    """Return the native pipeline of a tiny classifier."""
    labels = {"id2label": {0: "red", 1: "green", 2: "blue"}, "label2id": {"red": 0, "green": 1, "blue": 2}}
    artifact = tiny_encoders.build(scratch / "tiny", "AutoModelForSequenceClassification", **labels, **config)
    return tiny_encoders.pipeline("text-classification", artifact)


def labels_of(pipe: Any, **settings: Any) -> Scores:
    """Return what a native classification pipeline says of the sentences, one at a time."""
    return Scores({"text": SENTENCES}, [pipe(text, truncation=True)[0] for text in SENTENCES], **settings)


def texts_of(model: Any, tokenizer: Any, prompts: Sequence[str] = PROMPTS, *, inputs: Sequence[str] = PROMPTS, **settings: Any) -> Scores:
    """Return what `model.generate` writes for prompts, one at a time, under the rows' own inputs."""
    expected = []
    for prompt in prompts:
        ids = tokenizer(prompt, return_tensors="pt").input_ids
        output = model.generate(
            ids, attention_mask=torch.ones_like(ids), **{"do_sample": False, "pad_token_id": 0, "max_new_tokens": 8, **settings}
        )
        new = output[0] if model.config.is_encoder_decoder else output[0, ids.shape[1] :]
        expected.append({"text": tokenizer.decode(new, skip_special_tokens=True)})
    return Scores({"text": list(inputs)}, expected, {"options": {"max_new_tokens": 8, **settings}})


def causal(scratch: Path, **given: Any) -> tuple[Any, Any]:
    """Return a tiny GPT-2 with its tokenizer."""
    folder = tiny_models.tiny_causal(scratch / "causal", **given) / "model"
    return transformers.AutoModelForCausalLM.from_pretrained(folder).eval(), transformers.AutoTokenizer.from_pretrained(folder)


def edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a logged model's MLmodel file."""
    content = yaml.safe_load((folder / "MLmodel").read_text())
    change(content)
    (folder / "MLmodel").write_text(yaml.safe_dump(content))


def logged_with_v4(folder: Path, task: str, instance: str) -> None:
    """Make the model look as transformers 4 logged it for a task that transformers 5 removed."""
    known = {"task": task, "instance_type": instance, "framework": "pt", "transformers_version": "4.57.1"}
    edit(folder, lambda content: content["flavors"]["transformers"].update(known))


def pickle_weights(folder: Path) -> None:
    """Put the weights of a logged classifier into a pickle."""
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder / "model")
    (folder / "model" / "model.safetensors").unlink()
    torch.save(model.state_dict(), folder / "model" / "pytorch_model.bin")


def configure(folder: Path, **settings: Any) -> None:
    """Change a checkpoint's configuration."""
    config = folder / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **settings}))


@way("a pipeline")
def _pipeline(folder: Path, scratch: Path) -> Scores:
    pipe = classifier(scratch)
    mlflow.transformers.save_model(pipe, str(folder), **NO_REQUIREMENTS)
    return labels_of(pipe)


@way("components: model and tokenizer")
def _components(folder: Path, scratch: Path) -> Scores:
    pipe = classifier(scratch)
    parts = {"model": pipe.model, "tokenizer": pipe.tokenizer}
    mlflow.transformers.save_model(parts, str(folder), task="text-classification", **NO_REQUIREMENTS)
    return labels_of(pipe)


def speech(scratch: Path) -> tuple[Any, Any, Any]:
    """Return a tiny wav2vec2 with its feature extractor and tokenizer."""
    scratch.mkdir(exist_ok=True)
    (scratch / "vocab.json").write_text(json.dumps({each: i for i, each in enumerate(["<pad>", "<s>", "</s>", "<unk>", "|", *"abcdefgh"])}))
    tokenizer = transformers.Wav2Vec2CTCTokenizer(str(scratch / "vocab.json"))
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64, "num_conv_pos_embeddings": 16}
    convolutions = {"conv_dim": (16, 16), "conv_kernel": (10, 8), "conv_stride": (10, 8), "num_conv_pos_embedding_groups": 2}
    torch.manual_seed(1)
    config = transformers.Wav2Vec2Config(vocab_size=13, initializer_range=0.5, feat_extract_norm="layer", **sizes, **convolutions)
    return transformers.Wav2Vec2ForCTC(config).eval(), transformers.Wav2Vec2FeatureExtractor(return_attention_mask=True), tokenizer


def sounds_of(model: Any, extractor: Any, tokenizer: Any) -> Scores:
    """Return what a speech model hears in three noises, one at a time."""
    import io

    import soundfile

    contents, expected = [], []
    for seed, length in enumerate((4_000, 9_000, 16_000)):
        noise = np.random.default_rng(seed).normal(0, 0.2, length).astype("float32").clip(-1, 1)
        file = io.BytesIO()
        soundfile.write(file, noise, 16_000, format="WAV", subtype="FLOAT")
        contents.append(file.getvalue())
        inputs = extractor(noise, sampling_rate=16_000, return_tensors="pt")
        with torch.inference_mode():
            expected.append({"text": tokenizer.decode(model(inputs.input_values).logits[0].argmax(-1))})
    return Scores({"audio": contents}, expected)


@way("components: model, tokenizer and feature extractor")
def _feature_extractor(folder: Path, scratch: Path) -> Scores:
    model, extractor, tokenizer = speech(scratch)
    parts = {"model": model, "tokenizer": tokenizer, "feature_extractor": extractor}
    mlflow.transformers.save_model(parts, str(folder), task="automatic-speech-recognition", **NO_REQUIREMENTS)
    return sounds_of(model, extractor, tokenizer)


@way("components with a processor")
def _processor(folder: Path, scratch: Path) -> Scores:
    model, extractor, tokenizer = speech(scratch)
    parts = {"model": model, "tokenizer": tokenizer, "feature_extractor": extractor}
    processor = transformers.Wav2Vec2Processor(feature_extractor=extractor, tokenizer=tokenizer)
    mlflow.transformers.save_model(parts, str(folder), task="automatic-speech-recognition", processor=processor, **NO_REQUIREMENTS)
    return sounds_of(model, extractor, tokenizer)


def seq2seq(folder: Path, scratch: Path, task: str, instance: str, prefix: str = "") -> Scores:
    """Return what a tiny T5 writes, logged as transformers 4 did for a task."""
    checkpoint = tiny_models.tiny_seq2seq(scratch / "t5") / "model"
    if prefix:
        configure(checkpoint, task_specific_params={task: {"prefix": prefix}})
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(checkpoint).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)
    mlflow.transformers.save_model({"model": model, "tokenizer": tokenizer}, str(folder), task="text-generation", **NO_REQUIREMENTS)
    if prefix:
        shutil.copy(checkpoint / "config.json", folder / "model" / "config.json")
    logged_with_v4(folder, task, instance)
    return texts_of(model, tokenizer, [prefix + each for each in PROMPTS])


@way("logged with transformers 4: summarization")
def _summarization(folder: Path, scratch: Path) -> Scores:
    return seq2seq(folder, scratch, "summarization", "SummarizationPipeline", "summarize: ")


@way("logged with transformers 4: translation_xx_to_yy")
def _translation(folder: Path, scratch: Path) -> Scores:
    return seq2seq(folder, scratch, "translation_en_to_de", "TranslationPipeline", "translate English to German: ")


@way("logged with transformers 4: text2text-generation")
def _text2text(folder: Path, scratch: Path) -> Scores:
    return seq2seq(folder, scratch, "text2text-generation", "Text2TextGenerationPipeline")


@way("logged with transformers 4: question-answering")
def _question_answering(folder: Path, scratch: Path) -> Scores:
    checkpoint = tiny_encoders.build(scratch / "tiny", "AutoModelForQuestionAnswering") / "model"
    model = transformers.AutoModelForQuestionAnswering.from_pretrained(checkpoint).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)
    body = transformers.AutoModel.from_pretrained(checkpoint)
    mlflow.transformers.save_model({"model": body, "tokenizer": tokenizer}, str(folder), task="feature-extraction", **NO_REQUIREMENTS)
    shutil.rmtree(folder / "model")
    shutil.copytree(checkpoint, folder / "model")
    logged_with_v4(folder, "question-answering", "QuestionAnsweringPipeline")
    edit(folder, lambda content: content["flavors"]["transformers"].update(pipeline_model_type="BertForQuestionAnswering"))
    questions = ["Where was she born?", "Who barked?"]
    contexts = [tiny_encoders.SENTENCES[0], tiny_encoders.SENTENCES[1]]
    expected = [{"answer": best_span(model, tokenizer, *each)} for each in zip(questions, contexts, strict=True)]
    return Scores({"question": questions, "context": contexts}, expected)


def best_span(model: Any, tokenizer: Any, question: str, context: str) -> str:
    """Return the words of the context whose start and end are the likeliest together, at most 15 tokens."""
    encoded = tokenizer(question, context, return_offsets_mapping=True, return_tensors="pt")
    offsets = encoded.pop("offset_mapping")[0].tolist()
    inside = [i for i, part in enumerate(encoded.sequence_ids()) if part == 1]
    with torch.inference_mode():
        out = model(**encoded)
    starts, ends = (torch.softmax(logits[0][inside], -1) for logits in (out.start_logits, out.end_logits))
    spans = [(float(starts[i] * ends[j]), i, j) for i in range(len(inside)) for j in range(i, min(i + 15, len(inside)))]
    _, i, j = max(spans)
    return context[offsets[inside[i]][0] : offsets[inside[j]][1]]


@way("a checkpoint in shards")
def _shards(folder: Path, scratch: Path) -> Scores:
    pipe = classifier(scratch)
    mlflow.transformers.save_model(pipe, str(folder), **NO_REQUIREMENTS)
    (folder / "model" / "model.safetensors").unlink()
    pipe.model.save_pretrained(folder / "model", max_shard_size="20KB")
    assert len(list((folder / "model").glob("*.safetensors"))) > 1
    return labels_of(pipe)


def in_half(folder: Path, scratch: Path, dtype: torch.dtype) -> Scores:
    """Return what a classifier in float32 says, which is logged in half precision."""
    pipe = classifier(scratch, initializer_range=0.1)
    scores = labels_of(pipe, tolerance=5e-3)
    pipe.model.to(dtype)
    mlflow.transformers.save_model(pipe, str(folder), **NO_REQUIREMENTS)
    return scores


@way("saved in float16")
def _float16(folder: Path, scratch: Path) -> Scores:
    return in_half(folder, scratch, torch.float16)


@way("saved in bfloat16")
def _bfloat16(folder: Path, scratch: Path) -> Scores:
    return in_half(folder, scratch, torch.bfloat16)


def adapted_causal(scratch: Path) -> tuple[Any, Any, Path]:
    """Return a tiny GPT-2 with a LoRA adapter that changes what it writes, its tokenizer, and its base's folder."""
    model, tokenizer = causal(scratch)
    torch.manual_seed(5)
    lora = peft.LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=["c_attn"], init_lora_weights=False, fan_in_fan_out=True)
    return peft.get_peft_model(model, lora).eval(), tokenizer, scratch / "causal" / "model"


def adapted_classifier(scratch: Path) -> tuple[Any, Any, Path]:
    """Return a BERT of two labels with a LoRA adapter for four, its tokenizer, and its base's folder."""
    artifact = tiny_encoders.build(scratch / "tiny", "AutoModelForSequenceClassification", num_labels=2)
    loaded = transformers.AutoModelForSequenceClassification.from_pretrained(artifact / "model", num_labels=4, ignore_mismatched_sizes=True)
    torch.manual_seed(5)
    lora = peft.LoraConfig(task_type="SEQ_CLS", r=4, target_modules=["query", "value"], init_lora_weights=False)
    adapted = peft.get_peft_model(loaded, lora)
    torch.nn.init.normal_(adapted.base_model.model.classifier.modules_to_save["default"].weight)
    return adapted.eval(), transformers.AutoTokenizer.from_pretrained(artifact / "model"), artifact / "model"


def labels_of_adapted(model: Any, tokenizer: Any, **settings: Any) -> Scores:
    """Return what an adapted classifier says of the sentences."""
    expected = []
    for text in SENTENCES:
        with torch.inference_mode():
            scores = torch.softmax(model(**tokenizer(text, return_tensors="pt", truncation=True)).logits[0], -1)
        expected.append({"label": f"LABEL_{int(scores.argmax())}", "score": float(scores.max())})
    return Scores({"text": SENTENCES}, expected, **settings)


@way("a LoRA adapter of a causal model, its base stored with it")
def _adapter(folder: Path, scratch: Path) -> Scores:
    model, tokenizer, _ = adapted_causal(scratch)
    mlflow.transformers.save_model({"model": model, "tokenizer": tokenizer}, str(folder), task="text-generation", **NO_REQUIREMENTS)
    return texts_of(model, tokenizer)


@way("a LoRA adapter with labels of its own, its base stored with it")
def _adapter_labels(folder: Path, scratch: Path) -> Scores:
    model, tokenizer, _ = adapted_classifier(scratch)
    mlflow.transformers.save_model({"model": model, "tokenizer": tokenizer}, str(folder), task="text-classification", **NO_REQUIREMENTS)
    return labels_of_adapted(model, tokenizer)


@way("a LoRA adapter with labels of its own, its base given by base_model_path")
def _adapter_path(folder: Path, scratch: Path) -> Scores:
    model, tokenizer, base = adapted_classifier(scratch)
    parts = {"model": model, "tokenizer": tokenizer}
    mlflow.transformers.save_model(parts, str(folder), task="text-classification", base_model_path=str(base), **NO_REQUIREMENTS)
    return labels_of_adapted(model, tokenizer)


@way("a LoRA adapter, its base given in the run file (`model.base`)")
def _adapter_run_file(folder: Path, scratch: Path) -> Scores:
    model, tokenizer, base = adapted_causal(scratch)
    parts = {"model": model, "tokenizer": tokenizer}
    mlflow.transformers.save_model(parts, str(folder), task="text-generation", base_model_path=str(base), **NO_REQUIREMENTS)
    scores = texts_of(model, tokenizer)
    base.rename(scratch / "moved")
    return Scores(scores.inputs, scores.expected, {**scores.model, "base": str(scratch / "moved")})


def reference(folder: Path, scratch: Path) -> tuple[Any, Path]:
    """Make a model that names a hub repository in place of weights; return its pipeline and the repository's files."""
    pipe = classifier(scratch)
    mlflow.transformers.save_model(pipe, str(folder), **NO_REQUIREMENTS)
    shutil.rmtree(folder / "model")
    shutil.rmtree(folder / "components")
    revision = "0123456789abcdef0123456789abcdef01234567"

    def point(content: dict[str, Any]) -> None:
        flavor = content["flavors"]["transformers"]
        flavor.pop("model_binary")
        flavor.update(source_model_name="sparkcoil-tests/tiny", source_model_revision=revision)
        flavor.update(tokenizer_name="sparkcoil-tests/tiny", tokenizer_revision=revision)

    edit(folder, point)
    return pipe, scratch / "tiny" / "model"


@way("a reference (`save_pretrained=False`) that the driver's hub cache, or the hub, has")
def _reference(folder: Path, scratch: Path) -> Scores:
    from huggingface_hub.constants import HF_HUB_CACHE

    pipe, files = reference(folder, scratch)
    snapshot = Path(HF_HUB_CACHE) / "models--sparkcoil-tests--tiny" / "snapshots" / "0123456789abcdef0123456789abcdef01234567"
    shutil.copytree(files, snapshot, dirs_exist_ok=True)
    return labels_of(pipe)


@way("with a prompt template")
def _prompt_template(folder: Path, scratch: Path) -> Scores:
    model, tokenizer = causal(scratch)
    template = 'Answer {{"as": "JSON"}}: {prompt}'
    parts = {"model": model, "tokenizer": tokenizer}
    mlflow.transformers.save_model(parts, str(folder), task="text-generation", prompt_template=template, **NO_REQUIREMENTS)
    return texts_of(model, tokenizer, ['Answer {"as": "JSON"}: ' + each for each in PROMPTS])


@way("with a `model_config`")
def _model_config(folder: Path, scratch: Path) -> Scores:
    model, tokenizer = causal(scratch)
    parts = {"model": model, "tokenizer": tokenizer}
    mlflow.transformers.save_model(parts, str(folder), task="text-generation", model_config={"max_new_tokens": 5}, **NO_REQUIREMENTS)
    scores = texts_of(model, tokenizer, max_new_tokens=5)
    return Scores(scores.inputs, scores.expected)


@way("with params in its signature")
def _signature(folder: Path, scratch: Path) -> Scores:
    model, tokenizer = causal(scratch)
    parts = {"model": model, "tokenizer": tokenizer}
    signature = mlflow.models.infer_signature("text", "text", params={"max_new_tokens": 5})
    mlflow.transformers.save_model(parts, str(folder), task="text-generation", signature=signature, **NO_REQUIREMENTS)
    scores = texts_of(model, tokenizer, max_new_tokens=5)
    return Scores(scores.inputs, scores.expected)


@way("with the task llm/v1/completions")
def _completions(folder: Path, scratch: Path) -> Scores:
    model, tokenizer = causal(scratch)
    parts = {"model": model, "tokenizer": tokenizer}
    mlflow.transformers.save_model(parts, str(folder), task="llm/v1/completions", **NO_REQUIREMENTS)
    scores = texts_of(model, tokenizer)
    return Scores({"prompt": scores.inputs["text"]}, scores.expected, scores.model)


@way("with the task llm/v1/chat")
def _chat(folder: Path, scratch: Path) -> Scores:
    model, tokenizer = causal(scratch, chat_template=tiny_models.CHAT_TEMPLATE)
    parts = {"model": model, "tokenizer": tokenizer}
    mlflow.transformers.save_model(parts, str(folder), task="llm/v1/chat", **NO_REQUIREMENTS)
    said = [f"<s>user: {each}</s><s>assistant:" for each in PROMPTS]
    scores = texts_of(model, tokenizer, said)
    messages = [[{"role": "user", "content": each}] for each in PROMPTS]
    return Scores({"messages": messages}, scores.expected, scores.model)


@way("logged by sparkcoil from a directory")
def _ours(folder: Path, scratch: Path) -> Scores:
    pipe = classifier(scratch)
    write_model(scratch / "tiny" / "model", folder, task="text-classification")
    return labels_of(pipe)


@way("logged by sparkcoil from an adapter's directory")
def _our_adapter(folder: Path, scratch: Path) -> Scores:
    model, tokenizer, base = adapted_causal(scratch)
    model.save_pretrained(scratch / "adapter")
    write_model(scratch / "adapter", folder, task="text-generation", base=base)
    return texts_of(model, tokenizer)


@way("a reference that is nowhere to be had", refused="could not be fetched .*log it with save_pretrained=True")
def _lost_reference(folder: Path, scratch: Path) -> None:
    reference(folder, scratch)
    edit(folder, lambda content: content["flavors"]["transformers"].update(source_model_name="sparkcoil-tests/nowhere"))


@way("an adapter whose base is not on the driver", refused="is no checkpoint directory on this machine; give one as model.base")
def _lost_base(folder: Path, scratch: Path) -> None:
    _adapter_run_file(folder, scratch)


@way("another flavor", refused="or the sentence_transformers flavor, found the flavors: python_function")
def _other_flavor(folder: Path, scratch: Path) -> None:
    _pipeline(folder, scratch)
    edit(folder, lambda content: content["flavors"].pop("transformers"))


@way("weights as a pickle (`.bin`)", refused=r"pytorch_model.bin .*save the model as safetensors")
def _pickle(folder: Path, scratch: Path) -> None:
    _pipeline(folder, scratch)
    pickle_weights(folder)


@way("weights as a pickle, with `model.trust: [pickle]`")
def _trusted_pickle(folder: Path, scratch: Path) -> Scores:
    scores = _pipeline(folder, scratch)
    pickle_weights(folder)
    return Scores(scores.inputs, scores.expected, {"trust": ["pickle"]})


@way("code of the model's own (`auto_map`)", refused="auto_map")
def _remote_code(folder: Path, scratch: Path) -> None:
    _pipeline(folder, scratch)
    configure(folder / "model", auto_map={"AutoModel": "evil.Model"})


@way("code paths", refused="code paths")
def _code_paths(folder: Path, scratch: Path) -> None:
    _pipeline(folder, scratch)
    edit(folder, lambda content: content["flavors"]["python_function"].update(code="code"))


@way("a loader module of its own", refused="loader_module")
def _loader(folder: Path, scratch: Path) -> None:
    _pipeline(folder, scratch)
    edit(folder, lambda content: content["flavors"]["python_function"].update(loader_module="evil"))


@way("a quantised checkpoint where no executor has a GPU", refused="quantised .*GPU")
def _quantised(folder: Path, scratch: Path) -> None:
    _pipeline(folder, scratch)
    configure(folder / "model", quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True})


@way("TensorFlow or Flax weights", refused="PyTorch")
def _tensorflow(folder: Path, scratch: Path) -> None:
    _pipeline(folder, scratch)
    edit(folder, lambda content: content["flavors"]["transformers"].update(framework="tf"))


@way("without its tokenizer", refused="tokenizer")
def _no_tokenizer(folder: Path, scratch: Path) -> None:
    _pipeline(folder, scratch)
    shutil.rmtree(folder / "components")


@way("without its head: the layers that classify were never trained", refused="are missing from the checkpoint and would be random")
def _no_head(folder: Path, scratch: Path) -> None:
    _pipeline(folder, scratch)
    config = json.loads((folder / "model" / "config.json").read_text())
    transformers.AutoModel.from_pretrained(folder / "model").save_pretrained(folder / "model")
    (folder / "model" / "config.json").write_text(json.dumps(config))


@way("logged with a newer transformers than the executors have", refused="logged with transformers 99")
def _newer(folder: Path, scratch: Path) -> None:
    _pipeline(folder, scratch)
    edit(folder, lambda content: content["flavors"]["transformers"].update(transformers_version="99.0.0"))


@way("chat without a chat template", refused="chat template")
def _no_template(folder: Path, scratch: Path) -> None:
    _chat(folder, scratch)
    for place in (folder / "model", folder / "components" / "tokenizer"):
        (place / "chat_template.jinja").unlink(missing_ok=True)


def make(each: Way, root: Path) -> tuple[Path, Scores | None]:
    """Return the folder of a way's model, made below a folder of its own, with what it is scored with."""
    home = root / str(WAYS.index(each))
    (home / "scratch").mkdir(parents=True)
    return home / "logged", each.make(home / "logged", home / "scratch")


def predictions(spark: Any, folder: Path, scores: Scores, scratch: Path) -> list[dict[str, Any]]:
    """Return what the model predicts for its inputs, in their order: through `score`, or a run where only that takes its settings."""
    from runs import text_run

    from sparkcoil import run, score

    cells = zip(*scores.inputs.values(), strict=True)
    frame = spark.createDataFrame([{"id": i, **dict(zip(scores.inputs, each, strict=True))} for i, each in enumerate(cells)])
    columns = {name: name for name in scores.inputs}
    if scores.model.keys() <= {"options"}:
        scored = score(frame, str(folder), keys="id", columns=columns, options=scores.model.get("options"))
    else:
        frame.write.format("delta").save(str(scratch / "in"))
        source = {"path": str(scratch / "in"), "keys": ["id"], "columns": columns}
        model = {"uri": str(folder), **scores.model}
        run(spark, text_run("-", "-", "-", model=model, source=source, target={"path": str(scratch / "out")}))
        scored = spark.read.format("delta").load(str(scratch / "out"))
    return [row["prediction"].asDict() for row in scored.orderBy("id").collect()]


def differences(spark: Any, folder: Path, scores: Scores, scratch: Path) -> list[str]:
    """Return what the model predicts for its inputs that the native model does not, a line each."""
    pairs = zip(predictions(spark, folder, scores, scratch), scores.expected, strict=True)
    return [
        f"row {i}: {name} is {ours[name]!r}, natively {native[name]!r}"
        for i, (ours, native) in enumerate(pairs)
        for name in native
        if not same(ours[name], native[name], scores.tolerance)
    ]


def same(ours: Any, native: Any, tolerance: float) -> bool:
    """Tell whether two values are equal, numbers within a tolerance."""
    return abs(ours - native) <= tolerance if isinstance(native, float) else ours == native


# One of each kind, for a standalone cluster.
ON_CLUSTER = (
    "a pipeline",
    "components: model, tokenizer and feature extractor",
    "logged with transformers 4: summarization",
    "saved in bfloat16",
    "a LoRA adapter with labels of its own, its base given by base_model_path",
    "a reference (`save_pretrained=False`) that the driver's hub cache, or the hub, has",
    "with the task llm/v1/chat",
    "logged by sparkcoil from a directory",
)


def main(master: str, root: Path) -> None:
    """Score one model of each kind on a cluster, and print what differs from the native model, by way, as JSON."""
    from sparkcoil import start_session

    spark = start_session({"spark.master": master}, name="ways")
    found = {}
    for each in WAYS:
        if each.name in ON_CLUSTER:
            folder, scores = make(each, root)
            assert scores is not None
            found[each.name] = differences(spark, folder, scores, folder.parent)
    spark.stop()
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
