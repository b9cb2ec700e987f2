"""A tiny Whisper before training: its tokenizer with timestamps, its feature extractor, and weights that begin with an ear and a clock.
Knows nothing of how it is trained."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from make_calls import WORDS
from make_keypad import HIGH_HZ, LOW_HZ
from tokenizers import pre_tokenizers
from transformers import GenerationConfig, WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration, WhisperTokenizer

RATE = 16000
# A position of the encoder, and with it a step between timestamps.
TICK = 0.02
# In place of Whisper's 30: a fifth of the work, and calls need no more to be understood.
WINDOW_SECONDS = 6
END, START, NO_TIMESTAMPS = "<|endoftext|>", "<|startoftranscript|>", "<|notimestamps|>"
# In the order of a Whisper's vocabulary that knows English alone.
SPECIAL = (START, "<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", NO_TIMESTAMPS)
WIDTH = 64
# Of each key's tones, and of tones between and around them, how strongly a filter of the first convolution answers.
EAR_HZ = np.concatenate([LOW_HZ, HIGH_HZ, np.geomspace(300, 3500, 8)])
HEAD_WIDTH = 16
# Which of the sinusoids that stand for a position tell near ones apart, and which tell all of them.
NEAR, FAR = range(3, 11), range(1, 17, 2)
NEIGHBOURS = (-5, -11, 8)
# Of the last layer's heads, those that training shows where to listen; the first of them hands on the time.
LISTENING_HEADS = ((1, 0), (1, 1))
CLOCK_HEAD = LISTENING_HEADS[0]


def make_tokenizer() -> WhisperTokenizer:
    """A token for each of the words with the space before it, and a timestamp for each tick of a window."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = [(f"Ġ{word}"[:i], letter) for word in WORDS.values() for i, letter in enumerate(word, start=1)]
    merges = list(dict.fromkeys(pieces))
    vocabulary = {piece: number for number, piece in enumerate([*alphabet, *map("".join, merges), END])}
    tokenizer = WhisperTokenizer(vocab=vocabulary, merges=merges, pad_token=END)
    tokenizer.add_special_tokens({"additional_special_tokens": list(SPECIAL)})
    tokenizer.add_tokens([f"<|{i * TICK:.2f}|>" for i in range(round(WINDOW_SECONDS / TICK) + 1)])
    return tokenizer


def make_extractor() -> WhisperFeatureExtractor:
    """Log-mel frames of a window, filled up with silence."""
    return WhisperFeatureExtractor(chunk_length=WINDOW_SECONDS)


def make_model(tokenizer: WhisperTokenizer) -> WhisperForConditionalGeneration:
    """An untrained model whose first convolution is tuned to the keypad, and whose timestamps are the encoder's own positions."""
    sides: dict[str, Any] = {}
    for side in ("encoder", "decoder"):
        sides |= {f"{side}_layers": 2, f"{side}_attention_heads": 4, f"{side}_ffn_dim": 2 * WIDTH}
    end = tokenizer.convert_tokens_to_ids(END)
    ends = {"pad_token_id": end, "bos_token_id": end, "eos_token_id": end}
    start = tokenizer.convert_tokens_to_ids(START)
    config = WhisperConfig(
        vocab_size=len(tokenizer),
        d_model=WIDTH,
        max_source_positions=round(WINDOW_SECONDS / TICK),
        max_target_positions=64,
        decoder_start_token_id=start,
        init_std=0.08,
        dropout=0.0,
        suppress_tokens=None,
        begin_suppress_tokens=None,
        **sides,
        **ends,
    )
    model = WhisperForConditionalGeneration._from_config(config, attn_implementation="eager")
    with torch.no_grad():
        give_ear(model)
        give_neighbours(model)
        give_clock(model, tokenizer.convert_tokens_to_ids(NO_TIMESTAMPS) + 1)
    model.generation_config = GenerationConfig(
        decoder_start_token_id=start,
        no_timestamps_token_id=tokenizer.convert_tokens_to_ids(NO_TIMESTAMPS),
        prev_sot_token_id=tokenizer.convert_tokens_to_ids("<|startofprev|>"),
        is_multilingual=False,
        alignment_heads=[list(each) for each in LISTENING_HEADS],
        max_length=config.max_target_positions,
        **ends,
    )
    return model


def give_ear(model: WhisperForConditionalGeneration) -> None:
    """The first convolution tells tones apart: each filter weighs the mel bins of one against those around it."""
    conv, extractor = model.model.encoder.conv1, make_extractor()
    seconds = np.arange(RATE * WINDOW_SECONDS) / RATE
    for i, hertz in enumerate(EAR_HZ):
        heard = extractor(0.3 * np.sin(2 * np.pi * hertz * seconds), sampling_rate=RATE, return_tensors="pt").input_features[0]
        shape = heard[:, heard.shape[1] // 2].exp()
        bins = (shape - shape.mean()) / shape.sub(shape.mean()).norm()
        conv.weight[i] = bins[:, None] / 2
        conv.weight[i + len(EAR_HZ)] = -bins[:, None] / 2


def clock_rows(numbers: Sequence[int], *, later: float = 0.0) -> torch.Tensor:
    """Rows that read the time of some frequencies off a state, as it will be some ticks later."""
    half = WIDTH // 2
    angles = later * 10000 ** (-torch.tensor(numbers) / (half - 1))
    rows = torch.zeros(2 * len(numbers), WIDTH)
    for i, (number, angle) in enumerate(zip(numbers, angles.tolist(), strict=True)):
        rows[2 * i, number], rows[2 * i, half + number] = np.cos(angle), np.sin(angle)
        rows[2 * i + 1, number], rows[2 * i + 1, half + number] = -np.sin(angle), np.cos(angle)
    return rows


def give_neighbours(model: WhisperForConditionalGeneration) -> None:
    """Heads of the encoder look a little to the left, further to the left, and to the right."""
    for layer in model.model.encoder.layers:
        for head, later in enumerate(NEIGHBOURS):
            rows = slice(head * HEAD_WIDTH, (head + 1) * HEAD_WIDTH)
            layer.self_attn.k_proj.weight[rows] = 1.5 * clock_rows(NEAR)
            layer.self_attn.q_proj.weight[rows] = 1.5 * clock_rows(NEAR, later=later)


def give_clock(model: WhisperForConditionalGeneration, first: int) -> None:
    """What an encoder's position adds to its states is what the timestamp of that position means."""
    positions = model.model.encoder.embed_positions.weight
    model.model.decoder.embed_tokens.weight[first : first + len(positions)] = positions * 0.15
    layer, head = CLOCK_HEAD
    attention = model.model.decoder.layers[layer].encoder_attn
    columns = slice(head * HEAD_WIDTH, (head + 1) * HEAD_WIDTH)
    attention.v_proj.weight[columns] = clock_rows(FAR)
    attention.out_proj.weight[:, columns] = clock_rows(FAR).T
