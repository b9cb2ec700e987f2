"""Whether a model can be scored as its task at all, judged from its files before anything of them is loaded."""

from collections.abc import Iterator, Mapping
from importlib.metadata import version

from sparkcoil import refused
from sparkcoil.artifact import COMPONENTS, MODEL, LoggedModel
from sparkcoil.errors import ModelError
from sparkcoil.tasks import Task

# Any of these shows that a part is there; a checkpoint directory holds its parts beside the weights.
SHOWN_BY: Mapping[str, tuple[str, ...]] = {
    "tokenizer": ("tokenizer_config.json", "tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model"),
    "feature_extractor": ("preprocessor_config.json", "processor_config.json"),
    "image_processor": ("preprocessor_config.json", "processor_config.json"),
}


def check(model: LoggedModel, task: Task) -> None:
    """Pass if the model is of a class that the task's engine runs, with all its parts; raises ModelError with the remedy."""
    for problem in problems(model, task):
        raise ModelError(f"model.uri: {model.uri}: {problem}")


def problems(model: LoggedModel, task: Task) -> Iterator[str]:
    """Yield what keeps a model from being scored, a sentence each."""
    if not model.architecture.endswith(task.heads):
        why = refused.reason(model.architecture)
        yield f"task {task.name} expects a model class ending in {' or '.join(task.heads)}, found {model.architecture}{why}"
    for part in task.parts:
        if not any((model.path / place / name).is_file() for place in places(part) for name in SHOWN_BY[part]):
            yield f"the artifact holds no {part.replace('_', ' ')}; log the model together with its {part.replace('_', ' ')}"
    logged, here = str(model.flavor.get("transformers_version") or "0"), version("transformers")
    if major(logged) > major(here):
        yield f"logged with transformers {logged}, and here is {here}; install transformers {major(logged)} on the driver and the executors"
    if task.name == "llm/v1/chat" and not has_chat_template(model):
        yield "its tokenizer has no chat template, which a chat needs; log it with one (tokenizer.chat_template)"


def places(part: str) -> tuple[str, ...]:
    """Return the folders that may hold a part of a model."""
    return (f"{COMPONENTS}/{part}", f"{COMPONENTS}/processor", MODEL)


def major(release: str) -> int:
    """Return the first number of a version, 0 where it has none."""
    first = release.split(".")[0]
    return int(first) if first.isdigit() else 0


def has_chat_template(model: LoggedModel) -> bool:
    """Tell whether the tokenizer knows how to write a conversation."""
    folders = places("tokenizer")
    files = any((model.path / place / "chat_template.jinja").is_file() for place in folders)
    return files or any(model.read_json(f"{place}/tokenizer_config.json").get("chat_template") for place in folders)
