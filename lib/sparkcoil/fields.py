"""What a single value of a run file may be: one annotated type for each kind, with the words for what is expected."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError

from sparkcoil.problems import expected

DtypeName = Literal["auto", "fastest", "float32", "bfloat16", "float16"]
DeviceName = Literal["auto", "cpu", "cuda"]
AttentionName = Literal["eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention"]
FormatName = Literal["delta", "parquet", "json", "csv", "text", "orc", "binaryFile", "openai"]
KEYWORDS = "device_map, max_memory, id2label, label2id, num_labels, problem_type"

NOT_BLANK = r"\S"
# Names reach SQL, so they are names and nothing else: one to three parts, each a word or backquoted.
TABLE_NAME = r"^(?:[A-Za-z0-9_]+|`[^`]+`)(?:\.(?:[A-Za-z0-9_]+|`[^`]+`)){0,2}$"

Text = Annotated[str, Field(pattern=NOT_BLANK), expected("text")]
Column = Annotated[str, Field(pattern=NOT_BLANK), expected("a column name")]
Expression = Annotated[str, Field(pattern=NOT_BLANK), expected("a column name or SQL expression")]
Query = Annotated[str, Field(pattern=NOT_BLANK), expected("a SQL query")]
Condition = Annotated[str, Field(pattern=NOT_BLANK), expected("a SQL condition")]
TableName = Annotated[str, Field(pattern=TABLE_NAME), expected("a table name of one to three parts, each a word or in backquotes")]
Count = Annotated[int, Field(gt=0, lt=2**31), expected("a whole number above 0")]
Number = Annotated[int, Field(ge=0, lt=2**31), expected("a whole number from 0")]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False), expected("a number of seconds above 0")]
Money = Annotated[float, Field(gt=0, allow_inf_nan=False), expected("an amount above 0")]
Version = Annotated[int, Field(ge=0), expected("a table version, a whole number from 0")]
Flag = StrictBool
Dtype = Annotated[DtypeName, expected("a dtype", get_args(DtypeName))]
Device = Annotated[DeviceName, expected("a device", get_args(DeviceName))]
Attention = Annotated[AttentionName, expected("an attention implementation", get_args(AttentionName))]
Format = Annotated[FormatName, expected("a format", get_args(FormatName))]
Mode = Annotated[Literal["batch", "available_now", "stream"], expected("batch, available_now or stream")]
Tracking = Annotated[Literal["mlflow", "none"], expected("mlflow or none")]
Deletes = Annotated[Literal["keep", "remove", "mark"], expected("keep, remove or mark")]
Publish = Annotated[Literal["chunk", "end"], expected("chunk or end")]
Trust = Annotated[tuple[Literal["remote_code", "pickle"], ...], expected("a list of remote_code and pickle")]
Share = Annotated[float, Field(ge=0, le=1), expected("a number from 0 to 1")]
Drift = Annotated[float, Field(ge=0, allow_inf_nan=False), expected("a number from 0")]
Language = Annotated[str, Field(pattern=r"^[a-z]{2}$"), expected("a language as two letters, such as en")]


def as_setting(value: Any) -> Any:
    """Return a bool or a number as Spark spells it in a setting, anything else unchanged."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if isinstance(value, int | float) else value


# What the lines of an OpenAI batch file have, whoever wrote it.
OPENAI: Mapping[str, Any] = {"keys": ["custom_id"], "columns": {"request": "body", "url": "url", "method": "method"}}


def as_format_has(value: Any, info: ValidationInfo) -> Any:
    """Return the value, or for one that is not given what every file of the format has; raises where that differs from file to file."""
    known = OPENAI if info.data.get("format") == "openai" else {"columns": {}}
    if value is None and info.field_name not in known:
        raise PydanticCustomError("missing", "missing")
    return known[str(info.field_name)] if value is None else value


def known_keywords(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return arguments of from_pretrained that are ours to pass on; raises ValueError for any other."""
    if not set(given) <= set(KEYWORDS.split(", ")):
        raise ValueError
    return given


def of_a_file_system(root: str) -> str:
    """Return a root that Spark or an executor can read files of; raises ValueError for a server's address."""
    if root.strip().lower().startswith(("http:", "https:", "ftp:", "data:")):
        raise ValueError
    return root


Root = Annotated[str, Field(pattern=NOT_BLANK), AfterValidator(of_a_file_system), expected("a folder, or a URI prefix of a file system")]
Keywords = Annotated[Mapping[str, Any], AfterValidator(known_keywords), expected("a mapping with keys among " + KEYWORDS)]
AsFormatHas = BeforeValidator(as_format_has)
Keys = Annotated[tuple[Column, ...], Field(min_length=1), expected("a list of one or more column names"), AsFormatHas]
Columns = Annotated[Mapping[str, Expression], expected("a mapping of the task's inputs to columns"), AsFormatHas]
Setting = Annotated[
    str,
    expected("text, a number, true or false"),
    BeforeValidator(as_setting),
    WithJsonSchema({"type": ["string", "number", "boolean"]}),
]
