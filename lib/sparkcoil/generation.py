"""What the tasks that generate text share: their options, their prediction, the way in and the way out.

Knows nothing of torch. Rows bring their own options: each Request carries the ones that hold for its row.
"""

import hashlib
import json
import numbers
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import BeforeValidator, Field, ValidationError

from sparkcoil.errors import RowError
from sparkcoil.prompts import rendered
from sparkcoil.structured import PARSED, StructuredOptions, judged
from sparkcoil.tasks import Facts, Input, Options, Prediction, Row, Task, decode_text
from sparkcoil.truncation import Cut

PREDICTION = "text STRING, sequences ARRAY<STRING>, finish_reason STRING, prompt_tokens INT, completion_tokens INT"
USAGE = "STRUCT<prompt_tokens: INT, completion_tokens: INT, total_tokens: INT>"
ENVELOPE = "id: STRING, object: STRING, created: BIGINT, model: STRING"
# OpenAI's `created` is a time; here it is constant, so that a rerun gives the same response. The ledger's `scored_at` is the time.
CREATED = 0

SEQ2SEQ_HEADS = ("ForConditionalGeneration", "ForSeq2SeqLM", "ForTextToText", "MTModel", "EncoderDecoderModel")
CAUSAL_HEADS = ("ForCausalLM", "LMHeadModel")

INTEGER = ("integer", "long")
NUMBER = ("float", "double", *INTEGER)
# Options that a column may set for each row.
ROW_OPTIONS = (
    Input("max_new_tokens", INTEGER, required=False),
    Input("min_new_tokens", INTEGER, required=False),
    Input("num_beams", INTEGER, required=False),
    Input("num_return_sequences", INTEGER, required=False),
    Input("do_sample", ("boolean",), required=False),
    Input("temperature", NUMBER, required=False),
    Input("top_k", INTEGER, required=False),
    Input("top_p", NUMBER, required=False),
    Input("repetition_penalty", NUMBER, required=False),
    Input("stop", ("string", "array"), required=False),
    Input("seed", INTEGER, required=False),
)
LLM_ROW_OPTIONS = (
    Input("max_tokens", INTEGER, required=False),
    Input("n", INTEGER, required=False),
    *(each for each in ROW_OPTIONS if each.name in ("temperature", "top_k", "top_p", "stop", "seed")),
)

Stop = Annotated[str, Field(min_length=1)]
Stops = Annotated[tuple[Stop, ...], BeforeValidator(lambda given: [given] if isinstance(given, str) else given or ())]


class GenerationOptions(StructuredOptions):
    """How text is generated; what is not set is as the model's own generation configuration says, but greedy.

    Setting one name of an `exclusive` group drops the others where they were set on a lower level.
    """

    exclusive: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("max_new_tokens", "max_length", "max_tokens"),
        ("min_new_tokens", "min_length"),
        ("num_return_sequences", "n"),
    )
    chat: ClassVar[bool] = False

    max_new_tokens: int | None = Field(default=None, ge=1, description="most tokens generated; 256 unless the model or `max_length` says")
    max_length: int | None = Field(default=None, ge=2, description="most tokens in all: of prompt and new text, or of a seq2seq output")
    min_new_tokens: int | None = Field(default=None, ge=0, description="fewest tokens generated before the text may end")
    min_length: int | None = Field(default=None, ge=0, description="fewest tokens, counted as `max_length` counts them")
    num_beams: int | None = Field(default=None, ge=1, description="beams searched; 1 is greedy")
    do_sample: bool | None = Field(default=None, description="sample; by default only where `temperature`, `top_k` or `top_p` is set")
    temperature: float | None = Field(default=None, ge=0, allow_inf_nan=False, description="flatness of sampling; 0 is greedy")
    top_k: int | None = Field(default=None, ge=0, description="sample among the k likeliest tokens; 0 is all of them")
    top_p: float | None = Field(default=None, gt=0, le=1, description="sample among the likeliest tokens that reach this probability")
    repetition_penalty: float | None = Field(default=None, gt=0, allow_inf_nan=False, description="above 1, tokens seen become less likely")
    no_repeat_ngram_size: int | None = Field(default=None, ge=0, description="no sequence of so many tokens comes twice")
    length_penalty: float | None = Field(default=None, allow_inf_nan=False, description="above 0, beam search prefers longer texts")
    early_stopping: bool | Literal["never"] | None = Field(default=None, description="when beam search ends")
    num_return_sequences: int | None = Field(default=None, ge=1, description="texts for each row; needs sampling or as many beams")
    stop: Stops = Field(default=(), description="strings at which a text ends; they are cut off")
    seed: int = Field(default=0, description="of sampling, together with the row's prompt")
    truncation: Cut = "truncate_right"
    max_input_length: int | None = Field(default=None, ge=1, description="tokens kept of the input; by default all that the model reads")
    return_prompt: bool = Field(default=False, description="keep the prompt as the model read it, as `prediction.prompt`")

    def fit(self, task: Task) -> Task:
        """Return the task with a field for the prompt, if it is asked for."""
        fitted = super().fit(task)
        return replace(fitted, prediction=f"{fitted.prediction}, prompt STRING") if self.return_prompt else fitted

    def new_tokens(self) -> int | None:
        """Return the most new tokens asked for, None where that is left to `max_length` or the model."""
        return self.max_new_tokens

    def wanted(self) -> int:
        """Return the number of texts asked for."""
        return self.num_return_sequences or 1

    def samples(self) -> bool:
        """Tell whether sampling was asked for."""
        if self.temperature == 0:
            return False
        if self.do_sample is not None:
            return self.do_sample
        return not (self.temperature is None and self.top_k is None and self.top_p is None)


class Seq2seqOptions(GenerationOptions):
    """How a sequence-to-sequence model writes its output."""

    prefix: str = Field(default="", description="put before every text, such as T5's `summarize: `")


class CausalOptions(GenerationOptions):
    """How a text is continued."""

    truncation: Cut = "truncate_left"


class LlmOptions(CausalOptions):
    """OpenAI's names beside the Hugging Face names."""

    max_tokens: int | None = Field(default=None, ge=1, description="OpenAI's name for `max_new_tokens`")
    n: int | None = Field(default=None, ge=1, description="OpenAI's name for `num_return_sequences`; above 1 it samples")

    def new_tokens(self) -> int | None:
        """Return the most new tokens asked for under either name."""
        return self.max_tokens or self.max_new_tokens

    def wanted(self) -> int:
        """Return the number of texts asked for under either name."""
        return self.n or super().wanted()

    def samples(self) -> bool:
        """Tell whether sampling was asked for; several choices of a greedy text would all be the same."""
        several = (self.n or 1) > 1 and self.do_sample is None and self.temperature is None
        return several or super().samples()


@dataclass(frozen=True)
class Request:
    """What a row asks for: a text, or a conversation, with the options that hold for it, and what it calls the model, if anything."""

    content: str | tuple[Mapping[str, str], ...]
    options: Any
    model: str | None = None


@dataclass(frozen=True)
class Completion:
    """One generated text; `tokens` counts what was generated, with the token that ended it and a stop string cut off."""

    text: str
    tokens: int
    finish_reason: Literal["stop", "length"]


@dataclass(frozen=True)
class Generated:
    """What became of a request: its prompt as the model read it, and one completion or more, the best first."""

    request: Request
    prompt: str
    prompt_tokens: int
    completions: tuple[Completion, ...]


O = TypeVar("O", bound=Options)  # noqa: E741


def options_for(row: Row, options: O) -> O:
    """Return the options that hold for a row: where it has a value of its own, that one; raises RowError for a bad one."""
    given = {name: plain(row[name]) for name in type(options).model_fields if name in row and not is_null(row[name])}
    if not given:
        return options
    dropped = {name for group in options.exclusive if given.keys() & set(group) for name in group}
    kept = {name: getattr(options, name) for name in options.model_fields_set - dropped}
    try:
        return type(options)(**{**kept, **given})
    except ValidationError as error:
        names = sorted({str(each["loc"][0]) for each in error.errors() if each["loc"]})
        raise RowError("input", "bad_option", f"the row's {' and '.join(names)} is not what the option takes") from None


def is_null(cell: Any) -> bool:
    """Tell whether a cell is NULL; pandas makes NaN of NULL in a column of numbers, or in some of its types NA."""
    return cell is None or type(cell).__name__ == "NAType" or (isinstance(cell, numbers.Real) and cell != cell)


def plain(cell: Any) -> Any:
    """Return a cell as Python's own value: text decoded, numpy's scalars and arrays as numbers and lists."""
    if isinstance(cell, bytes | bytearray):
        return decode_text(bytes(cell), "an option")
    return cell.tolist() if hasattr(cell, "tolist") else cell


def read_prefixed(row: Row, options: Seq2seqOptions) -> tuple[Request, tuple[str, ...]]:
    """Return the row's text in its template and behind the prefix, with a warning for a blank text."""
    own = options_for(row, options)
    text, warnings = rendered(own.prompt_template, row, "text")
    return Request(own.prefix + text, own), warnings


def write(results: Sequence[Generated], facts: Facts, options: GenerationOptions) -> list[Prediction | RowError]:
    """Return one prediction for each row."""
    return [prediction(each, options) for each in results]


def with_response(
    results: Sequence[Generated], facts: Facts, options: GenerationOptions, response: Callable[[Generated, Facts], dict[str, Any]]
) -> list[Prediction | RowError]:
    """Return one prediction for each row, with its OpenAI response."""
    predictions = zip(results, write(results, facts, options), strict=True)
    return [each if isinstance(each, RowError) else {**each, "response": response(generated, facts)} for generated, each in predictions]


def prediction(generated: Generated, options: GenerationOptions) -> Prediction | RowError:
    """Return the first text, all texts, and the tokens of all of them; the failure of a row whose text is not of the form asked for."""
    first = generated.completions[0]
    parsed = judged(first.text, generated.request.options)
    if isinstance(parsed, RowError):
        return parsed
    return {
        **({"prompt": generated.prompt} if options.return_prompt else {}),
        **({PARSED: parsed} if options.response_schema is not None else {}),
        "text": first.text,
        "sequences": [each.text for each in generated.completions],
        "finish_reason": first.finish_reason,
        "prompt_tokens": generated.prompt_tokens,
        "completion_tokens": sum(each.tokens for each in generated.completions),
    }


def envelope(kind: str, prefix: str, generated: Generated, facts: Facts) -> dict[str, Any]:
    """Return what OpenAI's responses begin with; the id is the same whenever the same is asked of the same model."""
    request = generated.request
    asked = [kind, facts["model"], request.content, request.options.model_dump(mode="json")]
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
    return {"id": f"{prefix}-{digest[:24]}", "object": kind, "created": CREATED, "model": request.model or facts["model"]}


def usage(generated: Generated) -> dict[str, int]:
    """Return the tokens of the prompt and of all completions, without padding."""
    completion = sum(each.tokens for each in generated.completions)
    prompt = generated.prompt_tokens
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
