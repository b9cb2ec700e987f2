"""Orders of a furniture shop with the note that each customer should get, drawn from small lists: millions of orders.
Knows nothing of models, Spark or tables other than its own."""

import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from tutorials.splits import draws

TITLES = ("Ms", "Mr")
NAMES = (
    *("Adams", "Baker", "Clarke", "Davies", "Evans", "Foster", "Graham", "Hughes", "Irving", "Jones", "Kelly", "Lewis"),
    *("Murphy", "Norris", "Owen", "Parker", "Quinn", "Reed", "Shaw", "Turner", "Underwood", "Vaughan", "Walker", "Young"),
)
# One of it: several of it.
GOODS = {
    "lamp": "lamps",
    "rug": "rugs",
    "chair": "chairs",
    "table": "tables",
    "sofa": "sofas",
    "desk": "desks",
    "mirror": "mirrors",
    "bench": "benches",
    "shelf": "shelves",
    "stool": "stools",
    "clock": "clocks",
    "vase": "vases",
}
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
NOTES = {
    "packed": "Dear {customer}, your {items} will leave our warehouse on {day}.",
    "shipped": "Dear {customer}, your {items} left our warehouse on {day}.",
    "delivered": "Dear {customer}, your {items} arrived on {day}. We hope you like what you chose!",
    "delayed": "Dear {customer}, we are sorry: your {items} will not arrive before {day}.",
    "cancelled": "Dear {customer}, your order of {items} was cancelled on {day}. You pay nothing.",
}
PROMPT = "Customer: {customer}\nOrdered: {items}\nStatus: {state}, {day}\nNote:\n"


@dataclass(frozen=True)
class Order:
    """What is known of one order, and the note that follows from it."""

    customer: str
    items: str
    state: str
    day: str

    @property
    def prompt(self) -> str:
        """The order as conf/order-notes.yaml puts it into its template."""
        return PROMPT.format(**asdict(self))

    @property
    def note(self) -> str:
        """What the customer is told."""
        return NOTES[self.state].format(**asdict(self))


def draw_items(chance: random.Random) -> str:
    """One to three kinds of goods with their numbers, as a list in words."""
    numbers = [(chance.randint(1, 9), good) for good in chance.sample(list(GOODS), chance.randint(1, 3))]
    *first, last = [f"{number} {good if number == 1 else GOODS[good]}" for number, good in numbers]
    return f"{', '.join(first)} and {last}" if first else last


def draw_order(chance: random.Random) -> Order:
    """One order."""
    customer = f"{chance.choice(TITLES)} {chance.choice(NAMES)}"
    return Order(customer, draw_items(chance), state=chance.choice(list(NOTES)), day=chance.choice(DAYS))


def iter_orders(seed: int, *, held_out: bool) -> Iterator[Order]:
    """Orders without end, of one split."""
    return draws(draw_order, lambda each: [each.prompt], seed=seed, held_out=held_out)
