"""Tiny speech models with random weights, laid out as logged models, and recordings to try them on."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import tiny_encoders
import torch
import transformers
from kept import kept
from tokenizers import pre_tokenizers

# Two threads of torch on a machine that others use too are dozens of times slower than one.
torch.set_num_threads(1)

RATE = 16_000
# In the order of a Whisper's vocabulary: languages, tasks, and what marks a text's parts.
LANGUAGES = ("en", "de", "ja")
AFTER_LANGUAGES = ("translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps")


def whisper_tokenizer(languages: Sequence[str], seconds: int) -> Any:
    """Return a byte-level tokenizer with a Whisper's special tokens and its timestamps up to so many seconds."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("Ġ", each) for each in "0123456789ABCD*#"]
    vocabulary = {each: i for i, each in enumerate([*alphabet, *("".join(each) for each in merges), "<|endoftext|>"])}
    tokenizer = transformers.WhisperTokenizer(vocab=vocabulary, merges=merges, pad_token="<|endoftext|>")
    special = ["startoftranscript", *languages, *AFTER_LANGUAGES]
    tokenizer.add_special_tokens({"additional_special_tokens": [f"<|{each}|>" for each in special]})
    tokenizer.add_tokens([f"<|{i * 0.02:.2f}|>" for i in range(50 * seconds + 1)])
    return tokenizer


@kept
def tiny_whisper(folder: Path, *, languages: Sequence[str] = LANGUAGES, seconds: int = 2, seed: int = 7, **config: Any) -> Path:
    """Return the folder with a random Whisper saved in it, which hears windows of so many seconds."""
    tokenizer = whisper_tokenizer(languages, seconds)
    ids = {each: tokenizer.convert_tokens_to_ids(f"<|{each}|>") for each in ("endoftext", "startoftranscript", *AFTER_LANGUAGES)}
    torch.manual_seed(seed)
    sizes = {
        f"{side}_{name}": size for side in ("encoder", "decoder") for name, size in (("layers", 2), ("attention_heads", 2), ("ffn_dim", 64))
    }
    ends = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id"), ids["endoftext"])
    given = {"d_model": 32, "max_source_positions": 50 * seconds, "max_target_positions": 64, "init_std": 0.5, **sizes, **ends, **config}
    chosen = transformers.WhisperConfig(vocab_size=len(tokenizer), decoder_start_token_id=ids["startoftranscript"], **given)
    model = transformers.WhisperForConditionalGeneration(chosen)
    known = {"no_timestamps_token_id": ids["notimestamps"], "prev_sot_token_id": ids["startofprev"], "is_multilingual": bool(languages)}
    if languages:
        known["lang_to_id"] = {f"<|{each}|>": tokenizer.convert_tokens_to_ids(f"<|{each}|>") for each in languages}
        known["task_to_id"] = {each: ids[each] for each in ("transcribe", "translate")}
    known |= {"alignment_heads": [[0, 1], [1, 0]], "max_initial_timestamp_index": 50, "begin_suppress_tokens": [ids["endoftext"]]}
    known["suppress_tokens"] = [
        token for text, token in tokenizer.get_vocab().items() if token < ids["endoftext"] and not (text.isascii() and text.isalnum())
    ]
    model.generation_config = transformers.GenerationConfig(decoder_start_token_id=ids["startoftranscript"], **ends, **known)
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    transformers.WhisperFeatureExtractor(chunk_length=seconds).save_pretrained(folder / "model")
    return folder


def noise(seconds: float, seed: int) -> np.ndarray:
    """Return a sound that changes all the time: tones over noise."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    tones = sum(np.sin(2 * np.pi * hertz * time) * (np.sin(time * rate) > 0) for hertz, rate in rng.uniform((200, 1), (3000, 20), (4, 2)))
    return (0.1 * tones + 0.01 * rng.standard_normal(len(time))).astype(np.float32)


def wav(samples: np.ndarray, rate: int = RATE) -> bytes:
    """Return samples as the bytes of a WAV file that keeps them as they are."""
    encoded = io.BytesIO()
    soundfile.write(encoded, samples, rate, format="WAV", subtype="FLOAT")
    return encoded.getvalue()


LABELS = ("hum", "click", "hiss", "whistle")
ENCODER: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "initializer_range": 0.2,
    "conv_dim": (16, 16),
    "conv_kernel": (10, 8),
    "conv_stride": (10, 8),
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
    "classifier_proj_size": 32,
}
SPECTROGRAM: dict[str, Any] = {name: ENCODER[name] for name in list(ENCODER)[:5]} | {"max_length": 104, "num_mel_bins": 32}


@kept
def tiny_classifier(folder: Path, family: str, **config: Any) -> Path:
    """Return the folder with a random model that labels sounds saved in it."""
    named = {"id2label": dict(enumerate(LABELS)), "label2id": {label: i for i, label in enumerate(LABELS)}}
    torch.manual_seed(3)
    extractor: Any
    if family == "whisper":
        tiny_whisper(folder)
        chosen = transformers.AutoConfig.from_pretrained(folder / "model", **named)
        extractor = transformers.WhisperFeatureExtractor(chunk_length=2)
    elif family == "audio-spectrogram-transformer":
        chosen = transformers.AutoConfig.for_model(family, **{**SPECTROGRAM, **named, **config})
        extractor = transformers.ASTFeatureExtractor(max_length=104, num_mel_bins=32)
    else:
        chosen = transformers.AutoConfig.for_model(family, **{**ENCODER, **named, **config})
        extractor = transformers.Wav2Vec2FeatureExtractor(return_attention_mask=config["feat_extract_norm"] == "layer")
    transformers.AutoModelForAudioClassification.from_config(chosen).save_pretrained(folder / "model")
    extractor.save_pretrained(folder / "model")
    return folder


@kept
def tiny_clap(folder: Path, *, fusion: bool = False) -> Path:
    """Return the folder with a random CLAP saved in it, which hears a second at 16 kHz."""
    tokenizer = tiny_encoders.roberta_tokenizer()
    text = {name: ENCODER[name] for name in ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")}
    text |= {"vocab_size": len(tokenizer), "max_position_embeddings": 66, "initializer_factor": 8.0}
    audio = {"num_mel_bins": 64, "spec_size": 64, "depths": [1, 1], "num_attention_heads": [2, 2], "window_size": 4, "hidden_size": 32}
    audio |= {"patch_embeds_hidden_size": 16, "initializer_factor": 8.0, "num_hidden_layers": 2}
    if fusion:
        audio |= {"enable_fusion": True}
    torch.manual_seed(4)
    config = transformers.ClapConfig(text_config=text, audio_config=audio, projection_dim=24)
    model = transformers.ClapModel(config)
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    transformers.ClapFeatureExtractor(
        feature_size=64,
        sampling_rate=RATE,
        hop_length=320,
        max_length_s=1,
        fft_window_size=512,
        frequency_max=8000,
        truncation="fusion" if fusion else "rand_trunc",
    ).save_pretrained(folder / "model")
    return folder


VOICE: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "ffn_dim": 32,
    "flow_size": 8,
    "spectrogram_bins": 9,
    "prior_encoder_num_flows": 2,
    "prior_encoder_num_wavenet_layers": 2,
    "posterior_encoder_num_wavenet_layers": 1,
    "upsample_initial_channel": 16,
    "upsample_rates": [4, 4],
    "upsample_kernel_sizes": [8, 8],
    "resblock_kernel_sizes": [3],
    "resblock_dilation_sizes": [[1, 3]],
    "duration_predictor_num_flows": 2,
    "depth_separable_num_layers": 2,
    "duration_predictor_flow_bins": 4,
    "sampling_rate": 1600,
}


@kept
def tiny_voice(folder: Path, **config: Any) -> Path:
    """Return the folder with a random VITS saved in it, of a hundred frames in a second, that knows small letters."""
    letters = "|'-_ abcdefghijklmnopqrstuvwxyz"
    (folder / "model").mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({letter: i for i, letter in enumerate(letters)}))
    tokenizer = transformers.VitsTokenizer(str(folder / "vocab.json"), phonemize=False, pad_token="|")
    torch.manual_seed(1)
    model = transformers.VitsModel(transformers.VitsConfig(vocab_size=len(letters), **{**VOICE, **config}))
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    return folder
