"""token-classification: a text gets the entities that are named in it, with their places."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import Field

from sparkcoil.errors import RowError
from sparkcoil.tasks import Facts, Input, Options, Prediction, Row, Task, decode_text
from sparkcoil.truncation import Stride


class TokenClassificationOptions(Options):
    """How tokens become entities, and how a long text is read in windows."""

    aggregation_strategy: Literal["none", "simple", "first", "average", "max"] = Field(
        default="simple",
        description="`none`: every token by itself; `simple`: neighbours of one label joined; "
        "`first`, `average`, `max`: the same with one label for a word, by its first token, all of them, or the surest",
    )
    ignore_labels: tuple[str, ...] = Field(default=("O",), description="labels that are no entities")
    truncation: Stride = "stride"
    stride: int | None = Field(
        default=None, ge=0, description="tokens that neighbouring windows of a long text share; a quarter by default"
    )
    max_length: int | None = Field(default=None, ge=1, description="tokens in one window; by default all that the model can read")


class Entity(NamedTuple):
    """An entity, or a token or word with its label, as characters of the text."""

    entity: str
    text: str
    start: int
    end: int
    score: float


class Pieces(NamedTuple):
    """Tokens or words of one window: their likeliest labels, those labels' probabilities, and their places."""

    labels: np.ndarray
    scores: np.ndarray
    starts: np.ndarray
    ends: np.ndarray


def read(row: Row, options: TokenClassificationOptions) -> tuple[str, tuple[str, ...]]:
    """Return the text, with a warning for a blank one."""
    text = decode_text(row["text"], "text")
    return text, () if text.strip() else ("blank_input",)


def write(windows: Sequence[Sequence[Any]], facts: Facts, options: TokenClassificationOptions) -> list[Prediction | RowError]:
    """Return the entities of each row's windows in the text's order; `start` and `end` count its characters."""
    return [{"entities": [each._asdict() for each in entities(tokens, facts["labels"], options)]} for tokens in windows]


def entities(windows: Sequence[Any], labels: Sequence[str], options: TokenClassificationOptions) -> list[Entity]:
    """Return the entities of a text; of those that overlap in two windows the longer, then the surer stays."""
    found = [entity for tokens in windows for entity in in_window(tokens, labels, options)]
    return longest(found) if len(windows) > 1 else found


def in_window(tokens: Any, labels: Sequence[str], options: TokenClassificationOptions) -> Iterator[Entity]:
    """Yield the entities of one window."""
    if not tokens.offsets:
        return
    strategy = options.aggregation_strategy
    pieces = words(tokens, strategy) if strategy in ("first", "average", "max") else each_token(tokens)
    alone = strategy == "none"
    bounds = np.arange(len(pieces.labels)) if alone else group_starts(pieces.labels, labels)
    for first, following in zip(bounds, [*bounds[1:], len(pieces.labels)], strict=True):
        label = labels[pieces.labels[first]]
        name = label if alone else label.split("-", 1)[-1]
        if name not in options.ignore_labels:
            start, end = int(pieces.starts[first]), int(pieces.ends[following - 1])
            yield Entity(name, tokens.text[start:end], start, end, float(pieces.scores[first:following].mean()))


def each_token(tokens: Any) -> Pieces:
    """Return every token with its likeliest label."""
    offsets = np.array(tokens.offsets, dtype=np.int64).reshape(-1, 2)
    return Pieces(tokens.scores.argmax(axis=1), tokens.scores.max(axis=1), offsets[:, 0], offsets[:, 1])


def words(tokens: Any, strategy: str) -> Pieces:
    """Return every word with one label: that of its first token, of the mean of its tokens, or of the surest of them."""
    offsets = np.array(tokens.offsets, dtype=np.int64).reshape(-1, 2)
    firsts = np.array([i for i, continues in enumerate(tokens.continues) if i == 0 or not continues], dtype=np.int64)
    following = np.append(firsts[1:], len(offsets))
    if strategy == "first":
        scores = tokens.scores[firsts]
    elif strategy == "average":
        scores = np.add.reduceat(tokens.scores, firsts, axis=0) / (following - firsts)[:, None]
    else:
        surest = tokens.scores.max(axis=1)
        scores = tokens.scores[[a + int(surest[a:b].argmax()) for a, b in zip(firsts, following, strict=True)]]
    return Pieces(scores.argmax(axis=1), scores.max(axis=1), offsets[firsts, 0], offsets[following - 1, 1])


def group_starts(found: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    """Return where groups of neighbours with one tag begin: `B-` always begins one, any other label goes on where its tag does."""
    names = [label[2:] if label.startswith(("B-", "I-")) else label for label in labels]
    tags = np.array([names.index(name) for name in names])[found]
    begins = np.array([label.startswith("B-") for label in labels])[found]
    begins[1:] |= tags[1:] != tags[:-1]
    begins[:1] = True
    return np.flatnonzero(begins)


def longest(found: Sequence[Entity]) -> list[Entity]:
    """Return entities in the text's order without those that begin within a longer, or equally long and surer, one."""
    kept: list[Entity] = []
    for each in sorted(found, key=lambda entity: entity.start):
        if not kept or not kept[-1].start <= each.start < kept[-1].end:
            kept.append(each)
        elif (each.end - each.start, each.score) > (kept[-1].end - kept[-1].start, kept[-1].score):
            kept[-1] = each
    return kept


TASK = Task(
    name="token-classification",
    aliases=("ner",),
    inputs=(Input("text", ("string",)),),
    prediction="entities ARRAY<STRUCT<entity: STRING, text: STRING, start: INT, end: INT, score: DOUBLE>>",
    options=TokenClassificationOptions,
    engine="tokens",
    heads=("ForTokenClassification",),
    read=read,
    write=write,
)
