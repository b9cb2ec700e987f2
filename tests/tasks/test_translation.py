"""Translations with T5's prefix, by Marian, and between the languages of NLLB, held against `model.generate`, without Spark."""

import json
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import torch
from tiny_models import CORPUS, TEXTS, native, predictions, saved, scored, text_of, tiny_seq2seq
from transformers import M2M100Config, M2M100ForConditionalGeneration, MarianConfig, MarianMTModel, MarianTokenizer, NllbTokenizer

from sparkcoil import tasks
from sparkcoil.errors import ModelError
from sparkcoil.tasks.translation import TASK, TranslationOptions

SIZES = {
    **{
        f"{side}_{name}": value
        for side in ("encoder", "decoder")
        for name, value in (("layers", 2), ("attention_heads", 2), ("ffn_dim", 64))
    },
    "d_model": 32,
    "init_std": 2.0,
}


@pytest.fixture(scope="module")
def nllb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model with NLLB's tokenizer, laid out as a logged model."""
    letters = sorted(set("".join(CORPUS)) - {" "})
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "▁", *letters, *("▁" + letter for letter in letters), "en"]
    merges = [("▁", letter) for letter in letters] + [("e", "n")]
    tokenizer: Any = NllbTokenizer(vocab={piece: i for i, piece in enumerate(pieces)}, merges=merges)
    torch.manual_seed(3)
    config = M2M100Config(
        vocab_size=len(tokenizer),
        pad_token_id=1,
        eos_token_id=2,
        bos_token_id=0,
        decoder_start_token_id=2,
        max_position_embeddings=40,
        **SIZES,
    )
    return saved(tmp_path_factory.mktemp("nllb"), M2M100ForConditionalGeneration(config), tokenizer)


@pytest.fixture(scope="module")
def marian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Marian model with 16 positions, laid out as a logged model."""
    folder = tmp_path_factory.mktemp("marian")
    (folder / "corpus.txt").write_text("\n".join(CORPUS))
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "corpus.txt"), model_prefix=str(folder / "source"), vocab_size=60, hard_vocab_limit=False, minloglevel=2
    )
    spm = sentencepiece.SentencePieceProcessor(model_file=str(folder / "source.model"))
    pieces = [spm.id_to_piece(i) for i in range(spm.get_piece_size())]
    vocabulary = ["</s>", "<unk>", *(piece for piece in pieces if piece not in ("</s>", "<unk>", "<s>")), "<pad>"]
    (folder / "vocab.json").write_text(json.dumps({piece: i for i, piece in enumerate(vocabulary)}))
    tokenizer = MarianTokenizer(str(folder / "source.model"), str(folder / "source.model"), str(folder / "vocab.json"))
    torch.manual_seed(3)
    pad = len(vocabulary) - 1
    config = MarianConfig(
        vocab_size=len(vocabulary), pad_token_id=pad, eos_token_id=0, decoder_start_token_id=pad, max_position_embeddings=16, **SIZES
    )
    return saved(folder, MarianMTModel(config), tokenizer)


def native_nllb(artifact: Path, text: str, source: str, target: str) -> str:
    """Return the translation that `model.generate` gives of one text."""
    tokenizer: Any = NllbTokenizer.from_pretrained(artifact / "model", src_lang=source)
    model: Any = M2M100ForConditionalGeneration.from_pretrained(artifact / "model").eval()
    forced = tokenizer.convert_tokens_to_ids(target)
    output = model.generate(**tokenizer(text, return_tensors="pt"), forced_bos_token_id=forced, max_new_tokens=12, do_sample=False)
    return str(tokenizer.decode(output[0], skip_special_tokens=True))


def test_a_prefix_makes_t5_translate(tmp_path: Path) -> None:
    artifact = tiny_seq2seq(tmp_path)
    prefix = "translate English to German: "
    expected = native(artifact, [prefix + text for text in TEXTS], max_new_tokens=12)
    options = tasks.implied_options(TASK, "translation_en_to_de")
    predicted = predictions(TASK, artifact, TEXTS, prefix=prefix, max_new_tokens=12, **dict(options or {}))
    assert [each["text"] for each in predicted] == [text_of(artifact, tokens) for tokens in expected]


def test_the_languages_of_a_run_reach_the_model(nllb: Path) -> None:
    expected = [native_nllb(nllb, text, "deu_Latn", "fra_Latn") for text in TEXTS[:4]]
    predicted = predictions(TASK, nllb, TEXTS[:4], src_lang="deu_Latn", tgt_lang="fra_Latn", max_new_tokens=12)
    assert [each["text"] for each in predicted] == expected


def test_the_languages_of_a_row_leave_its_neighbours_alone(nllb: Path) -> None:
    pairs = [("eng_Latn", "fra_Latn"), ("deu_Latn", "fra_Latn"), ("deu_Latn", "ron_Latn"), (None, "fra_Latn")]
    rows = [{"text": b"an array", "src_lang": s and s.encode(), "tgt_lang": t.encode()} for s, t in pairs]
    predicted = predictions(TASK, nllb, rows, max_new_tokens=12)
    assert [each["text"] for each in predicted] == [native_nllb(nllb, "an array", s or "eng_Latn", t) for s, t in pairs]
    assert len({each["text"] for each in predicted}) == 3


@pytest.mark.parametrize("word", ["Klingon", "en"])
def test_a_row_s_unknown_language_fails_it(nllb: Path, word: str) -> None:
    bad, good = scored(TASK, nllb, [{"text": b"an array", "tgt_lang": word.encode()}, {"text": b"12"}], max_new_tokens=3)
    assert bad.error is not None and (bad.error.code, bad.error.message) == ("bad_option", "tgt_lang is not a language of this model")
    assert good.error is None


def test_a_run_s_unknown_language_refuses_the_model(nllb: Path) -> None:
    with pytest.raises(ModelError, match="src_lang is not a language of this model; its languages: ace_Arab, ace_Latn"):
        scored(TASK, nllb, ["an array"], src_lang="en")


def test_marian_equals_one_row_at_a_time_and_never_passes_its_positions(marian: Path) -> None:
    texts = ["the socket", "an array", "12", "🙂", "mail " * 200]
    predicted = predictions(TASK, marian, texts, src_lang="en", tgt_lang="de")
    assert [each["text"] for each in predicted[:4]] == [
        text_of(marian, each) for each in native(marian, texts[:4], max_new_tokens=15, pad_token_id=None)
    ]
    assert predicted[4]["prompt_tokens"] == 16
    assert max(each["completion_tokens"] for each in predicted) == 15


@pytest.mark.parametrize(
    ("name", "languages"),
    [("translation_en_to_fr", ("en", "fr")), ("translation_en_XX_to_ro_RO", ("en_XX", "ro_RO"))],
)
def test_a_name_gives_the_languages(name: str, languages: tuple[str, str]) -> None:
    assert tasks.load(name) is TASK
    options = TranslationOptions(**dict(tasks.implied_options(TASK, name) or {}))
    assert (options.src_lang, options.tgt_lang) == languages
