"""What is swept: for each task the architectures of transformers' own mapping, how a tiny one is made, and what it answers natively."""

import copy
import inspect
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
import transformers
from PIL import Image
from transformers.models.auto import modeling_auto
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from sweeping import tiny

Row = Mapping[str, Any]
LENGTH, NEW_TOKENS, RATE = 64, 6, 16_000
WORDS = [
    "the",
    "cat",
    "sat",
    "on",
    "mat",
    "while",
    "dog",
    "barked",
    "at",
    "postman",
    "from",
    "london",
    "paris",
    "warsaw",
    "and",
    "worked",
    "in",
    "science",
    "or",
    "weather",
]
LENGTHS = (1, 2, 3, 5, 8, 13, 30, 12, 4, 60)


@dataclass(frozen=True)
class Family:
    """A task with the mapping of its architectures: `make` fills a folder, and gives what the model answers to a row by itself."""

    task: str
    mapping: str
    make: Callable[[str, str, Path], Callable[[Row], Any]]
    rows: Callable[[], Sequence[Row]]
    seen: Callable[[Any], Any]


@cache
def tokenizer() -> Any:
    """Return a tokenizer of words with all special tokens, which any text model can be made for."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    special = ["<pad>", "<s>", "</s>", "<unk>", "<mask>"]
    vocabulary = {token: i for i, token in enumerate([*special, *WORDS])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made,
        model_max_length=LENGTH,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        mask_token="<mask>",
        cls_token="<s>",
        sep_token="</s>",
    )


def texts() -> list[str]:
    """Return texts of many lengths."""
    return [" ".join(WORDS[(i * 7 + j * (i + 3)) % len(WORDS)] for j in range(length)) for i, length in enumerate(LENGTHS)]


def special() -> dict[str, Any]:
    """Return what a configuration is told of the tokenizer."""
    return {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1, "forced_eos_token_id": None}


def built(kind: str, head: str, **given: Any) -> Any:
    """Return a tiny model of a kind with a head, with random weights."""
    chosen = tiny.config_of(CONFIG_MAPPING[kind], len(tokenizer()), **given)
    return tiny.make_model(head, chosen)


def alone(folder: Path, model: Any, answer: Callable[[Any, Row], Any]) -> Callable[[Row], Any]:
    """Return what a model that has never been used answers to a row, loaded from where it was saved: not all weights are."""
    kept = type(model).from_pretrained(folder / "model").eval()

    @torch.inference_mode()
    def answer_alone(row: Row) -> Any:
        return answer(copy.deepcopy(kept), row)

    return answer_alone


def reader_of(folder: Path, model: Any) -> Callable[[Row], Any]:
    """Save a text model, and return what makes its inputs of a row's text: some kinds have the tokenizer read as one of their own."""
    tiny.save(folder, model, tokenizer())
    told = transformers.AutoTokenizer.from_pretrained(folder / "model")
    return lambda row: told(row["text"], return_tensors="pt", truncation=True, max_length=LENGTH)


def inputs_for(model: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return of the inputs those that a model takes."""
    known = inspect.signature(model.forward).parameters
    return {name: value for name, value in inputs.items() if name in known or "kwargs" in known}


def classifier(kind: str, head: str, folder: Path) -> Callable[[Row], Any]:
    """Make a classifier of texts."""
    model = built(kind, head, **special(), id2label=tiny.LABELS, label2id={name: i for i, name in tiny.LABELS.items()})
    read = reader_of(folder, model)
    return alone(folder, model, lambda fresh, row: fresh(**inputs_for(fresh, read(row))).logits[0].double().softmax(-1).numpy())


def tagger(kind: str, head: str, folder: Path) -> Callable[[Row], Any]:
    """Make a classifier of tokens."""
    model = built(kind, head, **special(), id2label=tiny.LABELS, label2id={name: i for i, name in tiny.LABELS.items()})
    read = reader_of(folder, model)
    return alone(
        folder, model, lambda fresh, row: fresh(**inputs_for(fresh, read(row))).logits[0].double().softmax(-1).amax(-1)[1:-1].numpy()
    )


def filler(kind: str, head: str, folder: Path) -> Callable[[Row], Any]:
    """Make a masked language model."""
    model = built(kind, head, **special())
    read = reader_of(folder, model)

    def answer(fresh: Any, row: Row) -> Any:
        ids = read(row)["input_ids"][0].tolist()
        return fresh(**inputs_for(fresh, read(row))).logits[0, ids.index(4)].double().softmax(-1).topk(3).values.numpy()

    return alone(folder, model, answer)


def embedder(kind: str, head: str, folder: Path) -> Callable[[Row], Any]:
    """Make an encoder of texts."""
    model = built(kind, head, **special())
    read = reader_of(folder, model)

    def answer(fresh: Any, row: Row) -> Any:
        inside = fresh.get_encoder() if fresh.config.is_encoder_decoder else fresh
        return inside(**inputs_for(inside, read(row)))[0][0].double().mean(0).numpy()

    return alone(folder, model, answer)


def writer(kind: str, head: str, folder: Path) -> Callable[[Row], Any]:
    """Make a model that goes on from a prompt, or writes another text."""
    model = built(kind, head, **special())
    model.generation_config.eos_token_id = 2
    model.generation_config.pad_token_id = 0
    read = reader_of(folder, model)
    told = transformers.AutoTokenizer.from_pretrained(folder / "model")

    def answer(fresh: Any, row: Row) -> Any:
        ids = read(row)["input_ids"]
        made = fresh.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=NEW_TOKENS)[0]
        new = made[1:] if fresh.config.is_encoder_decoder else made[ids.shape[1] :]
        return {"text": told.decode(new, skip_special_tokens=True).strip()}

    return alone(folder, model, answer)


def sounds() -> list[Row]:
    """Return recordings of many lengths, as they are in a table."""
    found = []
    for i, seconds in enumerate((0.5, 0.31, 0.77, 1.2, 0.5, 0.9)):
        samples = np.random.default_rng(i).normal(0, 0.2, round(seconds * RATE)).astype(np.float32)
        file = io.BytesIO()
        soundfile.write(file, samples, RATE, format="WAV", subtype="FLOAT")
        found.append({"audio": file.getvalue()})
    return found


def heard(row: Row) -> np.ndarray:
    """Return a recording's samples."""
    samples: np.ndarray = soundfile.read(io.BytesIO(row["audio"]), dtype="float32")[0]
    return samples


CONVOLUTIONS: Mapping[str, Any] = {"conv_dim": (16, 16), "conv_kernel": (10, 8), "conv_stride": (10, 8), "num_feat_extract_layers": 2}
EXTRACTORS: Mapping[str, str] = {
    "wav2vec2-bert": "SeamlessM4TFeatureExtractor",
    "parakeet_ctc": "ParakeetFeatureExtractor",
    "lasr_ctc": "LasrFeatureExtractor",
    "audio-spectrogram-transformer": "ASTFeatureExtractor",
    "whisper": "WhisperFeatureExtractor",
}


def extractor_of(kind: str) -> Any:
    """Return the feature extractor of a kind, which for most takes samples as they are."""
    return getattr(transformers, EXTRACTORS.get(kind, "Wav2Vec2FeatureExtractor"))()


def speech(kind: str, head: str, **given: Any) -> tuple[Any, Any]:
    """Return a tiny model that hears, with its extractor."""
    chosen = tiny.config_of(CONFIG_MAPPING[kind], 32, **given)
    for name, value in CONVOLUTIONS.items():
        if hasattr(chosen, name):
            setattr(chosen, name, value)
    return tiny.make_model(head, chosen), extractor_of(kind)


def listener(kind: str, head: str, folder: Path) -> Callable[[Row], Any]:
    """Make a classifier of sounds."""
    model, extractor = speech(kind, head, id2label=tiny.LABELS, label2id={name: i for i, name in tiny.LABELS.items()})
    tiny.save(folder, model, extractor)

    def answer(fresh: Any, row: Row) -> Any:
        inputs = extractor(heard(row), sampling_rate=RATE, return_tensors="pt")
        return fresh(**inputs).logits[0].double().softmax(-1).numpy()

    return alone(folder, model, answer)


def transcriber(kind: str, head: str, folder: Path) -> Callable[[Row], Any]:
    """Make a model that writes down what it hears."""
    letters = {token: i for i, token in enumerate(["<pad>", "<s>", "</s>", "<unk>", "|", *"abcdefghijklmnopqrstuvwxyz'"])}
    (folder / "vocab.json").write_text(json.dumps(letters))
    speller = transformers.Wav2Vec2CTCTokenizer(str(folder / "vocab.json"))
    model, extractor = speech(kind, head, pad_token_id=0, vocab_size=32, ctc_loss_reduction="mean")
    tiny.save(folder, model, extractor, speller)

    def answer(fresh: Any, row: Row) -> Any:
        inputs = extractor(heard(row), sampling_rate=RATE, return_tensors="pt")
        return {"text": speller.decode(fresh(**inputs).logits[0].argmax(-1))}

    return alone(folder, model, answer)


def pictures() -> list[Row]:
    """Return images of several sizes, as they are in a table."""
    found = []
    for i, size in enumerate(((40, 50), (64, 32), (33, 33), (40, 50))):
        values = np.random.default_rng(i).integers(0, 256, (*size, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(values).save(file, "PNG")
        found.append({"image": file.getvalue()})
    return found


def onlooker(kind: str, head: str, folder: Path) -> Callable[[Row], Any]:
    """Make a classifier of images."""
    labels = {"num_labels": len(tiny.LABELS), "id2label": tiny.LABELS, "label2id": {name: i for i, name in tiny.LABELS.items()}}
    chosen = tiny.config_of(CONFIG_MAPPING[kind], 32, **labels)
    model = tiny.make_model(head, chosen)
    processor = transformers.ViTImageProcessor(size={"height": 32, "width": 32})
    tiny.save(folder, model, processor)

    def answer(fresh: Any, row: Row) -> Any:
        image = Image.open(io.BytesIO(row["image"])).convert("RGB")
        return fresh(**processor(images=image, return_tensors="pt")).logits[0].double().softmax(-1).numpy()

    return alone(folder, model, answer)


def by_label(prediction: Any) -> np.ndarray:
    """Return the score of each label in the labels' own order."""
    found = {each["label"]: each["score"] for each in prediction["scores"]}
    return np.array([found[name] for name in tiny.LABELS.values()])


FAMILIES: Mapping[str, Family] = {
    each.task: each
    for each in (
        Family("text-classification", "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES", classifier, lambda: rows(texts()), by_label),
        Family(
            "token-classification",
            "MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES",
            tagger,
            lambda: rows(texts()),
            lambda prediction: np.array([each["score"] for each in prediction["entities"]]),
        ),
        Family(
            "fill-mask",
            "MODEL_FOR_MASKED_LM_MAPPING_NAMES",
            filler,
            lambda: rows([f"{text} <mask>" for text in texts()[:-1]]),
            lambda prediction: np.array([each["score"] for each in prediction["candidates"]]),
        ),
        Family(
            "feature-extraction",
            "MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES",
            embedder,
            lambda: rows(texts()),
            lambda prediction: np.asarray(prediction["embedding"], dtype=np.float64),
        ),
        Family(
            "text-generation",
            "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES",
            writer,
            lambda: rows(texts()),
            lambda each: {"text": each["text"].strip()},
        ),
        Family(
            "text2text-generation",
            "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES",
            writer,
            lambda: rows(texts()),
            lambda each: {"text": each["text"].strip()},
        ),
        Family("automatic-speech-recognition", "MODEL_FOR_CTC_MAPPING_NAMES", transcriber, sounds, lambda each: {"text": each["text"]}),
        Family("audio-classification", "MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING_NAMES", listener, sounds, by_label),
        Family("image-classification", "MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES", onlooker, pictures, by_label),
    )
}


def rows(texts: Sequence[str]) -> list[Row]:
    """Return texts as rows."""
    return [{"text": each} for each in texts]


def architectures(family: Family) -> list[tuple[str, str]]:
    """Return each kind of a task's mapping with the class of its model, the first one where it has several."""
    found = getattr(modeling_auto, family.mapping)
    return [(kind, head if isinstance(head, str) else head[0]) for kind, head in found.items()]
