"""What looks at every step of `model.generate`, and what a row's tokens come to once it is over.

Knows nothing of Spark or MLflow.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import LogitsProcessor, StoppingCriteria

from sparkcoil.generation import Completion


@dataclass(frozen=True)
class Ending:
    """Where a row's text ends, if the model does not end it: after so many new tokens, at one of the strings, or at one of the tokens.

    `context` is the prompt that the new tokens go on from; a tokenizer drops a leading space where it does not know it.
    """

    context: tuple[int, ...]
    limit: int
    stop: tuple[str, ...]
    tokens: tuple[int, ...] = ()


def new_text(tokenizer: Any, ending: Ending, tokens: Sequence[int]) -> str:
    """Return the text of new tokens, without special ones, as it follows the prompt's."""
    before = decoded(tokenizer, ending.context) if ending.context else ""
    return decoded(tokenizer, (*ending.context, *tokens))[len(before) :]


def decoded(tokenizer: Any, tokens: Sequence[int]) -> str:
    """Return the text of tokens as the model wrote it."""
    text: str = tokenizer.decode(list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return text


def completed(tokenizer: Any, ending: Ending, tokens: Sequence[int], eos: Sequence[int]) -> Completion:
    """Return what a row generated, up to its end: what follows it in the model's output is padding, or other rows' time."""
    tokens = tokens[: ending.limit]
    end = next((i + 1 for i, token in enumerate(tokens) if token in eos or token in ending.tokens), None)
    tokens = tokens[:end]
    text = new_text(tokenizer, ending, tokens)
    if not stopped(text, ending.stop):
        return Completion(text, len(tokens), "length" if end is None else "stop")
    count = bisect_left(range(len(tokens)), True, key=lambda n: stopped(new_text(tokenizer, ending, tokens[:n]), ending.stop))
    return Completion(text[: min(text.find(each) for each in ending.stop if each in text)], count, "stop")


def stopped(text: str, stops: Sequence[str]) -> bool:
    """Tell whether a text holds one of the strings that end it."""
    return any(each in text for each in stops)


class Ended(StoppingCriteria):
    """Ends each row of a batch at its own limit and its own stop strings, so that no row waits for more than its neighbours."""

    def __init__(self, tokenizer: Any, endings: Sequence[Ending], start: int) -> None:
        self.tokenizer = tokenizer
        self.endings = endings
        self.start = start
        self.limits = torch.tensor([each.limit for each in endings])
        self.stops = any(each.stop or each.tokens for each in endings)

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        """Return which sequences are over; beams and texts of one row are neighbours."""
        share = len(input_ids) // len(self.endings)
        if not self.stops:
            return (self.limits <= input_ids.shape[1] - self.start).repeat_interleave(share).to(input_ids.device)
        over = [self._over(self.endings[i // share], ids) for i, ids in enumerate(input_ids)]
        return torch.tensor(over, dtype=torch.bool, device=input_ids.device)

    def _over(self, ending: Ending, ids: torch.Tensor) -> bool:
        if len(ids) - self.start >= ending.limit:
            return True
        if int(ids[-1]) in ending.tokens and len(ids) > self.start:
            return True
        if not ending.stop:
            return False
        # A stop string is found as it is completed, so that its tokens are the last ones; special tokens have no text.
        tail = max(len(each.encode()) for each in ending.stop) + 4
        if not stopped(decoded(self.tokenizer, ids[-tail:].tolist()), ending.stop):
            return False
        return stopped(new_text(self.tokenizer, ending, ids[self.start :].tolist()), ending.stop)


class RepetitionPenalty(LogitsProcessor):
    """The penalty of transformers' own processor, which counts padding in front of a prompt as text that was seen."""

    def __init__(self, penalty: float, mask: torch.Tensor) -> None:
        self.penalty = penalty
        self.mask = mask

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return the scores with those of tokens seen lowered."""
        seen = torch.ones_like(input_ids)
        seen[:, : self.mask.shape[1]] = self.mask.repeat_interleave(len(input_ids) // len(self.mask), dim=0)
        counts = torch.zeros(scores.shape, dtype=seen.dtype, device=scores.device).scatter_add_(1, input_ids, seen)
        lowered = torch.where(scores < 0, scores * self.penalty, scores / self.penalty)
        return torch.where(counts > 0, lowered, scores)


class Watch(LogitsProcessor):
    """Remembers the rows for which the model gave NaN, which would otherwise come out as some text."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.found: torch.Tensor | None = None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return the scores, those that are NaN as zero: sampling would stop the whole batch at them, and on a GPU the process."""
        bad = scores.amax(dim=1).isnan()  # the greatest of scores with NaN among them is NaN: one look at a whole vocabulary is enough
        if not bad.any():
            return scores
        rows = bad.view(self.rows, -1).any(dim=1)
        self.found = rows if self.found is None else self.found | rows
        return torch.where(torch.isnan(scores), 0.0, scores)

    def seen(self) -> set[int]:
        """Return the rows with NaN."""
        return set() if self.found is None else {int(i) for i in self.found.nonzero()}
