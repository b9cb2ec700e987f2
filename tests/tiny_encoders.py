"""Tiny encoders with random weights, laid out as logged models, and what the tests of their tasks ask of all of them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from kept import kept
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from sparkcoil import engines
from sparkcoil.batching import Budget
from sparkcoil.engines import Placement
from sparkcoil.scoring import Record, Scoring
from sparkcoil.tasks import Row, Task

# Two threads of torch on a machine that others use too are dozens of times slower than one.
torch.set_num_threads(1)

SENTENCES = (
    "Marie Curie was born in Warsaw and worked in Paris on radioactivity.",
    "The cat sat on the mat, while the dog barked at the postman from London.",
    "Where was Marie Curie born? Who barked at the postman? What sat on the mat?",
    "Antoine de Saint-Exupéry flew over the Sahara; he wrote The Little Prince in New York.",
    "In 1969 Apollo 11 landed on the Moon, 384,400 km from Houston, Texas.",
    "This example is about politics, sports, science or the weather.",
)
TEXTS = (
    *SENTENCES,
    "12",
    "a",
    "🙂 smiles 🙃 at Zoë in São Paulo",
    "étude à Besançon — naïve café",
    "a\u0300 combining",
    "\x00\x07 control",
    "日本語 text in Tokyo",
    "UPPER lower MiXeD",
    "Paris " * 12,
    "don't! (really?) semi-final.",
)
MEGABYTE = "Marie Curie worked in Paris. " * 36_000
SIZE: Mapping[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 66,
    # Wide enough for outputs to differ from text to text.
    "initializer_range": 0.5,
}


def bert_tokenizer() -> Any:
    """Return a lower-casing WordPiece tokenizer that splits many words; not trained, since that gives another each time."""
    words = sorted({word.strip(".,;:?!").lower() for sentence in SENTENCES for word in sentence.split()})
    letters = sorted({letter for sentence in SENTENCES for letter in sentence.lower() if not letter.isspace()})
    pieces = [
        *letters,
        *(f"##{each}" for each in letters),
        *words[::2],
        *(word[:3] for word in words),
        *(f"##{word[-3:]}" for word in words),
    ]
    vocabulary = dict.fromkeys(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *pieces])
    return transformers.BertTokenizer(vocab={each: i for i, each in enumerate(vocabulary)}, model_max_length=64)


def byte_level_bpe(special: Sequence[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Return the vocabulary and the merges of a byte-level BPE tokenizer."""
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=list(special), initial_alphabet=alphabet, show_progress=False)
    raw.train_from_iterator(SENTENCES, trainer)
    state = json.loads(raw.to_str())["model"]
    return state["vocab"], [tuple(each) for each in state["merges"]]


def roberta_tokenizer() -> Any:
    """Return a byte-level BPE tokenizer."""
    vocab, merges = byte_level_bpe(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    return transformers.RobertaTokenizer(vocab=vocab, merges=merges, model_max_length=64)


def gpt2_tokenizer() -> Any:
    """Return a byte-level BPE tokenizer that adds no special tokens and cannot pad."""
    vocab, merges = byte_level_bpe(["<|endoftext|>"])
    return transformers.GPT2Tokenizer(vocab=vocab, merges=merges, model_max_length=64, pad_token=None)


TOKENIZERS = {"bert": bert_tokenizer, "roberta": roberta_tokenizer, "gpt2": gpt2_tokenizer}


@kept
def build(folder: Path, auto_class: str, *, family: str = "bert", seed: int = 0, **config: Any) -> Path:
    """Return an artifact around a tiny model with random weights."""
    tokenizer = TOKENIZERS[family]()
    torch.manual_seed(seed)
    special = {name: getattr(tokenizer, name) for name in ("pad_token_id", "bos_token_id", "eos_token_id")}
    chosen = transformers.AutoConfig.for_model(family, vocab_size=len(tokenizer), **{**special, **SIZE, **config})
    getattr(transformers, auto_class).from_config(chosen).save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    return folder


@kept
def build_tapas(folder: Path, **config: Any) -> Path:
    """Return an artifact around a tiny TAPAS model with random weights."""
    vocabulary = sorted(bert_tokenizer().get_vocab().items(), key=lambda each: each[1])
    (folder / "vocab.txt").write_text("\n".join([*(word for word, _ in vocabulary), "[EMPTY]"]))
    tokenizer = transformers.TapasTokenizer(str(folder / "vocab.txt"), model_max_length=64)
    torch.manual_seed(2)
    chosen = transformers.TapasConfig(vocab_size=len(vocabulary) + 1, **{**SIZE, **config})
    transformers.TapasForQuestionAnswering(chosen).save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    return folder


def pipeline(task: str, artifact: Path, **given: Any) -> Any:
    """Return the native pipeline of an artifact."""
    return transformers.pipeline(task, model=str(artifact / "model"), device="cpu", **given)


def scored(task: Task, artifact: Path, rows: Sequence[Row], *, batch: int = 8, **options: Any) -> list[Record]:
    """Return the records of rows scored in batches of at most so many inputs."""
    chosen = task.options(**options)
    engine = engines.load(engines.name_of(task, artifact), artifact, chosen, Placement("cpu", "auto"))
    return Scoring(task, engine, chosen, Budget(engine.budget.size * 4, batch)).score(rows)[0]


def cells(name: str, texts: Sequence[str | None]) -> list[Row]:
    """Return rows of one text input, as they come from Spark."""
    return [{name: None if each is None else each.encode()} for each in texts]


def plain(value: Any) -> Any:
    """Return a prediction with arrays as lists and numbers cut to what float32 keeps over batches."""
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(each) for each in value]
    return round(float(value), 3) + 0.0 if isinstance(value, float | np.floating) else value


def slow_tokenizer(artifact: Path) -> None:
    """Give an artifact a tokenizer that is written in Python, and so knows no offsets."""
    vocabulary = artifact / "vocab.txt"
    vocabulary.write_text("\n".join(["<cls>", "<pad>", "<eos>", "<unk>", *"LAGVSERTIDPKQNFYMHWCXBUZO", ".", "-", "<null_1>", "<mask>"]))
    tokenizer = transformers.EsmTokenizer(str(vocabulary), model_max_length=16)
    for each in ("tokenizer.json", "tokenizer_config.json"):
        (artifact / "model" / each).unlink()
    tokenizer.save_pretrained(artifact / "model")
