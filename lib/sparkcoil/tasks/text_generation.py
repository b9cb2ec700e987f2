"""text-generation: a text, or a prompt template around it and other columns, is continued."""

from collections.abc import Sequence

from pydantic import Field

from sparkcoil import generation
from sparkcoil.errors import RowError
from sparkcoil.generation import CausalOptions, Generated, Request
from sparkcoil.prompts import rendered
from sparkcoil.tasks import Facts, Input, Prediction, Row, Task


class TextGenerationOptions(CausalOptions):
    """How a text is continued, and what stands around it."""

    return_full_text: bool = Field(default=False, description="put the prompt before the new text")


def read(row: Row, options: TextGenerationOptions) -> tuple[Request, tuple[str, ...]]:
    """Return the row's text in the template, with a warning for a blank text."""
    own = generation.options_for(row, options)
    text, warnings = rendered(own.prompt_template, row, "text")
    return Request(text, own), warnings


def write(results: Sequence[Generated], facts: Facts, options: TextGenerationOptions) -> list[Prediction | RowError]:
    """Return one prediction for each row, behind its prompt where that is asked for."""
    predictions = generation.write(results, facts, options)
    if options.return_full_text:
        for prediction, each in zip(predictions, results, strict=True):
            if not isinstance(prediction, RowError):
                prediction["text"] = each.prompt + prediction["text"]
                prediction["sequences"] = [each.prompt + text for text in prediction["sequences"]]
    return predictions


TASK = Task(
    name="text-generation",
    inputs=(Input("text", ("string",)), *generation.ROW_OPTIONS),
    prediction=generation.PREDICTION,
    options=TextGenerationOptions,
    engine="causal",
    heads=generation.CAUSAL_HEADS,
    read=read,
    write=write,
)
