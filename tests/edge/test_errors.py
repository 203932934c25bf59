"""What callers are told of errors, and what is logged."""

import asyncio
import json
import logging
import typing

import httpx
import pytest
import structlog
from strawberry.types import ExecutionResult

from schema import observe
from tests.edge import small

Lines = list[typing.MutableMapping[str, typing.Any]]


@pytest.fixture
def lines() -> typing.Iterator[Lines]:
    with structlog.testing.capture_logs() as captured:
        yield captured


@pytest.mark.parametrize(
    ("query", "code", "message"),
    [
        ("{ missing }", "NOT_FOUND", "This does not exist, or is not yours."),
        ("{ coded }", "RATE_LIMITED", "Wait a little."),
        ("{ broken }", "INTERNAL_SERVER_ERROR", "Internal server error."),
        ("{ tooBig }", "INTERNAL_SERVER_ERROR", "Internal server error."),
        ("{", "GRAPHQL_PARSE_FAILED", "Syntax Error: Expected Name, found <EOF>."),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED", "Cannot query field 'nothing' on type 'Query'."),
        ("{ items(first: 1.5) { name } }", "GRAPHQL_VALIDATION_FAILED", "Int cannot represent non-integer value: 1.5"),
    ],
)
async def test_every_error_has_a_code_and_a_safe_message(
    client: httpx.AsyncClient, query: str, code: str, message: str
) -> None:
    response = await client.post("/graphql", json={"query": query})
    error = response.json()["errors"][0]
    assert (error["extensions"]["code"], error["message"]) == (code, message)
    assert error["extensions"]["requestId"] == response.headers["x-request-id"]


async def test_a_fault_is_logged_under_the_id_that_the_caller_is_told(client: httpx.AsyncClient, lines: Lines) -> None:
    response = await client.post("/graphql", json={"query": "query Q { broken }"})
    assert "hunter2" not in response.text
    error = response.json()["errors"][0]
    logged = next(line for line in lines if line["event"] == "fault in an operation")
    assert logged["error_id"] == error["extensions"]["errorId"]
    assert logged["request_id"] == response.headers["x-request-id"]
    assert logged["operation_name"] == "Q"
    assert "hunter2" in str(logged["exc_info"])


async def test_an_operation_is_one_line_without_document_or_variables(client: httpx.AsyncClient, lines: Lines) -> None:
    query = "query Named($n: String!) { hello(name: $n) missing }"
    await client.post("/graphql", json={"query": query, "variables": {"n": "secret-value"}})
    (line,) = [line for line in lines if line["event"] == "operation"]
    assert (line["operation_type"], line["operation_name"], line["outcome"]) == ("query", "Named", "done")
    assert line["error_codes"] == ["NOT_FOUND"]
    assert line["duration_ms"] >= 0
    assert "secret-value" not in json.dumps(lines, default=str)
    assert "hello" not in json.dumps(line)


async def test_mistakes_of_callers_are_no_errors_in_the_log(
    client: httpx.AsyncClient, lines: Lines, caplog: pytest.LogCaptureFixture
) -> None:
    for query in ("{", "{ nothing }", "{ missing }"):
        await client.post("/graphql", json={"query": query})
    assert {line["log_level"] for line in lines} == {"info"}
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("query", ["{ helo }", '{ hello(nam: "x") }', "{ ...f } fragment f on Quer { hello }"])
async def test_nothing_is_suggested_where_suggestions_are_off(client: httpx.AsyncClient, query: str) -> None:
    response = await client.post("/graphql", json={"query": query})
    assert response.json()["errors"]
    assert "Did you mean" not in response.text


async def test_at_most_ten_errors_are_told(client: httpx.AsyncClient) -> None:
    response = await client.post("/graphql", json={"query": "{ items { " + "nothing " * 30 + "} }"})
    assert len(response.json()["errors"]) == observe.ERRORS_MAX


async def test_a_variable_of_the_wrong_type_is_the_mistake_of_the_caller(client: httpx.AsyncClient) -> None:
    query = "query Q($n: Int!) { items(first: $n) { name } }"
    for variables in ({"n": "x"}, {"n": 2**40}, {}):
        response = await client.post("/graphql", json={"query": query, "variables": variables})
        assert response.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_an_operation_that_takes_too_long_is_stopped(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observe, "OPERATION_SECONDS_MAX", 0.05)
    headers = {"accept": "application/graphql-response+json"}
    response = await client.post("/graphql", json={"query": "{ sleepy(seconds: 5) }"}, headers=headers)
    assert response.status_code == 200, "it was executed"
    answer = response.json()
    assert answer["data"] is None
    assert answer["errors"][0]["extensions"]["code"] == observe.TIMEOUT


async def test_a_subscription_may_last_longer_than_an_operation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observe, "OPERATION_SECONDS_MAX", 0.05)
    context = small.Context(None, "r")
    stream = await small.schema.stream("subscription { count(to: 12) }", context_value=context)
    assert len([result async for result in stream]) == 12


async def test_what_a_hook_raises_is_masked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: observe.TimeLimit) -> typing.NoReturn:
        raise ValueError("password=hunter2")

    monkeypatch.setattr(observe.TimeLimit, "on_execute", broken)
    stream = await small.schema.stream("{ hello }", context_value=small.Context(None, "r"))
    (result,) = [told async for told in stream]
    assert isinstance(result, ExecutionResult)
    assert result.errors is not None
    assert result.errors[0].message == "Internal server error."


async def test_operations_run_side_by_side_keep_their_own_errors() -> None:
    queries = ("{ missing }", "{ hello }", "{ coded }", "{ nothing }")
    context = small.Context(None, "r")
    results = await asyncio.gather(*(small.schema.execute(query, context_value=context) for query in queries))
    codes = [[(error.extensions or {})["code"] for error in result.errors or []] for result in results]
    assert codes == [["NOT_FOUND"], [], ["RATE_LIMITED"], ["GRAPHQL_VALIDATION_FAILED"]]
