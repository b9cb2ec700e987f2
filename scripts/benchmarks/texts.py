"""Texts whose lengths are like those of real ones, drawn by a seed, and tokenizers that split their words as real ones do."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import transformers

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
SYLLABLES = tuple(a + b for a, b in product("bdfghjklmnprstvz", "aeiou"))
PROMPTS = tuple(
    f"Template {number}. " + " ".join(SYLLABLES[(number * 7 + i * i) % len(SYLLABLES)] for i in range(176)) for number in range(3)
)


def tokenizer(max_length: int = 512) -> transformers.BertTokenizer:
    """Return a WordPiece tokenizer of syllables, to which a word of three syllables is two tokens or three."""
    pairs = [a + b for a, b in product(SYLLABLES[::3], SYLLABLES[::4])]
    pieces = [*SYLLABLES, *(f"##{each}" for each in SYLLABLES), *pairs, "template", *"0123456789.", *(f"##{each}" for each in "0123456789")]
    vocabulary = {each: number for number, each in enumerate(dict.fromkeys([*SPECIAL, *pieces]))}
    return transformers.BertTokenizer(vocab=vocabulary, model_max_length=max_length)


def text(rng: np.random.Generator, words: int) -> str:
    """Return so many words of one to three syllables."""
    syllables = iter(rng.choice(SYLLABLES, size=3 * words))
    return " ".join("".join(next(syllables) for _ in range(count)) for count in rng.choice((1, 2, 3), size=words, p=(0.75, 0.2, 0.05)))


def lognormal(rng: np.random.Generator, count: int, *, median: float, sigma: float, cap: int) -> Sequence[int]:
    """Return lengths in words whose logarithms are normal, of at least one and at most `cap`."""
    lengths: Sequence[int] = np.clip(np.exp(rng.normal(np.log(median), sigma, count)).round(), 1, cap).astype(int).tolist()
    return lengths


def texts(lengths: Sequence[int], seed: int = 1) -> list[str]:
    """Return a text for each number of words."""
    rng = np.random.default_rng(seed)
    return [text(rng, each) for each in lengths]


def reviews(count: int) -> list[str]:
    """Return texts of a median of 150 words, as reviews have."""
    return texts(lognormal(np.random.default_rng(11), count, median=150, sigma=0.75, cap=400))


def tickets(count: int) -> list[str]:
    """Return short texts, of which 40 in 100 are exactly like another."""
    rng = np.random.default_rng(12)
    distinct = texts(lognormal(rng, count * 6 // 10, median=32, sigma=0.9, cap=400))
    return [distinct[i] for i in rng.permutation([*range(len(distinct)), *rng.integers(0, len(distinct), count - len(distinct))])]


def skewed(count: int) -> list[str]:
    """Return short texts, one in 64 of which is long."""
    return texts([320 if i % 64 == 17 else 5 for i in range(count)])


def uniform(count: int) -> list[str]:
    """Return texts of equal length in words."""
    return texts([50] * count)


def chats(count: int) -> list[str]:
    """Return prompts made of one of three templates of some 180 tokens, and a short text of the row's own."""
    own = texts(lognormal(np.random.default_rng(13), count, median=30, sigma=0.6, cap=200))
    return [f"{PROMPTS[i % 3]} {each}" for i, each in enumerate(own)]


def sentences(count: int) -> list[str]:
    """Return texts as long as the sentences that are translated."""
    return texts(lognormal(np.random.default_rng(14), count, median=16, sigma=0.6, cap=100))
