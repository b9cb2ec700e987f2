"""Questions about small tables, each with the SQL that answers it: hundreds of thousands of them.
Knows nothing of models or Spark; what a query gives is seen by running it in SQLite."""

import random
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tutorials.splits import draws

TABLES = ("orders", "sales", "bookings", "invoices")
# What a question calls a column: the names that a table may have for it.
TEXTS = {"customer": ("customer", "client", "buyer"), "town": ("town", "city", "place"), "product": ("product", "item", "article")}
NUMBERS = {"price": ("price", "cost", "amount"), "number": ("number", "quantity", "pieces")}
VALUES = {
    "customer": ("Adams", "Baker", "Clarke", "Davies", "Evans"),
    "town": ("Leeds", "York", "Bath", "Derby", "Exeter"),
    "product": ("lamp", "rug", "chair", "table", "sofa"),
}
LIMITS = (10, 20, 30, 40, 50)
AGGREGATES = {"total": "SUM", "highest": "MAX", "lowest": "MIN", "average": "AVG"}
COUNTS = {"two": 2, "three": 3, "four": 4}
PROMPT = "Table: {schema}\nQuestion: {question}\nSQL:\n"
# In words and in SQL, where {number} and {text} are the columns' names in the table.
FORMS = (
    ("How many {table} are there{words}?", "SELECT COUNT(*) FROM {table}{where}"),
    ("What is the {most} {number} of all {table}{words}?", "SELECT {most}({number}) FROM {table}{where}"),
    ("List the {text} of all {table}{words}, sorted by {number}.", "SELECT {text} FROM {table}{where} ORDER BY {number}"),
    (
        "Show the {text} of the {few} {table} with the highest {number}{words}.",
        "SELECT {text} FROM {table}{where} ORDER BY {number} DESC LIMIT {few}",
    ),
)
SAMPLE_ROWS = 40


@dataclass(frozen=True)
class Question:
    """A question about a table of that schema, and the query that answers it."""

    schema: str
    question: str
    sql: str

    @property
    def prompt(self) -> str:
        """The question as conf/questions-to-sql.yaml puts it to the model."""
        return PROMPT.format(schema=self.schema, question=self.question)


def draw_condition(chance: random.Random, columns: Mapping[str, str]) -> tuple[str, str]:
    """A condition in words and in SQL, both empty where there is none."""
    concept = chance.choice(list(columns))
    if chance.random() < 0.25:
        return "", ""
    if concept in TEXTS:
        value = chance.choice(VALUES[concept])
        return f" where the {concept} is {value}", f" WHERE {columns[concept]} = '{value}'"
    limit = chance.choice(LIMITS)
    word, sign = chance.choice((("above", ">"), ("below", "<")))
    return f" where the {concept} is {word} {limit}", f" WHERE {columns[concept]} {sign} {limit}"


def draw_question(chance: random.Random) -> Question:
    """A question about a table whose columns may be called otherwise than the question calls them."""
    table, most, few = chance.choice(TABLES), chance.choice(list(AGGREGATES)), chance.choice(list(COUNTS))
    texts, numbers = chance.sample(list(TEXTS), 2), chance.sample(list(NUMBERS), chance.randint(1, 2))
    columns = {concept: chance.choice({**TEXTS, **NUMBERS}[concept]) for concept in texts + numbers}
    words, where = draw_condition(chance, columns)
    asked, query = chance.choice(FORMS)
    question = asked.format(table=table, words=words, most=most, few=few, number=numbers[0], text=texts[0])
    named = {"number": columns[numbers[0]], "text": columns[texts[0]]}
    sql = query.format(table=table, where=where, most=AGGREGATES[most], few=COUNTS[few], **named)
    return Question(f"{table}({', '.join(chance.sample(list(columns.values()), len(columns)))})", question, sql)


def iter_questions(seed: int, *, held_out: bool) -> Iterator[Question]:
    """Questions without end, of one split."""
    return draws(draw_question, lambda each: [each.prompt], seed=seed, held_out=held_out)


def result(schema: str, sql: str) -> list[tuple[Any, ...]] | None:
    """What a query gives on a table of the schema with rows in it, None where it is no query for the table."""
    table, columns = schema.removesuffix(")").split("(")
    chance = random.Random(0)
    cells = []
    for column in columns.split(", "):
        concept = next(each for each, names in {**TEXTS, **NUMBERS}.items() if column in names)
        # No number twice, so that the order of rows is never left open.
        cells.append(chance.choices(VALUES[concept], k=SAMPLE_ROWS) if concept in TEXTS else chance.sample(range(1, 61), SAMPLE_ROWS))
    with sqlite3.connect(":memory:") as database:
        database.execute(f"CREATE TABLE {schema}")
        database.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(cells))})", zip(*cells, strict=True))
        try:
            return database.execute(sql).fetchall()
        except sqlite3.Error:
            return None
