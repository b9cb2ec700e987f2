"""docs/tutorials.md: a run file for each of the tutorials of MLflow's guide to transformers, with what it made of real rows."""

import re
from collections.abc import Mapping
from pathlib import Path

from deltalake import DeltaTable

from pages.tutorial import END, Tutorial, result, section

HEAD = """# Tutorials

<!-- Made from conf/ and scripts/pages/tutorials.py by ./scripts/make_docs; do not edit. With a warehouse, such as
./scripts/make_docs spark-warehouse, it shows the rows of the tables there; else those that are shown stay. -->

[MLflow's guide to transformers](https://mlflow.org/docs/latest/ml/deep-learning/transformers/) has tutorials that end in a prediction or
two. Here each ends in a table: a run file, two commands, and a prediction or an error for every row.

```sh
./scripts/make_tutorials   # draws the tables, trains five tiny models and an adapter in six minutes of CPU, and logs them
```

The models have 80,000 to 260,000 parameters and do their jobs: the rows below are real, and training saw none of them. Any other model of
the same task takes their place by `model.uri`. A run that is repeated scores what is new or has changed. Another one for speech is
[conf/keypad-transcripts.yaml](../conf/keypad-transcripts.yaml), which the quickstart runs.
"""

TUTORIALS = (
    Tutorial(
        "Text generation with a prompt template",
        """Every order gets a note to its customer: a template makes a prompt of four of its columns, and the model goes on from there.
In the guide these are *Text Generation with Transformers* and *Prompt templating*; the template may also be logged with the model, by
`--prompt-template`, and there may be more to it: [prompts](prompts.md).""",
        ".cache/models/assistant --task text-generation --name order_notes",
        "order-notes",
        {"customer": "customer", "items": "items", "state": "state", "day": "day", "prediction.text": "prediction.text"},
        right="note",
    ),
    Tutorial(
        "Translation",
        """Weather forecasts are translated into German; with `--set model.options.prefix=">>fra<< " --set target.table=forecasts_french`
the same model gives French. In the guide this is *Translation with Transformers*; where transformers 5 has no pipeline for it any more,
the task is still one here, and components logged one by one are scored as a whole model is.""",
        ".cache/models/forecast_translator --task translation --name forecast_translator",
        "translate-forecasts",
        {"english": "english", "prediction.text": "prediction.text"},
        right="german",
    ),
    Tutorial(
        "Chat",
        """Each row is a conversation, and its prediction the next answer, which may depend on any turn before: nothing is kept between
rows, so that they can be scored in any order and on any machine. In the guide this is *Chat with Transformers*, the conversational
pipeline; the model's own chat template writes the turns for the model.""",
        ".cache/models/assistant --task llm/v1/chat --name support_chat",
        "support-chat",
        {"messages": "messages", "prediction.text": "prediction.text"},
        right="reply",
    ),
    Tutorial(
        "OpenAI-compatible chat",
        """Each row is a request with its own `max_tokens`, `temperature`, `stop` and `seed`, and `prediction.response` the chat completion
object that answers it. In the guide this is *Building and Serving an OpenAI-Compatible Chatbot*; here the requests are a table in place
of a server's, and files of them are [OpenAI's batch files](openai-batch.md).""",
        ".cache/models/assistant --task llm/v1/chat --name support_chat",
        "support-chat-openai",
        {
            "messages": "messages",
            "max_tokens": "max_tokens",
            "temperature": "temperature",
            "stop": "stop",
            "choices[0].message.content": "prediction.response.choices.0.message.content",
            "choices[0].finish_reason": "prediction.response.choices.0.finish_reason",
            "usage.total_tokens": "prediction.response.usage.total_tokens",
        },
        right="reply",
    ),
    Tutorial(
        "A fine-tuned classifier",
        """A model trained on the docstrings of Python's standard library says which of 14 packages a docstring belongs to, here those of
`email` that training did not see. In the guide this is *Fine tuning a transformers Foundation Model*; `./scripts/quickstart` trains it,
logs it and makes its table.""",
        ".cache/models/docstring_topic --task text-classification --name docstring_topic",
        "docstrings-topic",
        {
            "module": "module",
            "qualname": "qualname",
            "prediction.label": "prediction.label",
            "prediction.score": "prediction.score",
        },
        only={"package": "email", "split": "held_out"},
    ),
    Tutorial(
        "A LoRA adapter that writes SQL",
        """Each row is a question with the columns of a table, and its prediction a query that can be run; the adapter has 37,000 parameters
of its own. In the guide this is *Fine tuning LLMs efficiently using PEFT and MLflow*; the adapter is logged and scored with its base, as
[models](models.md#adapters) says.""",
        ".cache/models/sql_adapter --base .cache/models/assistant --task text-generation --name sql_writer",
        "questions-to-sql",
        {"schema": "schema", "question": "question", "prediction.text": "prediction.text"},
        right="sql",
    ),
    Tutorial(
        "Speech to text, with times",
        """Rows name recordings by their paths; each gets its transcript, and the start and end of each segment in seconds. The language of
these calls is a phone's keypad, and the model a Whisper of two layers that hears 6 seconds at once: of longer calls windows overlap.
In the guide this is *Audio Transcription*; [recordings](recordings.md) has every form in which audio arrives.""",
        ".cache/models/calls --task automatic-speech-recognition --name calls",
        "calls-transcripts",
        {"file": "file", "prediction.text": "prediction.text", "prediction.segments": "prediction.segments"},
        right="transcript",
    ),
    Tutorial(
        "Labels for sounds",
        """Each recording of a machine or an alarm gets the kind of sound that it is, with the next likeliest ones.""",
        ".cache/models/sounds --task audio-classification --name sounds",
        "sounds-class",
        {"file": "file", "prediction.label": "prediction.label", "prediction.score": "prediction.score", "sound": "sound"},
        right="sound",
        predicted="label",
    ),
    Tutorial(
        "Labels for images",
        """Each drawing, whatever its size, format and mode, gets the sign that it shows; the model is a ViT of two layers.
`./scripts/make_tutorials drawings` makes this tutorial's table and model alone, in a minute or two.
[images](images.md) has every form in which images arrive.""",
        ".cache/models/drawings --task image-classification --name drawings",
        "drawings-sign",
        {"file": "file", "prediction.label": "prediction.label", "prediction.score": "prediction.score", "sign": "sign"},
        right="sign",
        predicted="label",
    ),
)


def page(results: Mapping[str, str]) -> str:
    """Return the page with the results of each tutorial by its run file's name."""
    return "\n".join([HEAD, *(section(each, results.get(each.conf, "")) for each in TUTORIALS)])


def results_in(written: str) -> dict[str, str]:
    """Return the results that a page shows."""
    return dict(re.findall(rf"<!-- rows of ([\w-]+) -->\n\n(.*?)\n\n{END}", written, re.DOTALL))


def results_of(warehouse: Path) -> dict[str, str]:
    """Return the results that the scored tables of a warehouse hold, of the runs whose tables are there."""
    tables = {each: warehouse / each.run["target"]["table"] for each in TUTORIALS}
    there = {each: DeltaTable(str(table)) for each, table in tables.items() if table.is_dir()}
    return {each.conf: result(each, table.to_pyarrow_table().to_pylist()) for each, table in there.items()}
