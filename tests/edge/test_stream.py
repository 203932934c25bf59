"""GraphQL over server-sent events, distinct connections mode."""

import asyncio
import datetime as dt
import json

import httpx
import pytest

from tests.edge import small

SSE = {"accept": "text/event-stream"}


def events(text: str) -> list[tuple[str, object]]:
    found = []
    for block in text.removesuffix("\n\n").split("\n\n"):
        first, second = block.split("\n")
        data = second.removeprefix("data: ")
        found.append((first.removeprefix("event: "), json.loads(data) if data else None))
    return found


async def test_a_subscription_gives_events_with_lf_and_completes(client: httpx.AsyncClient) -> None:
    response = await client.post("/graphql", json={"query": "subscription { count(to: 2) }"}, headers=SSE)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-store, no-transform"
    assert response.headers["x-accel-buffering"] == "no"
    assert "\r" not in response.text
    assert events(response.text) == [
        ("next", {"data": {"count": 0}}),
        ("next", {"data": {"count": 1}}),
        ("complete", None),
    ]


@pytest.mark.parametrize("query", ["{ hello }", 'mutation { rename(name: "x") }'])
async def test_other_operations_give_one_event(client: httpx.AsyncClient, query: str) -> None:
    response = await client.post("/graphql", json={"query": query}, headers=SSE)
    assert [name for name, _ in events(response.text)] == ["next", "complete"]


async def test_an_event_source_may_subscribe_by_get_but_not_mutate(client: httpx.AsyncClient) -> None:
    response = await client.get("/graphql", params={"query": "subscription { count(to: 1) }"}, headers=SSE)
    assert events(response.text)[0] == ("next", {"data": {"count": 0}})
    response = await client.get("/graphql", params={"query": 'mutation { rename(name: "x") }'}, headers=SSE)
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("query A { hello } query B { hello }", "OPERATION_RESOLUTION_FAILURE"),
    ],
)
async def test_an_operation_that_cannot_run_is_one_event_without_data(
    client: httpx.AsyncClient, query: str, code: str
) -> None:
    response = await client.post("/graphql", json={"query": query, "operationName": None}, headers=SSE)
    first = events(response.text)[0][1]
    assert isinstance(first, dict)
    assert "data" not in first
    assert first["errors"][0]["extensions"]["code"] == code


async def test_wrong_credentials_are_401_and_no_stream(client: httpx.AsyncClient) -> None:
    headers = {**SSE, "authorization": "Bearer bad"}
    response = await client.post("/graphql", json={"query": "subscription { count }"}, headers=headers)
    assert response.status_code == 401
    assert response.headers["content-type"] == "application/json; charset=utf-8"


async def test_the_end_of_a_token_ends_the_stream(client: httpx.AsyncClient, guests: small.Guests) -> None:
    guests.by_token["short"] = small.Actor("bo", dt.datetime.now(dt.UTC) + dt.timedelta(seconds=0.4))
    headers = {**SSE, "authorization": "Bearer short"}
    query = 'subscription { forever(name: "sse expired") }'
    response = await client.post("/graphql", json={"query": query}, headers=headers)
    found = events(response.text)
    assert found[0] == ("next", {"data": {"forever": 0}})
    assert "UNAUTHENTICATED" in json.dumps(found[-2][1])
    assert found[-1] == ("complete", None)
    await until_closed("sse expired")


async def test_a_client_that_leaves_ends_its_stream(client: httpx.AsyncClient) -> None:
    body = {"query": 'subscription { forever(name: "sse left") }'}
    async with client.stream("POST", "/graphql", json=body, headers=SSE) as response:
        async for line in response.aiter_lines():
            assert line == "event: next"
            break
    await until_closed("sse left")


async def test_a_process_that_stops_breaks_its_streams_off(client: httpx.AsyncClient, guests: small.Guests) -> None:
    asyncio.get_running_loop().call_later(0.2, setattr, guests, "is_closing", True)
    query = 'subscription { forever(name: "sse stopped") }'
    response = await client.post("/graphql", json={"query": query}, headers=SSE)
    assert events(response.text)[0] == ("next", {"data": {"forever": 0}})
    assert "event: complete" not in response.text, "the client is to come back"
    await until_closed("sse stopped")


async def test_the_first_event_comes_at_once(client: httpx.AsyncClient) -> None:
    body = {"query": "subscription { quiet }"}
    async with asyncio.timeout(2), client.stream("POST", "/graphql", json=body, headers=SSE) as response:
        async for line in response.aiter_lines():
            assert line == "event: next"
            break


async def until_closed(name: str) -> None:
    async with asyncio.timeout(3):
        while name not in small.closed_streams:
            await asyncio.sleep(0.01)
