"""Models of real shapes with random weights: speed does not depend on what was learnt."""

from collections.abc import Callable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import tiny_speech
import torch
import transformers

from benchmarks import texts

LABELS = {"id2label": {0: "bad", 1: "fair", 2: "good"}, "label2id": {"bad": 0, "fair": 1, "good": 2}}
ENTAILMENT = {
    "id2label": {0: "contradiction", 1: "neutral", 2: "entailment"},
    "label2id": {"contradiction": 0, "neutral": 1, "entailment": 2},
}
# Layers, width, heads, width of the feed-forward part.
MINI, MINILM, BASE = (4, 256, 4, 1024), (6, 384, 12, 1536), (12, 768, 12, 3072)
# Wide enough for outputs to differ from row to row, and for a next token to be clear.
WIDE = 0.2
# Beyond this, hidden states are no longer alike for all texts; the head then makes of them logits that are so far apart.
APART, LABEL_SPREAD, ENTAILMENT_SPREAD = 0.1, 0.05, 1.0
# Part of the folder's name: another recipe, another number.
REVISION = 2
OUTPUT_TOKENS, LONGEST_OUTPUT, EARLY = 25.0, 128, 6


def bert(folder: Path, shape: tuple[int, int, int, int], labels: Mapping[str, Any], spread: float | None) -> None:
    """Save a BERT of a shape, with a classifier whose logits have that standard deviation from text to text, or without one."""
    tokenizer = texts.tokenizer()
    layers, width, heads, inner = shape
    config = transformers.BertConfig(
        vocab_size=len(tokenizer), num_hidden_layers=layers, hidden_size=width, num_attention_heads=heads, intermediate_size=inner,
        initializer_range=APART, **labels,
    )  # fmt: skip
    torch.manual_seed(4)
    model = (transformers.BertForSequenceClassification if spread else transformers.BertModel)(config).eval()
    if spread:
        set_apart(model, tokenizer, spread)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@torch.no_grad()
def set_apart(model: Any, tokenizer: Any, spread: float) -> None:
    """Scale the classifier so that its logits differ from text to text, and no label is always the best."""
    drawn = [model(**tokenizer(each, return_tensors="pt")).logits[0] for each in texts.sentences(64)]
    logits = torch.stack(drawn)
    scale = spread / logits.std(0).mean()
    model.classifier.weight *= scale
    model.classifier.bias.copy_((model.classifier.bias - logits.mean(0)) * scale)


def t5(folder: Path) -> None:
    """Save a T5 of four layers that ends its texts at lengths that differ as those of sentences do."""
    tokenizer = text_tokenizer(eos="[SEP]")
    config = transformers.T5Config(
        vocab_size=len(tokenizer), d_model=256, d_kv=32, d_ff=1024, num_layers=4, num_heads=8, initializer_factor=4.0,
        pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.sep_token_id, decoder_start_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    torch.manual_seed(5)
    model = transformers.T5ForConditionalGeneration(config).eval()
    # Without the penalty it goes round in circles.
    model.generation_config.update(max_new_tokens=LONGEST_OUTPUT, repetition_penalty=2.0)
    model.generation_config.eos_token_id = ends(model, tokenizer)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def marian(folder: Path) -> None:
    """Save a Marian of three layers that ends its texts at lengths that differ as those of sentences do."""
    tokenizer = text_tokenizer(eos="[SEP]")
    config = transformers.MarianConfig(
        vocab_size=len(tokenizer), decoder_vocab_size=len(tokenizer), d_model=256, encoder_layers=3, decoder_layers=3,
        encoder_attention_heads=8, decoder_attention_heads=8, encoder_ffn_dim=1024, decoder_ffn_dim=1024, max_position_embeddings=512,
        init_std=WIDE, pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.sep_token_id, forced_eos_token_id=None,
        decoder_start_token_id=tokenizer.pad_token_id, bos_token_id=None,
    )  # fmt: skip
    torch.manual_seed(5)
    model = transformers.MarianMTModel(config).eval()
    model.generation_config.update(max_new_tokens=LONGEST_OUTPUT, num_beams=1, repetition_penalty=2.0)
    model.generation_config.eos_token_id = ends(model, tokenizer)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def ends(model: Any, tokenizer: Any) -> list[int]:
    """Return tokens one of which comes after some 25 others on average: a random model never says that a text ends."""
    prompts = tokenizer(texts.sentences(128), padding=True, return_tensors="pt", return_token_type_ids=False)
    with torch.inference_mode():
        written = model.generate(**prompts, eos_token_id=None)[:, 1:].tolist()
    found, lengths = [tokenizer.sep_token_id], [LONGEST_OUTPUT] * len(written)
    for token in sorted({*chain(*written)}, key=lambda each: sum(each in row[:EARLY] for row in written)):
        shorter = [min(length, row.index(token) if token in row else length) for row, length in zip(written, lengths, strict=True)]
        if sum(shorter) / len(shorter) >= OUTPUT_TOKENS:
            found.append(token)
            lengths = shorter
    return found


def llama(folder: Path) -> None:
    """Save a Llama of four layers."""
    tokenizer = text_tokenizer(eos="[SEP]", special=False)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=256, intermediate_size=768, num_hidden_layers=4, num_attention_heads=8,
        num_key_value_heads=4, max_position_embeddings=1024, initializer_range=WIDE, pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.sep_token_id, bos_token_id=None,
    )  # fmt: skip
    save(folder, transformers.LlamaForCausalLM, config, tokenizer)


def text_tokenizer(*, eos: str, special: bool = True) -> Any:
    """Return the tokenizer of syllables as generating models have it."""
    own = texts.tokenizer()
    made = transformers.PreTrainedTokenizerFast(
        tokenizer_object=own.backend_tokenizer, pad_token="[PAD]", unk_token="[UNK]", eos_token=eos, sep_token="[SEP]", model_max_length=512
    )
    if not special:
        made.backend_tokenizer.post_processor = None
    made.model_input_names = ["input_ids", "attention_mask"]
    return made


def whisper(folder: Path) -> None:
    """Save a Whisper of the shape of whisper-tiny."""
    sizes = {
        f"{side}_{name}": size
        for side in ("encoder", "decoder")
        for name, size in (("layers", 4), ("attention_heads", 6), ("ffn_dim", 1536))
    }
    built = tiny_speech.tiny_whisper(
        folder / "built", languages=("en",), seconds=30, d_model=384, max_target_positions=448, init_std=0.05, **sizes
    )
    for each in (built / "model").iterdir():
        each.rename(folder / each.name)


def ctc(folder: Path, norm: str) -> None:
    """Save a wav2vec2 of four layers, whose ear is that of wav2vec2-base with half the channels."""
    import ways

    _, _, tokenizer = ways.speech(folder / "built")
    config = transformers.Wav2Vec2Config(
        vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, hidden_size=256, num_hidden_layers=4, num_attention_heads=4,
        intermediate_size=1024, conv_dim=(256,) * 7, feat_extract_norm=norm, do_stable_layer_norm=norm == "layer",
        conv_bias=norm == "layer",
        initializer_range=WIDE,
    )  # fmt: skip
    save(folder, transformers.Wav2Vec2ForCTC, config, tokenizer)
    transformers.Wav2Vec2FeatureExtractor(return_attention_mask=norm == "layer").save_pretrained(folder)


def vit(folder: Path) -> None:
    """Save a ViT of six layers that takes images of 224 pixels a side."""
    layers, width, heads, inner = MINILM
    config = transformers.ViTConfig(
        num_hidden_layers=layers, hidden_size=width, num_attention_heads=heads, intermediate_size=inner, initializer_range=APART, **LABELS
    )  # fmt: skip
    save(folder, transformers.ViTForImageClassification, config, transformers.ViTImageProcessor())


def save(folder: Path, kind: Any, config: Any, reader: Any) -> None:
    """Save a random model with its tokenizer, or what else reads its inputs."""
    torch.manual_seed(4)
    kind(config).save_pretrained(folder)
    reader.save_pretrained(folder)


MAKERS: Mapping[str, Callable[[Path], None]] = {
    "bert-mini": lambda folder: bert(folder, MINI, LABELS, LABEL_SPREAD),
    "minilm": lambda folder: bert(folder, MINILM, LABELS, LABEL_SPREAD),
    "bert-base": lambda folder: bert(folder, BASE, LABELS, LABEL_SPREAD),
    "entailment": lambda folder: bert(folder, MINI, ENTAILMENT, ENTAILMENT_SPREAD),
    "embedder": lambda folder: bert(folder, MINILM, {}, None),
    "t5": t5,
    "marian": marian,
    "llama": llama,
    "whisper-tiny": whisper,
    "vit-small": vit,
    "ctc-layer": lambda folder: ctc(folder, "layer"),
    "ctc-group": lambda folder: ctc(folder, "group"),
}


def made(name: str, under: Path) -> Path:
    """Return the folder of a model, which is made unless it is there."""
    folder = under / name
    if not (folder / ".made").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        MAKERS[name](folder)
        (folder / ".made").touch()
    return folder
