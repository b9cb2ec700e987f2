"""A model as a function of columns, in Python and in SQL: what it takes, and what it gives for a row that fails."""

from typing import Literal, get_args

from pyspark.sql import Column
from pyspark.sql import functions as F

from sparkcoil import files, ledger, udf
from sparkcoil.tasks import Task

# What a failed row gives: its place in a struct with status and error, NULL, or the end of the query.
OnError = Literal["struct", "null", "raise"]
ON_ERROR: tuple[str, ...] = get_args(OnError)


def result(scored: Column, task: Task, *, name: str, on_error: str) -> Column:
    """Return the UDF's result as one struct, with real NULLs: the ledger's first four columns, or the prediction alone.

    Each mention of a nondeterministic UDF runs it again; inside `transform` its result is named without being mentioned.
    """

    def filled(each: Column) -> Column:
        record = each["r"]
        columns = udf.record_columns(record, task, attempts=F.lit(1))
        if on_error == "struct":
            return F.struct(*(column.alias(field) for field, column in columns.items()))
        if on_error == "null":
            return columns["prediction"]
        told = F.concat(F.lit(refusal(name)), record["error"]["stage"], F.lit("/"), record["error"]["code"])
        return F.when(record["status"] == "ok", columns["prediction"]).otherwise(F.raise_error(told))

    return F.transform(F.array(scored), filled)[0]


def refusal(name: str) -> str:
    """Return what a function that raises says before the stage and the code of the row's error; Spark cannot say which row it was."""
    return f"sparkcoil: {name}: a row failed with "


def statement(name: str, task: Task, *, on_error: str) -> str:
    """Return the statement that makes a SQL function around the registered UDF `<name>_records`."""
    needed = [each for each in task.inputs if each.required] or [each for each in task.inputs if "string" in each.types][:1]
    text = {each.name for each in needed if each.as_text or ("string" in each.types and each.name not in files.MEDIA)}
    parameters = ", ".join(f"{each.label} {'STRING' if each.name in text else each.types[0].upper()}" for each in needed)
    sent = ", ".join(f"'{each.name}', {f'CAST({each.label} AS BINARY)' if each.name in text else each.label}" for each in needed)
    body = f"transform(array({name}_records(named_struct({sent}))), e -> {expression(name, task, on_error=on_error)})[0]"
    return f"CREATE OR REPLACE TEMPORARY FUNCTION {name}({parameters}) RETURN {body}"


def expression(name: str, task: Task, *, on_error: str) -> str:
    """Return in SQL what `result` makes of the UDF's result `e`."""
    values = {field: f"e.r.prediction.{field}" for field, _ in ledger.split_fields(task.prediction)}
    values |= {
        field: f"from_json({values[field]}, '{kind}')" for field, kind in ledger.split_fields(task.prediction) if field in task.json_fields
    }
    values |= {field: decoded(values[field], kind) for field, kind in ledger.split_fields(task.prediction) if field in task.binary_fields}
    fields = ", ".join(f"'{field}', {value}" for field, value in values.items())
    prediction = f"named_struct({fields})"
    if on_error == "raise":
        return f"if(e.r.status = 'ok', {prediction}, raise_error(concat('{refusal(name)}', e.r.error.stage, '/', e.r.error.code)))"
    prediction = f"if(e.r.status = 'ok', {prediction}, NULL)"
    if on_error == "null":
        return prediction
    error = ", ".join(f"'{field}', e.r.error.{field}" for field in ("stage", "code", "message", "retryable"))
    return f"""named_struct(
        'prediction', {prediction},
        'status', e.r.status,
        'error', if(e.r.status = 'ok', NULL, named_struct({error}, 'attempts', 1)),
        'warnings', e.r.warnings)"""


def decoded(value: str, kind: str, *, depth: int = 0) -> str:
    """Return in SQL a value of a type, whose bytes are base64, with the bytes in their place."""
    if not ledger.BYTES.search(kind):
        return value
    outer, inner = ledger.opened(kind)
    if outer == "ARRAY":
        return f"transform({value}, e{depth} -> {decoded(f'e{depth}', inner, depth=depth + 1)})"
    if outer != "STRUCT":
        return f"unbase64({value})"
    fields = (f"'{name}', {decoded(f'{value}.{name}', each, depth=depth)}" for name, each in ledger.fields_of(inner))
    return f"named_struct({', '.join(fields)})"
