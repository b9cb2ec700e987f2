"""What the bodies of requests ask for, parameter by parameter, and what is refused of them; without Spark."""

import json
from typing import Any

import pytest

from sparkcoil import endpoints, generation, tasks
from sparkcoil.endpoints import CHAT, COMPLETIONS, EMBEDDINGS, Endpoint
from sparkcoil.errors import RowError

CONTENT: dict[str, Any] = {"messages": [{"role": "user", "content": "secret"}], "prompt": "secret", "input": "secret"}
ENDPOINTS = {"llm/v1/chat": CHAT, "llm/v1/completions": COMPLETIONS, "llm/v1/embeddings": EMBEDDINGS}
every_endpoint = pytest.mark.parametrize("endpoint", ENDPOINTS.values(), ids=[each.content for each in ENDPOINTS.values()])
generating = pytest.mark.parametrize("endpoint", [CHAT, COMPLETIONS], ids=["chat", "completions"])


def body_of(endpoint: Endpoint, **parameters: Any) -> bytes:
    return json.dumps({endpoint.content: CONTENT[endpoint.content], **parameters}).encode()


def asked(endpoint: Endpoint, **parameters: Any) -> dict[str, Any]:
    """Return what parameters come to beside the content."""
    row = dict(endpoints.unpacked({"request": body_of(endpoint, **parameters)}, endpoint))
    del row["request"]
    assert row.pop(endpoint.content) == CONTENT[endpoint.content]
    return row


def failure(endpoint: Endpoint, row: dict[str, Any]) -> RowError:
    """Return how a row fails; no message holds what the row holds."""
    with pytest.raises(RowError) as caught:
        endpoints.unpacked(row, endpoint)
    assert caught.value.stage == "input"
    assert "secret" not in caught.value.message
    return caught.value


def refusal(endpoint: Endpoint, **parameters: Any) -> tuple[str, str]:
    error = failure(endpoint, {"request": body_of(endpoint, **parameters)})
    return error.code, error.message


@generating
@pytest.mark.parametrize(
    ("parameters", "options"),
    [
        ({"max_tokens": 5}, {"max_tokens": 5}),
        ({"temperature": 0.7}, {"temperature": 0.7}),
        ({"temperature": 0}, {"temperature": 0}),
        ({"top_p": 0.9, "top_k": 4}, {"top_p": 0.9, "top_k": 4}),
        ({"n": 2, "seed": 7}, {"n": 2, "seed": 7}),
        ({"repetition_penalty": 1.5}, {"repetition_penalty": 1.5}),
        ({"stop": "\n"}, {"stop": "\n"}),
        ({"stop": ["a", "b"]}, {"stop": ["a", "b"]}),
        ({"model": "org/name"}, {"model": "org/name"}),
    ],
    ids=str,
)
def test_what_a_request_may_set_becomes_an_option(endpoint: Endpoint, parameters: dict[str, Any], options: dict[str, Any]) -> None:
    assert asked(endpoint, **parameters) == options
    task = tasks.load(next(name for name, each in ENDPOINTS.items() if each is endpoint))
    task.options(**{name: value for name, value in options.items() if name != "model"})


def test_the_newer_name_of_max_tokens_wins_in_any_order() -> None:
    assert asked(CHAT, max_completion_tokens=3) == {"max_tokens": 3}
    assert asked(CHAT, max_completion_tokens=3, max_tokens=9) == asked(CHAT, max_tokens=9, max_completion_tokens=3) == {"max_tokens": 3}


def test_an_embedding_may_be_shortened() -> None:
    assert asked(EMBEDDINGS, dimensions=8, encoding_format="float") == {"dimensions": 8}


@every_endpoint
@pytest.mark.parametrize("name", ["user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key"])
def test_what_changes_no_answer_is_passed_over(endpoint: Endpoint, name: str) -> None:
    assert asked(endpoint, **{name: {"any": "secret"}}) == {}


@generating
@pytest.mark.parametrize(
    ("name", "neutral", "other"),
    [
        ("stream", False, True),
        ("frequency_penalty", 0, 0.5),
        ("presence_penalty", 0.0, -1),
        ("logprobs", False, True),
        ("logit_bias", {}, {"50256": -100}),
    ],
)
def test_a_neutral_value_is_passed_over_and_another_is_not(endpoint: Endpoint, name: str, neutral: Any, other: Any) -> None:
    assert asked(endpoint, **{name: neutral}) == {}
    code, message = refusal(endpoint, **{name: other})
    assert code == "unsupported_parameter" and name in message


@pytest.mark.parametrize(
    ("name", "neutral", "other"),
    [
        ("tool_choice", "none", "auto"),
        ("tools", [], [{"type": "function", "function": {"name": "secret"}}]),
        ("functions", [], [{"name": "secret"}]),
        ("function_call", "none", {"name": "secret"}),
        ("response_format", {"type": "text"}, {"type": "grammar"}),
        ("response_format", {"type": "text"}, {"type": "json_schema", "json_schema": {"name": "secret"}}),
        ("response_format", {"type": "text"}, "json_object"),
        ("top_logprobs", 0, 2),
        ("modalities", ["text"], ["text", "audio"]),
        ("parallel_tool_calls", True, None),
    ],
)
def test_what_a_chat_may_not_ask_for_is_refused_by_name(name: str, neutral: Any, other: Any) -> None:
    assert asked(CHAT, **{name: neutral}) == {}
    if other is not None:
        code, message = refusal(CHAT, **{name: other})
        assert code == "unsupported_parameter" and name in message


@pytest.mark.parametrize(("name", "neutral", "other"), [("echo", False, True), ("best_of", 1, 2), ("suffix", "", "secret")])
def test_what_a_completion_may_not_ask_for_is_refused_by_name(name: str, neutral: Any, other: Any) -> None:
    assert asked(COMPLETIONS, **{name: neutral}) == {}
    assert refusal(COMPLETIONS, **{name: other}) == (
        "unsupported_parameter",
        f"request: {name} is not supported, other than as {json.dumps(neutral)}",
    )


def test_no_log_probabilities_is_not_false() -> None:
    assert refusal(COMPLETIONS, logprobs=0)[0] == "unsupported_parameter"


@every_endpoint
@pytest.mark.parametrize("name", ["audio", "prediction", "reasoning_effort", "web_search_options", "guided_json", "min_p"])
def test_an_unknown_parameter_is_refused_unless_it_is_null(endpoint: Endpoint, name: str) -> None:
    assert asked(endpoint, **{name: None}) == {}
    assert refusal(endpoint, **{name: "secret"}) == ("unsupported_parameter", f"request: {name} is not supported")


@every_endpoint
def test_what_looks_like_no_parameter_is_not_named(endpoint: Endpoint) -> None:
    assert refusal(endpoint, **{"a secret text": 1}) == ("unsupported_parameter", "request: a parameter with an odd name is not supported")


def test_parameters_of_another_endpoint_are_refused() -> None:
    assert refusal(EMBEDDINGS, temperature=1)[0] == refusal(COMPLETIONS, max_completion_tokens=1)[0] == "unsupported_parameter"
    assert refusal(EMBEDDINGS, encoding_format="base64")[0] == "unsupported_parameter"


@generating
@pytest.mark.parametrize(
    ("name", "value"),
    [("max_tokens", "5"), ("n", True), ("temperature", "secret"), ("seed", [1]), ("top_p", False), ("stop", 5), ("model", 5)],
)
def test_a_value_of_a_wrong_type_is_refused_by_its_parameter(endpoint: Endpoint, name: str, value: Any) -> None:
    code, message = refusal(endpoint, **{name: value})
    assert code == "bad_option" and name in message


@generating
@pytest.mark.parametrize("parameters", [{"max_tokens": 0}, {"temperature": -1}, {"top_p": 2}, {"n": 1.5}, {"stop": [1]}], ids=str)
def test_a_number_out_of_range_is_a_bad_option_of_the_row(endpoint: Endpoint, parameters: dict[str, Any]) -> None:
    task = tasks.load(next(name for name, each in ENDPOINTS.items() if each is endpoint))
    with pytest.raises(RowError) as caught:
        task.read({"request": body_of(endpoint, **parameters)}, task.options())
    assert caught.value.code == "bad_option"


@every_endpoint
@pytest.mark.parametrize("request_", [b"secret", b"[1]", b"5", b'"secret"', b"null", b'{"a": NaN}', b"[" * 100_000, b'{"a": 1', b""])
def test_a_request_that_is_no_object_is_refused(endpoint: Endpoint, request_: bytes) -> None:
    assert failure(endpoint, {"request": request_}).code == "bad_request"


@every_endpoint
def test_a_request_without_its_content_is_a_null_input(endpoint: Endpoint) -> None:
    for body in (b"{}", json.dumps({endpoint.content: None, "model": "secret"}).encode()):
        error = failure(endpoint, {"request": body})
        assert (error.code, error.message) == ("null_input", f"request has no {endpoint.content}")


@every_endpoint
def test_no_request_is_a_null_input_unless_a_column_has_the_content(endpoint: Endpoint) -> None:
    assert failure(endpoint, {"request": None}).message == "request is NULL"
    row = {"request": None, endpoint.content: b"of a column"}
    assert endpoints.unpacked(row, endpoint) == row


@every_endpoint
def test_what_a_request_says_goes_before_a_column(endpoint: Endpoint) -> None:
    row = {endpoint.content: b"of a column", "max_tokens": 9, "request": body_of(endpoint)}
    assert endpoints.unpacked(row, endpoint) == {**row, endpoint.content: CONTENT[endpoint.content]}


@every_endpoint
def test_a_row_without_a_request_comes_back_as_it_is(endpoint: Endpoint) -> None:
    row = {endpoint.content: b"text"}
    assert endpoints.unpacked(row, endpoint) is row


@every_endpoint
@pytest.mark.parametrize("address", [{"url": b"/v1/secret"}, {"url": None}, {"method": b"GET"}, {"method": None}], ids=str)
def test_another_url_or_method_is_a_wrong_endpoint(endpoint: Endpoint, address: dict[str, Any]) -> None:
    row = {"url": endpoint.url.encode(), "method": b"POST", "request": body_of(endpoint)}
    assert endpoints.unpacked(row, endpoint)[endpoint.content] == CONTENT[endpoint.content]
    error = failure(endpoint, {**row, **address})
    assert error.code == "wrong_endpoint"
    assert error.message == f"{next(iter(address))} is not {endpoint.url if 'url' in address else 'POST'}"


@pytest.mark.parametrize("endpoint", [COMPLETIONS, EMBEDDINGS], ids=["prompt", "input"])
@pytest.mark.parametrize("several", [["secret", "secret"], [], [[1, 2]], [1, 2], 5, {"text": "secret"}], ids=str)
def test_one_text_is_taken_and_several_or_tokens_are_not(endpoint: Endpoint, several: Any) -> None:
    one = endpoints.unpacked({"request": body_of(endpoint, **{endpoint.content: ["alone"]})}, endpoint)
    assert one[endpoint.content] == "alone"
    code, message = refusal(endpoint, **{endpoint.content: several})
    assert code == "unsupported_parameter" and endpoint.content in message


def test_parts_of_text_are_joined_line_by_line() -> None:
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    given = [{"role": "system", "content": "s"}, {"role": "user", "content": parts, "name": "x"}]
    body = json.dumps({"messages": given}).encode()
    assert endpoints.unpacked({"request": body}, CHAT)["messages"] == [given[0], {"role": "user", "content": "one\ntwo", "name": "x"}]


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "secret"}},
        {"type": "input_audio"},
        {"type": "text"},
        {"type": "text", "text": 5},
        "secret",
    ],
    ids=str,
)
def test_a_part_that_is_no_text_is_refused_by_its_message(part: Any) -> None:
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": [{"type": "text", "text": "secret"}, part]}]
    code, message = refusal(CHAT, messages=messages)
    assert code == "unsupported_parameter" and "message 1" in message


def test_a_message_with_tool_calls_is_refused_and_one_without_is_not() -> None:
    message = {"role": "assistant", "content": "text", "refusal": None, "annotations": [], "tool_calls": None}
    body = json.dumps({"messages": [message]}).encode()
    assert endpoints.unpacked({"request": body}, CHAT)["messages"] == [message]
    code, said = refusal(CHAT, messages=[{**message, "tool_calls": [{"id": "secret"}]}])
    assert code == "unsupported_parameter" and "tool_calls of message 0" in said


@pytest.mark.parametrize("messages", ["[]", {}, 5, [], [5], [{"role": "user"}], [{"role": "user", "content": None}]], ids=str)
def test_a_conversation_that_is_none_is_refused(messages: Any) -> None:
    task = tasks.load("llm/v1/chat")
    with pytest.raises(RowError) as caught:
        task.read({"request": json.dumps({"messages": messages}).encode()}, task.options())
    assert caught.value.code == "bad_messages"


@pytest.mark.parametrize("name", ENDPOINTS)
def test_every_task_reads_its_request(name: str) -> None:
    task, endpoint = tasks.load(name), ENDPOINTS[name]
    request, warnings = task.read({"request": body_of(endpoint, model="asked"), "url": endpoint.url.encode()}, task.options())
    assert (request.model, warnings) == ("asked", ())
    assert request.content == (tuple(CONTENT["messages"]) if endpoint is CHAT else "secret")
    assert {"request", endpoint.content} <= set(task.one_of)


def test_the_options_of_a_request_go_before_those_of_the_run() -> None:
    task = tasks.load("llm/v1/chat")
    options = task.options(max_new_tokens=100, temperature=1.0, stop=["x"])
    request, _ = task.read({"request": body_of(CHAT, max_completion_tokens=3, temperature=0, stop=[])}, options)
    assert (request.options.new_tokens(), request.options.samples(), request.options.stop) == (3, False, ())


@pytest.mark.parametrize(
    ("form", "schema"),
    [
        ({"type": "json_object"}, {"type": "object"}),
        ({"type": "json_schema", "json_schema": {"name": "a", "strict": True, "schema": {"type": "array"}}}, {"type": "array"}),
    ],
    ids=str,
)
def test_a_response_format_is_the_response_schema_of_its_row(form: dict[str, Any], schema: dict[str, Any]) -> None:
    assert asked(CHAT, response_format=form) == {"response_schema": schema}
    options = tasks.load("llm/v1/chat").options()
    assert generation.options_for(asked(CHAT, response_format=form), options).response_schema == schema
