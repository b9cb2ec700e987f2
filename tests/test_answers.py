"""Requests in, answers out: files as OpenAI's Batch API and vLLM's run-batch write and read them, through runs of each endpoint."""

import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import tiny_encoders
import tiny_models
import yaml
from openai.types import Completion, CreateEmbeddingResponse
from openai.types.chat import ChatCompletion
from pydantic import BaseModel, ConfigDict
from pyspark.sql import SparkSession
from runs import history, make_table

from sparkcoil import RunConfig, RunReport, answers, endpoints, run, tables
from sparkcoil.config import problems_in
from sparkcoil.errors import BudgetExceeded, ConfigError, RowError, SourceError, TargetError
from sparkcoil.registry import write_model

SAID = ("the socket is closed", "an array", "12", "🙂 an emoji")


class Response(BaseModel):
    """A response in an OpenAI batch output file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    status_code: int
    request_id: str
    body: dict[str, Any]


class Error(BaseModel):
    """An error in an OpenAI batch output file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    code: str
    message: str


class Line(BaseModel):
    """A line of an OpenAI batch output file; OpenAI's own package has no type for it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: str
    custom_id: str
    response: Response | None
    error: Error | None


def extras(value: Any) -> dict[str, Any]:
    """Return the fields, at any depth, that a type of OpenAI's does not have."""
    if isinstance(value, list):
        return {name: each for one in value for name, each in extras(one).items()}
    if not isinstance(value, BaseModel):
        return {}
    below = {name: each for field in type(value).model_fields for name, each in extras(getattr(value, field)).items()}
    return {**(value.model_extra or {}), **below}


def body_as(kind: type[BaseModel], line: Line) -> Any:
    """Return the body of a line as OpenAI's own type, which it fits with nothing lacking, wrong or left over."""
    assert line.response is not None and line.error is None and line.response.status_code == 200
    body = kind.model_validate(line.response.body, strict=True)
    assert extras(body) == {}
    return body


def read(path: Path) -> dict[str, Line]:
    """Return the lines of a file of answers by their custom_id."""
    lines = [Line.model_validate(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    assert len({each.id for each in lines}) == len(lines) and all(each.id.startswith("batch_req_") for each in lines)
    return {each.custom_id: each for each in lines}


def ask(path: Path, url: str, bodies: Sequence[dict[str, Any]], **fields: Any) -> None:
    """Write a file of requests named r0, r1 and so on."""
    lines = [{"custom_id": f"r{i}", "method": "POST", "url": url, "body": body, **fields} for i, body in enumerate(bodies)]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")


def run_of(folder: Path, **changes: Any) -> RunConfig:
    """Return a run of a folder's model over its requests."""
    sections: dict[str, Any] = {
        "name": "test",
        "model": {"uri": str(folder / "logged")},
        "source": {"path": str(folder / "requests.jsonl"), "format": "openai"},
        "target": {"path": str(folder / "scored"), "jsonl": str(folder / "answers.jsonl")},
        "rows": {"max_failed_share": 1.0},
        **changes,
    }
    return RunConfig.model_validate(sections)


def said(text: str, **parameters: Any) -> dict[str, Any]:
    return {"model": "asked", "messages": [{"role": "user", "content": text}], "max_completion_tokens": 6, **parameters}


@pytest.fixture(scope="module")
def chat(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunReport]:
    """A folder with a file of requests, the answers to it, and the table that they are from; tests only read it."""
    folder = tmp_path_factory.mktemp("chat")
    write_model(tiny_models.tiny_causal(folder, chat_template=tiny_models.CHAT_TEMPLATE) / "model", folder / "logged", task="llm/v1/chat")
    parts = [{"type": "text", "text": "an"}, {"type": "text", "text": "array"}]
    bodies = [
        *(said(text) for text in SAID),
        said(SAID[0], n=2, temperature=1.5, seed=3, top_p=0.9, model=None),
        said(SAID[0], tools=[{"type": "function", "function": {"name": "secret"}}]),
        said(parts),  # type: ignore[arg-type]
        said(SAID[0], max_completion_tokens=2, stop=["never"]),
    ]
    ask(folder / "requests.jsonl", "/v1/chat/completions", bodies)
    other = {"custom_id": "elsewhere", "method": "POST", "url": "/v1/embeddings", "body": {"input": "secret"}}
    with (folder / "requests.jsonl").open("a") as file:
        file.write(json.dumps(other) + "\n")
    return folder, run(spark, run_of(folder))


def test_every_request_has_its_answer_as_openai_gives_it(spark: SparkSession, chat: tuple[Path, RunReport]) -> None:
    folder, report = chat
    lines = read(folder / "answers.jsonl")
    assert list(lines) == ["elsewhere", *(f"r{i}" for i in range(8))]
    found = {key: body_as(ChatCompletion, each) for key, each in lines.items() if key not in ("elsewhere", "r5")}
    table = {row["custom_id"]: row for row in spark.read.format("delta").load(str(folder / "scored")).collect()}
    for key, body in found.items():
        assert [each.message.content for each in body.choices] == table[key]["prediction"]["sequences"]
        assert body.usage.completion_tokens == table[key]["prediction"]["completion_tokens"]
    assert (len(found["r4"].choices), found["r7"].usage.completion_tokens) == (2, 2)
    assert (report.rows["ok"], report.rows["failed"]) == (7, 2)
    assert report.target["jsonl"] == str(folder / "answers.jsonl")


def test_the_same_conversations_in_a_table_get_the_same_texts(spark: SparkSession, chat: tuple[Path, RunReport], tmp_path: Path) -> None:
    folder, _ = chat
    rows = [(i, f"{i}-b", [{"role": "user", "content": text}]) for i, text in enumerate(SAID)]
    make_table(spark, "conversations", rows, "id INT, part STRING, messages ARRAY<STRUCT<role: STRING, content: STRING>>")
    source = {"table": "conversations", "keys": ["id", "part"], "columns": {"messages": "messages"}}
    target = {"path": str(tmp_path / "scored"), "jsonl": str(tmp_path / "new" / "answers.jsonl")}
    model = {"uri": str(folder / "logged"), "options": {"max_tokens": 6}}
    run(spark, run_of(folder, source=source, target=target, model=model))
    of_table, of_file = read(Path(target["jsonl"])), read(folder / "answers.jsonl")
    assert list(of_table) == [json.dumps({"id": i, "part": f"{i}-b"}, separators=(",", ":")) for i in range(len(SAID))]
    for i, line in enumerate(of_table.values()):
        one, other = body_as(ChatCompletion, line), body_as(ChatCompletion, of_file[f"r{i}"])
        assert one.choices == other.choices and one.usage == other.usage


def test_completions_are_answered_as_openai_does(spark: SparkSession, tmp_path: Path) -> None:
    write_model(tiny_models.tiny_causal(tmp_path) / "model", tmp_path / "logged", task="llm/v1/completions")
    bodies = [{"model": "m", "prompt": [SAID[1]], "max_tokens": 4}, {"prompt": SAID[1], "max_tokens": 4}, {"prompt": list(SAID)}]
    ask(tmp_path / "requests.jsonl", "/v1/completions", bodies)
    run(spark, run_of(tmp_path))
    lines = read(tmp_path / "answers.jsonl")
    one, other = (body_as(Completion, lines[key]) for key in ("r0", "r1"))
    assert one.choices == other.choices and (one.model, other.model) == ("m", "logged")
    assert lines["r2"].error is not None and lines["r2"].error.code == "unsupported_parameter"


def test_embeddings_are_answered_as_openai_does(spark: SparkSession, tmp_path: Path) -> None:
    write_model(tiny_encoders.build(tmp_path, "AutoModel") / "model", tmp_path / "logged", task="llm/v1/embeddings")
    bodies: list[dict[str, Any]] = [{"model": "m", "input": text} for text in tiny_encoders.SENTENCES]
    bodies += [{"input": [tiny_encoders.SENTENCES[0]], "dimensions": 8}, {"input": "text", "encoding_format": "base64"}]
    ask(tmp_path / "requests.jsonl", "/v1/embeddings", bodies)
    run(spark, run_of(tmp_path))
    lines = read(tmp_path / "answers.jsonl")
    found = {key: body_as(CreateEmbeddingResponse, each) for key, each in lines.items() if key != "r7"}
    table = {row["custom_id"]: row for row in spark.read.format("delta").load(str(tmp_path / "scored")).collect()}
    for key, body in found.items():
        assert body.data[0].embedding == pytest.approx(table[key]["prediction"]["embedding"], rel=1e-6)
    assert (len(found["r0"].data[0].embedding), len(found["r6"].data[0].embedding)) == (32, 8)
    assert lines["r7"].error is not None and "encoding_format" in lines["r7"].error.message


def test_past_the_error_budget_no_file_is_written(spark: SparkSession, chat: tuple[Path, RunReport], tmp_path: Path) -> None:
    ask(tmp_path / "requests.jsonl", "/v1/chat/completions", [said("x", logprobs=True)])
    model, file = {"uri": str(chat[0] / "logged")}, tmp_path / "answers.jsonl"
    with pytest.raises(BudgetExceeded, match="input/unsupported_parameter"):
        run(spark, run_of(tmp_path, model=model, rows={"max_failed_share": 0.5}))
    assert not file.exists()


def test_a_response_names_the_model_as_asked_or_else_as_logged(chat: tuple[Path, RunReport]) -> None:
    lines = read(chat[0] / "answers.jsonl")
    assert [body_as(ChatCompletion, lines[key]).model for key in ("r0", "r4")] == ["asked", "logged"]


def test_a_response_has_the_fields_that_openai_s_schema_wants_though_null(chat: tuple[Path, RunReport]) -> None:
    line = read(chat[0] / "answers.jsonl")["r0"]
    assert line.response is not None
    choice = line.response.body["choices"][0]
    assert choice["logprobs"] is choice["message"]["refusal"] is None


def test_a_request_that_failed_stands_there_with_its_error(chat: tuple[Path, RunReport]) -> None:
    lines = read(chat[0] / "answers.jsonl")
    assert {key: each.error.code for key, each in lines.items() if each.error} == {
        "elsewhere": "wrong_endpoint",
        "r5": "unsupported_parameter",
    }
    assert lines["r5"].error is not None and "tools" in lines["r5"].error.message
    assert lines["r5"].response is lines["elsewhere"].response is None
    assert "secret" not in (chat[0] / "answers.jsonl").read_text()


def test_a_rerun_with_nothing_due_leaves_the_file_alone_and_brings_a_missing_one_back(
    spark: SparkSession, chat: tuple[Path, RunReport]
) -> None:
    folder, _ = chat
    file, commits = folder / "answers.jsonl", history(spark, f"delta.`{folder / 'scored'}`")
    content, changed = file.read_bytes(), file.stat().st_mtime_ns
    again = run(spark, run_of(folder))
    assert (again.status, "answers" in again.seconds, file.stat().st_mtime_ns) == ("nothing_due", False, changed)
    file.unlink()
    assert run(spark, run_of(folder)).status == "nothing_due"
    assert file.read_bytes() == content
    # As after a run that was killed between its last commit and its file.
    file.write_text("of an earlier run")
    os.utime(file, (1_000_000_000, 1_000_000_000))
    run(spark, run_of(folder))
    assert file.read_bytes() == content
    assert history(spark, f"delta.`{folder / 'scored'}`") == commits
    assert sorted(each.name for each in folder.iterdir()) == ["answers.jsonl", "logged", "model", "requests.jsonl", "scored"]


def test_only_answers_to_this_source_are_written(spark: SparkSession, chat: tuple[Path, RunReport], tmp_path: Path) -> None:
    folder, _ = chat
    source = {"path": str(folder / "requests.jsonl"), "format": "openai", "where": "custom_id < 'r2'"}
    target = {"path": str(folder / "scored"), "jsonl": str(tmp_path / "some" / "of them.jsonl")}
    assert run(spark, run_of(folder, source=source, target=target)).status == "nothing_due"
    some, whole = read(Path(target["jsonl"])), read(folder / "answers.jsonl")
    assert some == {key: whole[key] for key in ("elsewhere", "r0", "r1")}


def test_the_page_about_batch_files_shows_what_is_so() -> None:
    page = (Path(__file__).parents[1] / "docs" / "openai-batch.md").read_text()
    assert problems_in(yaml.safe_load(re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)[0])) == []
    asked, answered = (block.splitlines() for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL))
    request = json.loads(asked[0])
    row = {"request": json.dumps(request["body"]), "url": request["url"], "method": request["method"]}
    assert "messages" in endpoints.unpacked(row, endpoints.CHAT)
    fine, failed = (Line.model_validate(json.loads(line)) for line in answered)
    assert body_as(ChatCompletion, fine).model == request["body"]["model"] and fine.custom_id == request["custom_id"]
    with pytest.raises(RowError) as caught:
        endpoints.unpacked({"request": json.dumps({**request["body"], "tools": [{}]})}, endpoints.CHAT)
    assert failed.error is not None and vars(failed.error) == {"code": caught.value.code, "message": caught.value.message}
    for endpoint in (endpoints.CHAT, endpoints.COMPLETIONS, endpoints.EMBEDDINGS):
        assert f"| `{endpoint.url}` | `{endpoint.content}`" in page


def test_a_custom_id_with_two_bodies_is_refused(spark: SparkSession, chat: tuple[Path, RunReport], tmp_path: Path) -> None:
    line = {"custom_id": "twice", "method": "POST", "url": "/v1/chat/completions"}
    (tmp_path / "requests.jsonl").write_text("\n".join(json.dumps({**line, "body": said(text)}) for text in SAID[:2]))
    with pytest.raises(SourceError, match=r"1 keys for rows with different inputs, such as \(custom_id='twice'\)"):
        run(spark, run_of(tmp_path, model={"uri": str(chat[0] / "logged")}))


@pytest.mark.parametrize(
    ("jsonl", "sentence"),
    [
        ("requests.jsonl", "lies in source.path"),
        ("scored/answers.jsonl", "lies in the prediction table"),
        ("logged", "expected the path of a file; .* is a folder"),
        ("requests.jsonl/answers.jsonl", "lies in source.path"),
        ("model/config.json/answers.jsonl", "cannot be written"),
        ("nosuch://place/answers.jsonl", "cannot be written"),
    ],
)
def test_a_file_that_cannot_be_where_it_should_is_refused_before_anything_is_scored(
    spark: SparkSession, chat: tuple[Path, RunReport], jsonl: str, sentence: str
) -> None:
    folder, _ = chat
    with pytest.raises(TargetError, match=f"^target.jsonl: .*{sentence}"):
        run(spark, run_of(folder, target={"path": str(folder / "scored"), "jsonl": jsonl if ":" in jsonl else str(folder / jsonl)}))


@pytest.mark.parametrize(
    ("place", "folder", "lies"),
    [
        ("file:/a/b.jsonl", "file:/a", True),
        ("file:/a/b.jsonl", "file:/a/*.jsonl", True),
        ("file:/a/c/b.jsonl", "file:/a/*", True),
        ("file:/a/c/b.jsonl", "file:/a/*.jsonl", False),
        ("file:/ab/b.jsonl", "file:/a", False),
        ("s3://x/a/b.jsonl", "s3://y/a", False),
    ],
)
def test_a_path_lies_in_a_folder_or_a_glob_of_them(place: str, folder: str, lies: bool) -> None:
    assert answers.lies_in(place, folder) == lies


def test_a_task_that_answers_no_requests_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    make_table(spark, "no_requests", [(1, "text")])
    classifier = tiny_encoders.build(tmp_path, "AutoModelForSequenceClassification") / "model"
    write_model(classifier, tmp_path / "logged", task="text-classification")
    source = {"table": "no_requests", "keys": ["id"], "columns": {"text": "body"}}
    with pytest.raises(ConfigError, match=r"target.jsonl: is for llm/v1/chat, .*; the task is text-classification"):
        run(spark, run_of(tmp_path, source=source))


def test_a_file_that_could_not_be_finished_leaves_what_was_there(spark: SparkSession, tmp_path: Path) -> None:
    def content() -> Iterator[bytes]:
        yield b"new"
        raise RuntimeError("half way")

    system, place = tables.file_system(spark, str(tmp_path / "out.jsonl"))
    (tmp_path / "out.jsonl").write_text("old")
    with pytest.raises(RuntimeError):
        answers.put(spark, str(tmp_path / "out.jsonl"), content())
    with pytest.raises(RuntimeError):
        answers.put_remote(system, answers.beside(spark, place), place, content())
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("out.jsonl", "old")]


def test_another_file_system_is_written_block_by_block_and_over_what_was_there(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "BLOCK_BYTES", 1000)
    lines = [f"é {i}" * 20 for i in range(200)]
    for content in (["old"], lines):
        system, place = tables.file_system(spark, str(tmp_path / "out.jsonl"))
        answers.put_remote(system, answers.beside(spark, place), place, answers.blocks(content))
    assert len(list(answers.blocks(lines))) > 10
    assert (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines() == lines
    assert {each.name for each in tmp_path.iterdir()} <= {"out.jsonl", ".out.jsonl.crc"}
