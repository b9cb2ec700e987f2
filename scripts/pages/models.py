"""docs/models.md: which logged models score, under which URIs, and what happens to a model from its files to its first row."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from sparkcoil import gate, precision, preflight

TESTS = Path(__file__).parents[2] / "tests"

# Why a way of logging is refused, and what to do; tests/ways.py has the message that each of them ends with.
REFUSALS = {
    "a reference that is nowhere to be had": "neither the hub nor this machine's hub cache has it; log it with `save_pretrained=True`",
    "an adapter whose base is not on the driver": "the folder that it names is not there; give the base as `model.base`",
    "another flavor": "only the transformers and the sentence_transformers flavor are scored",
    "weights as a pickle (`.bin`)": "loading a pickle may run code; save as safetensors, or `model.trust: [pickle]`",
    "code of the model's own (`auto_map`)": "it would run on every executor; `model.trust: [remote_code]` lets it",
    "code paths": "they are code of the model's own; `model.trust: [remote_code]`",
    "a loader module of its own": "it is code of the model's own; `model.trust: [remote_code]`",
    "a quantised checkpoint where no executor has a GPU": "its kernels need a GPU; log it as it was before, or use executors with GPUs",
    "TensorFlow or Flax weights": "only PyTorch is run; log the model from PyTorch, as safetensors",
    "without its tokenizer": "texts cannot be read without it; log the model together with it",
    "without its head: the layers that classify were never trained": "missing weights would be random; log the model as it was trained",
    "logged with a newer transformers than the executors have": "by a major version; install that one on driver and executors",
    "chat without a chat template": "a conversation cannot be written for the model; log its tokenizer with a template",
}

HEAD = """\
# Models

<!-- Made from tests/ways.py and tests/test_ways.py by ./scripts/make_docs; do not edit. -->

Any model with MLflow's transformers flavor whose class fits its [task](tasks.md) can be scored, and any with its sentence_transformers
flavor, as `feature-extraction`. The URI is resolved once, on the driver, to a version: `models:/NAME@ALIAS`, `models:/NAME/latest` and the
stages of old registries too. An alias that moves later changes nothing in a run. What is refused is refused before a row is scored, with
exit code 3.

Each line of this table is a test. "Scores" means: the same predictions as the native model. The URI is `model.uri` in a run file.
"""

PICKLES = ", ".join(f"`{each}`" for each in sorted(gate.TORCH_SUFFIXES))
BELOW = f"""\
## Which value an option has

An option may be set in several places. The later in this list wins:

1. the task's default ([tasks](tasks.md));
2. what the task's name implies: `translation_en_to_fr` gives both languages;
3. which end of a long text its tokenizer was saved to cut (`truncation_side: left`);
4. the checkpoint's `generation_config.json`, and `task_specific_params` in its `config.json`; never sampling (`do_sample`, `temperature`,
   `top_k`, `top_p`): generation is greedy unless you ask;
5. the `model_config` that the model was logged with, and its prompt template;
6. the defaults of the params in its signature;
7. `model.options` in the run file, or `options=` in a notebook;
8. a column of the row under the option's name, for options that are inputs of the task; NULL in it is no value.

The run's report has every option's value in `options`, and where it came from in `options_from`. An option that the task does not have is
refused in the run file, with the nearest right name; a logged value that the option does not take is refused too, unless a later place
sets it.

What was logged for a native pipeline is read as the option that means the same: `truncation: true`, `return_timestamps: true`,
`stride_length_s: [5, 3]`, `return_all_scores`, `grouped_entities`, and what lies in `generate_kwargs`. Settings of batches and devices
change no prediction and are passed over. Any other that nothing here follows is named by the run and by its plan, as `not followed`.

## Padding, neighbours, and a model's own past

No architecture is trusted by its name. When a model is loaded for the first time on a machine, it is tried on a few made-up inputs: padded
together and alone, beside others, a long one after a short one; a model that writes also on prompts that share their beginning. One whose
results padding changes, such as MobileBERT or FNet, gets rows of equal lengths only; one whose rows change each other gets them one by
one; one that changes itself, such as BigBird, is put back before each forward pass; one that never answers the same is refused. What was
found is kept in `~/.cache/sparkcoil/trials`, by the digest of the model's files, and the report has it as `batching`.

Weights that are written over while a model is in use, as a retraining into the same folder does, end the run with exit code 3: a row never
carries a digest that its weights do not have.

A prompt template holds `{{prompt}}`, where the row's text goes, or the names of columns; [Prompts](prompts.md) has more.

## What may run code

Every file of an artifact is read as plain data before anything of it is loaded.

| found | lifted by |
|---|---|
| code files, `auto_map` and other settings that import code, code paths, a loader module of its own | `model.trust: [remote_code]` |
| PyTorch pickles ({PICKLES}) | `model.trust: [pickle]` |
| any other pickle, archive or array of objects, whatever its name says | nothing: remove the file |
| a link, or a path in a setting, that leads out of the artifact | nothing |
| a `.safetensors` file that is none, JSON or YAML too deep or too large to be judged | nothing |
| weights of another framework, with no PyTorch weights beside them | nothing: log it from PyTorch |

Trust means that the model's author may run code on your executors. It lifts what it names and no more. The report lists in `model.trusted`
what was let through. With `remote_code`, transformers imports the classes that `auto_map` names; code paths and loader modules are let
through, but a run never imports them.

## Adapters

A PEFT adapter is scored with its base. The base is the first of these that is there:

1. `model.base` in the run file: a checkpoint directory, or the URI of a logged model;
2. the base that was stored with the adapter (MLflow's default);
3. the folder that `base_model_path` named when it was logged, if the driver has it;
4. the hub repository and commit that the model names.

The adapter is merged into its base where that is exact; over a quantised base it stays beside it. A classification head of the adapter's
own takes the place of the base's, also with another number of labels.

## References

A model logged with `save_pretrained=False` names a hub repository and a commit in place of weights. The driver fetches them, from the
hub or from its hub cache: configuration, tokenizer and safetensors, never pickles. Executors never ask the hub. Where the driver cannot
either, log the weights (`save_pretrained=True`, or `mlflow.transformers.persist_pretrained_model`).

Adapters and references are put together in `~/.cache/sparkcoil` (or `$SPARKCOIL_CACHE`). The whole is judged like any other artifact, and
`model_digest` is the digest of the whole: another base makes all rows due.

## Number formats

| `model.dtype` | |
|---|---|
| `auto` | as the checkpoint was saved |
| `float32`, `bfloat16`, `float16` | as it says |
| `fastest` | bfloat16 or float16 where it is native, and on a sample right and faster; else float32 |

With `fastest`, one executor scores {preflight.SAMPLE_ROWS} rows of the source in both formats before the run. Numbers may differ by
{precision.TOLERANCE:g}; labels, texts and offsets must be equal. GPUs from compute capability 8.0 try bfloat16, older ones float16; CPUs
try bfloat16 where they have instructions for it. The report has the format in `dtype` and the reason in `dtype_because`.

## Before the first row

If anything is due, every slot of the cluster tries the model first. It checks that the disk holds the model and, unless
`device: cuda`, that free memory holds the weights; it loads the model and scores an example. Whatever is wrong ends the run with exit code
3, naming the hosts and the remedy, before a row is spent. `device: cuda` refuses executors without a GPU. With `dtype: fastest`, the trial
on one executor takes the place of this.

## How weights travel

Executors need the third-party packages, and no access to MLflow, the hub or the driver's disk. Spark sends the model's files once to each
node; the first worker there unpacks them, and the digest is checked before they are loaded. With `local[...]` masters they are read where
they lie. `model.shared: true` says that all executors see the files under the driver's path: then nothing is sent. sparkcoil itself travels
with the scorer.

## What log_model writes

`sparkcoil.log_model`, and `jobs/log_model.py`, take a checkpoint or adapter directory. Its weights are linked or copied, not loaded. In
Python it may also be a pipeline, or a mapping of components. What goes with the model:

| Python | job | |
|---|---|---|
| `base` | `--base` | the directory of an adapter's base |
| `options` | `--option NAME=VALUE` | inference options; what the task does not take is refused |
| `prompt_template` | `--prompt-template` | a text with `{{prompt}}` where a row's text goes, and `{{name}}` where a column does |
| `input_example` | | inputs by name, as lists or as a DataFrame |
| `metadata` | | further notes for the MLmodel file |

```
model/, components/, peft/          the checkpoint, its tokenizer and the like, the adapter
MLmodel                             the transformers flavor, the task's signature, the options as model_config
input_example.json                  the example, where one is given
code/sparkcoil/                     this library, for MLflow's own loaders; a run imports nothing from there
requirements.txt, python_env.yaml   the packages, at the versions that logged it
model_card.md, LICENSE.txt          where the checkpoint has them; licence and base model are in the metadata too
```

What a run would refuse is refused here already: a class that does not fit the task, a missing part, a pickle.

The model also works without a run file. `mlflow.pyfunc.load_model(uri).predict(frame)` and `mlflow.pyfunc.spark_udf(spark, uri)` give
one row for each row: the prediction's fields as columns, then `status` and `error`. A bad row has `status = 'failed'` and says why in
`error`, which is empty elsewhere. Bytes, such as a recording that was made, are base64 there, since MLflow's UDFs return none.
"""


def page() -> str:
    """Return the page about models."""
    return "\n".join([HEAD, *table(), "", BELOW])


def table() -> Iterator[str]:
    """Yield the lines of the table: a way of logging, by the form of the URI."""
    sys.path.insert(0, str(TESTS))
    from ways import WAYS

    forms = uri_forms()
    yield f"| logged as | {' | '.join(f'`{form}`' if ':' in form or '-' in form else form for form in forms)} | |"
    yield "|---" * (len(forms) + 2) + "|"
    for each in sorted(WAYS, key=lambda way: way.refused is not None):
        if each.refused is None:
            yield f"| {each.name} |{' scores |' * len(forms)} |"
        else:
            yield f"| {each.name} |{' |' * len(forms)} refused: {refusal(each.name)} |"


def uri_forms() -> list[str]:
    """Return the forms of URI under which tests/test_ways.py scores each model, read from its source."""
    tree = ast.parse((TESTS / "test_ways.py").read_text(encoding="utf-8"))
    function = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "uris")
    returned = next(node.value for node in ast.walk(function) if isinstance(node, ast.Return))
    assert isinstance(returned, ast.Dict)
    return [key.value for key in returned.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]


def refusal(name: str) -> str:
    """Return in plain words why a way of logging is refused; raises KeyError for one that has no words yet."""
    if name not in REFUSALS:
        raise KeyError(f"scripts/pages/models.py: REFUSALS says nothing of {name!r}")
    return REFUSALS[name]
