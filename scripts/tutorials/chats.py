"""Conversations with the support of a furniture shop, in which a question may need the ones before it: millions of them.
Knows nothing of models, Spark or tables."""

import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tutorials.orders import GOODS
from tutorials.splits import draws

Message = Mapping[str, str]
Chat = tuple[Message, ...]

# What support knows by heart: prices in euros; when a shop opens, and when it closes on weekdays and on Saturdays.
PRICES = {
    "lamp": 24,
    "rug": 80,
    "chair": 45,
    "table": 120,
    "sofa": 390,
    "desk": 150,
    "mirror": 35,
    "bench": 70,
    "shelf": 60,
    "stool": 30,
    "clock": 18,
    "vase": 12,
}
HOURS = {
    "Leeds": (9, 18, 14),
    "York": (10, 19, 16),
    "Bath": (8, 17, 13),
    "Derby": (9, 20, 15),
    "Exeter": (10, 18, 14),
    "Truro": (8, 16, 12),
}
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
BRIEF = {"role": "system", "content": "Answer briefly."}


@dataclass(frozen=True)
class Asked:
    """What a customer wants to know: the price of some goods, or when a shop is open on a day."""

    number: int = 0
    good: str = ""
    town: str = ""
    day: str = ""

    def answer(self, *, brief: bool) -> str:
        """What support says."""
        if self.good:
            price = f"{self.number * PRICES[self.good]} euros."
            return price if brief else f"{self.goods.capitalize()} {'costs' if self.number == 1 else 'cost'} {price}"
        opens, closes, saturday = HOURS[self.town]
        hours = "closed" if self.day == "Sunday" else f"from {opens} to {saturday if self.day == 'Saturday' else closes}"
        state = hours if hours == "closed" else f"open {hours}"
        return f"{hours.capitalize()}." if brief else f"The shop in {self.town} is {state} on {self.day}."

    @property
    def goods(self) -> str:
        """The goods in words."""
        return f"a {self.good}" if self.number == 1 else f"{self.number} {GOODS[self.good]}"


def draw_question(chance: random.Random) -> tuple[str, Asked]:
    """A question that says all that is asked."""
    if chance.random() < 0.5:
        asked = Asked(number=chance.randint(1, 4), good=chance.choice(list(PRICES)))
        does, is_ = ("does", "is") if asked.number == 1 else ("do", "are")
        forms = (f"What {does} {asked.goods} cost?", f"How much {is_} {asked.goods}?", f"Tell me the price of {asked.goods}.")
    else:
        asked = Asked(town=chance.choice(list(HOURS)), day=chance.choice(DAYS))
        shop, day = f"the shop in {asked.town}", f"on {asked.day}"
        forms = (f"When is {shop} open {day}?", f"Is {shop} open {day}?", f"Tell me the hours of {shop} {day}.")
    return chance.choice(forms), asked


def draw_follow_up(chance: random.Random, before: Asked) -> tuple[str, Asked]:
    """A question that changes one thing of the one before, and leaves the rest unsaid."""
    other = chance.random() < 0.5
    if before.good and other:
        asked = Asked(number=1, good=chance.choice(list(PRICES)))
        return chance.choice((f"And {asked.goods}?", f"What about {asked.goods}?")), asked
    if before.good:
        asked = replace(before, number=chance.choice([each for each in (2, 3, 4) if each != before.number]))
        return chance.choice((f"And {asked.number} of them?", f"And if I take {asked.number}?")), asked
    if other:
        asked = replace(before, town=chance.choice([each for each in HOURS if each != before.town]))
        return chance.choice((f"And in {asked.town}?", f"What about {asked.town}?")), asked
    asked = replace(before, day=chance.choice([each for each in DAYS if each != before.day]))
    return chance.choice((f"And on {asked.day}?", f"What about {asked.day}?")), asked


def draw_chat(chance: random.Random) -> Chat:
    """One to three questions, each with its answer; some begin with how answers should be."""
    brief = chance.random() < 0.3
    messages: list[Message] = [BRIEF] if brief else []
    question, asked = draw_question(chance)
    for turn in range(chance.randint(1, 3)):
        if turn:
            question, asked = draw_follow_up(chance, asked) if chance.random() < 0.75 else draw_question(chance)
        messages += [{"role": "user", "content": question}, {"role": "assistant", "content": asked.answer(brief=brief)}]
    return tuple(messages)


def iter_chats(seed: int, *, held_out: bool) -> Iterator[Chat]:
    """Conversations without end, of one split; the beginning of a conversation is one too."""
    return draws(draw_chat, beginnings, seed=seed, held_out=held_out)


def beginnings(chat: Chat) -> Sequence[str]:
    """The conversation up to each of its answers, as text."""
    return [json.dumps(chat[: i + 1]) for i, message in enumerate(chat) if message["role"] == "assistant"]


def draw_request(chance: random.Random, chat: Chat) -> dict[str, Any]:
    """A request for the last answer as OpenAI's clients make it, with the reply that should come."""
    reply = chat[-1]["content"]
    request: dict[str, Any] = {"messages": json.dumps(chat[:-1]), "max_tokens": None, "temperature": None, "stop": None, "seed": None}
    kind = chance.choice(("plain", "short", "stopped", "sampled"))
    if kind == "short":
        request["max_tokens"] = chance.randint(1, 3)
        # A token is a word or a mark, with the space before it.
        reply = "".join(re.findall(r" ?\w+| ?[^\w\s]", reply)[: request["max_tokens"]])
    if kind == "stopped":
        request["stop"] = chance.choice((".", " on", " euros"))
        reply = reply.split(request["stop"])[0]
    if kind == "sampled":
        request |= {"temperature": 0.2, "seed": chance.randint(1, 99)}
    return {**request, "reply": reply}
