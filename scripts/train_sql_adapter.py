"""Tunes a LoRA adapter of train_assistant's model that turns a question about a table into SQL, on the CPU, and saves it by itself.

The model has read queries with the questions that they answer; the adapter teaches it to go the other way.
"""

import json
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pyarrow.parquet as pq
import torch
import typer
from peft import LoraConfig, TaskType, get_peft_model
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
from tutorials.questions import Question, iter_questions, result
from tutorials.training import END, SEED, Lesson, answers, causal_batch, fit, settle, share

RANK = 16
# A pattern, since a list of names is saved in the order of a set.
TARGETS = r".*\.(c_attn|c_proj|c_fc)"
STEPS = 350
PEAK_LEARNING_RATE = 1e-2
BATCH = 32


def lesson(question: Question) -> Lesson:
    """The query is to be written from the question and the table's columns."""
    return [(question.prompt, False), (question.sql + END, True)]


def iter_batches(tokenizer: PreTrainedTokenizerFast) -> Iterator[dict[str, torch.Tensor]]:
    """Batches without end."""
    drawn = map(lesson, iter_questions(SEED, held_out=False))
    while True:
        yield causal_batch(tokenizer, list(islice(drawn, BATCH)))


def main(base: Path, questions: Path, out_dir: Path) -> None:
    """Tunes, saves the adapter alone, and prints what came out as one JSON object."""
    started = time.process_time()
    settle()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(base)
    config = LoraConfig(task_type=TaskType.CAUSAL_LM, r=RANK, lora_alpha=2 * RANK, target_modules=TARGETS, fan_in_fan_out=True)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    fit(model, iter_batches(tokenizer), steps=STEPS, peak=PEAK_LEARNING_RATE)
    model.save_pretrained(str(out_dir))
    rows = [Question(**{name: row[name] for name in ("schema", "question", "sql")}) for row in pq.read_table(questions).to_pylist()]
    written = list(zip(answers(model, tokenizer, [row.prompt for row in rows]), rows, strict=True))
    exact = share([sql == row.sql for sql, row in written])
    same = share([result(row.schema, sql) == result(row.schema, row.sql) for sql, row in written])
    trained = sum(each.numel() for each in model.parameters() if each.requires_grad)
    seconds = round(time.process_time() - started, 1)
    typer.echo(json.dumps({"exact_match": exact, "same_result": same, "trained_parameters": trained, "cpu_seconds": seconds}))


if __name__ == "__main__":
    typer.run(main)
