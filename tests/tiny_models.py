"""Tiny random models that generate, built in the test: their texts make no sense, but differ from prompt to prompt."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from kept import kept
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from sparkcoil import engines
from sparkcoil.batching import Budget
from sparkcoil.engines import Placement
from sparkcoil.scoring import Record, Scoring
from sparkcoil.tasks import Task

# Two threads of torch on a machine that others use too are dozens of times slower than one.
torch.set_num_threads(1)

CORPUS = (
    "the socket is closed when the message was sent, and the mailbox keeps it",
    "an array of numbers is sorted by its first column; the rest follows",
    "translate summarize question answer user assistant system {prompt} {} [1, 2, 3]",
)
SPECIAL = ("<pad>", "</s>", "<unk>", "<s>")
TEXTS = (
    "the socket is closed",
    "an array",
    "",
    "12",
    "🙂🙃 an emoji",
    "sorted by its first column; the rest follows, and the mailbox keeps it",
    '{"a": {"b": "{prompt}"}}',
    "é" * 9,
    "a\u0300 \x00 end",
    " \n",
)
# A random model hardly ever ends a text: these tokens, which it likes, end it too, so that some texts end early.
ENDS = {"t5": (270, 95), "gpt2": (97,), "llama": (207, 99)}
CHAT_TEMPLATE = (
    "{% for message in messages %}<s>{{ message['role'] }}: {{ message['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant:{% endif %}"
)


@kept
def tiny_seq2seq(folder: Path, **config: Any) -> Path:
    """Return the folder with a random T5 saved in it as in a logged model."""
    tokenizer = byte_tokenizer(processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)]))
    given = {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2, "decoder_start_token_id": 0, **config}
    torch.manual_seed(3)
    model = T5ForConditionalGeneration(T5Config(vocab_size=len(tokenizer), pad_token_id=0, eos_token_id=1, initializer_factor=6.0, **given))
    model.generation_config.eos_token_id = [1, *ENDS["t5"]]
    return saved(folder, model, tokenizer)


@kept
def tiny_causal(folder: Path, *, chat_template: str | None = None, family: str = "gpt2", **config: Any) -> Path:
    """Return the folder with a random GPT-2, which has 64 positions, or a Llama saved in it as in a logged model."""
    tokenizer = byte_tokenizer(None)
    tokenizer.chat_template = chat_template
    shared = {"vocab_size": len(tokenizer), "bos_token_id": 3, "eos_token_id": 1, "pad_token_id": None, "initializer_range": 0.5, **config}
    torch.manual_seed(3)
    model: Any
    if family == "gpt2":
        model = GPT2LMHeadModel(GPT2Config(**{"n_positions": 64, "n_embd": 32, "n_layer": 2, "n_head": 2, **shared}))
    else:
        sizes = {
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "max_position_embeddings": 512,
        }
        model = LlamaForCausalLM(LlamaConfig(**{**sizes, **shared}))
    model.generation_config.eos_token_id = [1, *ENDS[family]]
    return saved(folder, model, tokenizer)


def byte_tokenizer(post_processor: Any) -> PreTrainedTokenizerFast:
    """Return a small byte-level BPE tokenizer that can spell any text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=340, special_tokens=list(SPECIAL), initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    if post_processor is not None:
        tokenizer.post_processor = post_processor
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", bos_token="<s>")


def saved(folder: Path, model: Any, tokenizer: Any) -> Path:
    """Return the folder, laid out as a logged model."""
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    return folder


def scored(task: Task, artifact: Path, rows: Sequence[Any], *, batch: int = 32, **options: Any) -> list[Record]:
    """Return the records of rows, or of plain texts under the name `text`, in batches of so many rows at most."""
    given = task.options(**options)
    engine = engines.load(engines.name_of(task, artifact), artifact, given, Placement("cpu", "float32"))
    scoring = Scoring(task, engine, given, Budget(engine.budget.size, batch))
    return scoring.score([row if isinstance(row, dict) else {"text": row.encode()} for row in rows])[0]


def predictions(*args: Any, **kwargs: Any) -> list[dict[str, Any]]:
    """Return the predictions of rows, none of which may fail."""
    records = scored(*args, **kwargs)
    assert [each.error for each in records] == [None] * len(records)
    return [each.prediction or {} for each in records]


def native(artifact: Path, prompts: Sequence[str], *, special: bool = True, **settings: Any) -> list[list[int]]:
    """Return the new tokens that `model.generate` gives for each prompt by itself, up to its end."""
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(artifact / "model")
    config = transformers.AutoConfig.from_pretrained(artifact / "model")
    auto = transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else transformers.AutoModelForCausalLM
    model: Any = auto.from_pretrained(artifact / "model").eval()
    found = []
    for prompt in prompts:
        ids = tokenizer(prompt, return_tensors="pt", add_special_tokens=special).input_ids
        ids = ids if ids.numel() else torch.tensor([[3]])
        output = model.generate(ids, attention_mask=torch.ones_like(ids), **{"do_sample": False, "pad_token_id": 0, **settings})
        found.append(output[0, 1 if config.is_encoder_decoder else ids.shape[1] :].tolist())
    return found


def text_of(artifact: Path, tokens: Sequence[int]) -> str:
    """Return the text of tokens without special ones."""
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(artifact / "model")
    return str(tokenizer.decode(list(tokens), skip_special_tokens=True))
