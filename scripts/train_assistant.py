"""Trains a tiny GPT-2 on three kinds of text, on the CPU, and saves it as a checkpoint: notes on orders, chats with the support of a
shop, and SQL with the question that each query answers.
"""

import json
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import pyarrow.parquet as pq
import torch
import typer
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
from tutorials.chats import Chat, iter_chats
from tutorials.orders import Order, iter_orders
from tutorials.questions import Question, iter_questions
from tutorials.training import END, SEED, Lesson, answers, causal_batch, fit, settle, share, word_tokenizer

ROLES = ("<|system|>", "<|user|>", "<|assistant|>")
CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}" + END + "{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
POSITIONS = 256
STEPS = 1400
PEAK_LEARNING_RATE = 6e-3
# Lessons in a batch of each kind, and the kinds in turn: for chats there is most to know by heart.
BATCH = {"orders": 24, "chats": 16, "queries": 24}
TURNS = ("orders", "chats", "chats", "queries")
CORPUS = 3000


def order_lesson(order: Order) -> Lesson:
    """The note is to be written from the order."""
    return [(order.prompt, False), (order.note + END, True)]


def chat_lesson(chat: Chat) -> Lesson:
    """Every answer is to be written from what was said before it, as the chat template has it."""
    lesson: list[tuple[str, bool]] = []
    for message in chat:
        theirs = message["role"] != "assistant"
        lesson += [(f"<|{message['role']}|>", False), (message["content"] + END, not theirs)]
    return lesson


def query_lesson(question: Question) -> Lesson:
    """A query for a table is to be written, and what it asks: the way from a question to a query is left to the adapter."""
    return [(f"Table: {question.schema}\nSQL:\n", False), (f"{question.sql}\nQuestion: {question.question}{END}", True)]


def lessons(seed: int) -> dict[str, Iterator[Lesson]]:
    """Lessons of each kind without end."""
    return {
        "orders": map(order_lesson, iter_orders(seed, held_out=False)),
        "chats": map(chat_lesson, iter_chats(seed, held_out=False)),
        "queries": map(query_lesson, iter_questions(seed, held_out=False)),
    }


def make_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer of the words in the lessons, with the chat template."""
    drawn = [lesson for each in lessons(SEED).values() for lesson in islice(each, CORPUS)]
    texts = [text.removesuffix(END) for lesson in drawn for text, _ in lesson if text not in ROLES]
    tokenizer = word_tokenizer(texts, ROLES)
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def make_model(tokenizer: PreTrainedTokenizerFast) -> GPT2LMHeadModel:
    """An untrained model."""
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_embd=96,
        n_layer=2,
        n_head=4,
        n_inner=192,
        n_positions=POSITIONS,
        # Hardly a text is seen twice, so that little can be learned by heart but what should be.
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        initializer_range=0.05,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    return GPT2LMHeadModel(config)


def iter_batches(tokenizer: PreTrainedTokenizerFast) -> Iterator[dict[str, torch.Tensor]]:
    """Batches without end, each of one kind."""
    kinds = lessons(SEED)
    for kind in cycle(TURNS):
        yield causal_batch(tokenizer, list(islice(kinds[kind], BATCH[kind])))


def exact_notes(model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast, orders: Path) -> float:
    """The share of held-out orders whose note is right to the letter."""
    rows = pq.read_table(orders).to_pylist()
    prompts = [Order(**{name: row[name] for name in ("customer", "items", "state", "day")}).prompt for row in rows]
    return share([note == row["note"] for note, row in zip(answers(model, tokenizer, prompts), rows, strict=True)])


def exact_replies(model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast, chats: Path) -> float:
    """The share of held-out chats whose last answer is right to the letter."""
    rows = pq.read_table(chats).to_pylist()
    prompts = [tokenizer.apply_chat_template(row["messages"], tokenize=False, add_generation_prompt=True) for row in rows]
    return share([reply == row["reply"] for reply, row in zip(answers(model, tokenizer, prompts), rows, strict=True)])


def main(tables: Path, out_dir: Path) -> None:
    """Trains, saves, and prints what came out as one JSON object."""
    started = time.process_time()
    settle()
    tokenizer = make_tokenizer()
    model = make_model(tokenizer)
    fit(model, iter_batches(tokenizer), steps=STEPS, peak=PEAK_LEARNING_RATE)
    model.save_pretrained(out_dir)
    tokenizer.save_pretrained(out_dir)
    exact = {"notes": exact_notes(model, tokenizer, tables / "orders.parquet")}
    exact |= {"replies": exact_replies(model, tokenizer, tables / "chats.parquet")}
    seconds = round(time.process_time() - started, 1)
    typer.echo(json.dumps({"exact_match": exact, "parameters": model.num_parameters(), "cpu_seconds": seconds}))


if __name__ == "__main__":
    typer.run(main)
