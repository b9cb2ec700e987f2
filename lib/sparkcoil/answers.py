"""The answers in a prediction table as an OpenAI batch output file: a line for each row of the source, in the order of the keys.

The file is written beside its place and renamed, so that whoever reads it finds all of it, or what was there before.
"""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import Any

from py4j.protocol import Py4JError  # type: ignore[import-untyped]
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkcoil import sink, tables
from sparkcoil.config import RunConfig
from sparkcoil.errors import ConfigError, TargetError
from sparkcoil.problems import openai_problems, said
from sparkcoil.remedies import cause
from sparkcoil.rows import quoted
from sparkcoil.sink import Target
from sparkcoil.tasks import Task

BLOCK_BYTES = 1 << 20


def check(spark: SparkSession, config: RunConfig, location: str, task: Task) -> None:
    """Pass if the run wants no such file, or its task has answers and the file can be written; raises ConfigError or TargetError."""
    problems = [said(each) for each in openai_problems(task, config.model_dump(include={"source", "target"}))]
    if problems:
        raise ConfigError(config.name, problems)
    path = config.target.jsonl
    if path is None:
        return
    folders = {"source.path": config.source.path, "the prediction table": location}
    try:
        system, place = tables.file_system(spark, path)
        for key, folder in folders.items():
            if folder and lies_in(str(place), str(tables.file_system(spark, folder)[1])):
                raise TargetError(f"target.jsonl: {path} lies in {key}; write it to another place")
        if system.exists(place) and system.getFileStatus(place).isDirectory():
            raise TargetError(f"target.jsonl: expected the path of a file; {path} is a folder")
        tried = beside(spark, place)
        system.create(tried, True).close()
        system.delete(tried, False)
    except Py4JError as error:
        raise TargetError(f"target.jsonl: {path} cannot be written: {cause(error)}") from error


def lies_in(place: str, folder: str) -> bool:
    """Tell whether a path is another one or lies below it, which may have wildcards."""
    path = PurePosixPath(place)
    return any(each.match(folder) for each in (path, *path.parents))


def is_due(spark: SparkSession, target: Target, path: str) -> bool:
    """Tell whether the file is missing or older than the last change of the prediction table, such as after a killed run."""
    system, place = tables.file_system(spark, path)
    if not system.exists(place):
        return True
    changed = sink.opened(spark, target).history(1).select(F.unix_millis("timestamp").alias("at")).head()
    return changed is None or int(system.getFileStatus(place).getModificationTime()) < int(changed["at"])


def write(spark: SparkSession, target: Target, source: DataFrame, *, task: str, path: str) -> None:
    """Write the answers to all rows of the source that the prediction table has at this moment."""
    keys = quoted(target.keys)
    at = tables.newest(sink.opened(spark, target)).version
    scored = sink.read(spark, target, at).join(source.select(*keys), list(target.keys), "left_semi")
    lines = scored.orderBy(*keys).select(line(target.keys, task))
    put(spark, path, blocks(row[0] for row in lines.toLocalIterator()))


def line(keys: Sequence[str], task: str) -> Column:
    """Return a row's line as OpenAI's batch output files have it; its ids are the same whenever it is written."""
    key = quoted(keys)[0].cast("string") if len(keys) == 1 else F.to_json(F.struct(*quoted(keys)))
    digest = F.sha2(F.concat_ws("\n", key, "input_hash", "model_digest"), 256)
    ok = F.col("status") == "ok"
    response = F.struct(
        F.lit(200).alias("status_code"),
        F.concat(F.lit("req_"), F.substring(digest, 25, 24)).alias("request_id"),
        with_nulls(F.col("prediction.response"), task).alias("body"),
    )
    fields = F.struct(
        F.concat(F.lit("batch_req_"), F.substring(digest, 1, 24)).alias("id"),
        key.alias("custom_id"),
        F.when(ok, response).alias("response"),
        F.when(~ok, F.struct("error.code", "error.message")).alias("error"),
    )
    return F.to_json(fields, {"ignoreNullFields": "false"})


def with_nulls(response: Column, task: str) -> Column:
    """Return a response with the fields that OpenAI's are never without, though here nothing fills them."""
    if task == "llm/v1/embeddings":
        return response
    nothing = F.lit(None).cast("string")

    def choice(each: Column) -> Column:
        filled = each.withField("logprobs", nothing)
        return filled.withField("message", each["message"].withField("refusal", nothing)) if task == "llm/v1/chat" else filled

    return response.withField("choices", F.transform(response["choices"], choice))


def blocks(lines: Iterable[str]) -> Iterator[bytes]:
    """Yield the lines in blocks of some size: each that goes to the JVM has a cost of its own."""
    block = bytearray()
    for each in lines:
        block += each.encode() + b"\n"
        if len(block) >= BLOCK_BYTES:
            yield bytes(block)
            block.clear()
    yield bytes(block)


def put(spark: SparkSession, path: str, content: Iterable[bytes]) -> None:
    """Write a file's content beside its place and put it there."""
    system, place = tables.file_system(spark, path)
    unfinished = beside(spark, place)
    if system.getUri().getScheme() == "file":
        put_local(Path(unfinished.toUri().getPath()), Path(place.toUri().getPath()), content)
    else:
        put_remote(system, unfinished, place, content)


def put_local(unfinished: Path, place: Path, content: Iterable[bytes]) -> None:
    """Write content on this machine and put it into its place, at once for whoever reads."""
    try:
        with unfinished.open("wb") as file:
            file.writelines(content)
        unfinished.replace(place)
    finally:
        unfinished.unlink(missing_ok=True)


def put_remote(system: Any, unfinished: Any, place: Any, content: Iterable[bytes]) -> None:
    """Write content on another of Hadoop's file systems and put it into its place, emptied first: not all rename over a file."""
    try:
        with closing(system.create(unfinished, True)) as stream:
            for block in content:
                stream.write(block)
        system.delete(place, False)
        if not system.rename(unfinished, place):
            raise TargetError(f"target.jsonl: {unfinished} is written, and cannot be renamed to {place.getName()}")
    finally:
        system.delete(unfinished, False)


def beside(spark: SparkSession, place: Any) -> Any:
    """Return where a file may be written before it is put into its place: a name of its own each time, which Spark does not read."""
    return tables.file_system(spark, f"{place.getParent()}/.{place.getName()}.{uuid.uuid4().hex}")[1]
