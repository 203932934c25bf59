"""Requests that want to cost more than they are worth, or come from another site: refused before anything is done."""

import json
import time
from typing import Any

import httpx
import pytest

from db.models import Account
from resolvers.context import Parts
from schema import limits
from tests import factories
from tests.client import Client
from tests.conftest import Raw, Statements

NEWEST = {"accept": "application/graphql-response+json", "content-type": "application/json"}
SECONDS = 0.05
SIGN_UP = 'mutation { signUp(input: {email: "eve@example.com", password: "correct horse"}) { user { id } } }'
FRAGMENTS = " ".join(f"fragment f{n} on Task {{ owner {{ id }} ...f{n + 1} ...f{n + 1} }}" for n in range(40))


def body(query: str, **variables: Any) -> bytes:
    return json.dumps({"query": query, "variables": variables}).encode()


# What has too much of something, and what it is told: the name of a limit of operations, else a code.
HOSTILE = {
    "depth": ("depth", body("{ tasks { nodes { owner { " + "viewer { " * 12 + "id" + " }" * 12 + " } } } }")),
    "aliases": ("aliases", body("{ " + " ".join(f"a{n}: viewer {{ id }}" for n in range(31)) + " }")),
    "root fields": ("root fields", body("{ " + " ".join(f"a{n}: rateLimit {{ limit }}" for n in range(21)) + " }")),
    "fragments": ("fields", body(f"{{ tasks {{ nodes {{ ...f0 }} }} }} {FRAGMENTS} fragment f40 on Task {{ id }}")),
    "definitions": (
        "definitions",
        body("{ viewer { id } } " + " ".join(f"fragment f{n} on Task {{ id }}" for n in range(50))),
    ),
    "cost": ("cost", body("{ tasks(first: 100) { nodes { results(first: 100) { nodes { id } } } } }")),
    "directives": ("directives", body("{ viewer @include(if: true) " + "@skip(if: false) " * 30 + "{ id } }")),
    "a circle of fragments": (
        "GRAPHQL_VALIDATION_FAILED",
        body("{ viewer { ...a } } fragment a on User { ...b } fragment b on User { ...a }"),
    ),
    "tokens": ("GRAPHQL_PARSE_FAILED", body("{ viewer { " + "id " * 2000 + "} }")),
    "document": ("OPERATION_TOO_COMPLEX", body("{ viewer { id } }" + " " * 33_000)),
    "a batch": ("BAD_REQUEST", b"[" + b",".join([body("{ viewer { id } }")] * 50) + b"]"),
    "10 MB": ("PAYLOAD_TOO_LARGE", body("{ viewer { id } }" + " " * 10_000_000)),
    "deep JSON": (
        "BAD_REQUEST",
        b'{"query": "{ viewer { id } }", "variables": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}",
    ),
    "deep lists": ("BAD_REQUEST", b"[" * 200_000 + b"]" * 200_000),
    "invalid UTF-8": ("BAD_REQUEST", b'{"query": "{ viewer { id } } #\xff\xfe"}'),
    "an integer of 5,000 digits": (
        "BAD_REQUEST",
        b'{"query": "query($n: Int) { tasks(first: $n) { totalCount } }", "variables": {"n": ' + b"9" * 5000 + b"}}",
    ),
    "a literal of 5,000 digits": (
        "GRAPHQL_VALIDATION_FAILED",
        body("{ tasks(first: " + "9" * 5000 + ") { totalCount } }"),
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_security_25_what_asks_for_too_much_is_4xx_without_any_sql_and_at_once(
    http: httpx.AsyncClient, statements: Statements, name: str
) -> None:
    await http.post("/graphql", content=body("{ viewer { id } }"), headers=NEWEST)  # the first loads what all need
    told, content = HOSTILE[name]
    spent = []
    for _ in range(3):
        limits.prepared.cache_clear()  # who means harm sends another text each time
        with statements.counted() as sent:
            began = time.process_time()
            answer = await http.post("/graphql", content=content, headers=NEWEST)
            spent.append(time.process_time() - began)
        assert 400 <= answer.status_code < 500, answer.text
        extensions = answer.json()["errors"][0]["extensions"]
        assert extensions.get("limit", extensions["code"]) == told
        assert sent == []
    assert min(spent) < SECONDS


@pytest.mark.parametrize("name", HOSTILE)
async def test_security_25_who_is_signed_in_costs_no_more_sql_than_being_recognised(
    client: Client, statements: Statements, name: str
) -> None:
    headers = NEWEST | {"authorization": f"Bearer {client.credential}"}
    with statements.counted() as recognising:
        await client.http.post("/graphql", content=body("{ __typename }"), headers=headers)
    with statements.counted() as sent:
        answer = await client.http.post("/graphql", content=HOSTILE[name][1], headers=headers)
    assert 400 <= answer.status_code < 500, answer.text
    assert sent in (recognising, [])


@pytest.mark.parametrize(
    ("kind", "selection"),
    [
        ("TaskStatus! QUEUED", "tasks(filter: {status: $values}) { totalCount nodes { id } }"),
        (
            "TaskStatus! QUEUED",
            'taskSeries(range: {from: "2026-01-31", to: "2026-01-31"}, filter: {status: $values}) { points { date } }',
        ),
        (
            "CreditTransactionKind! SPENT",
            "credits { transactions(filter: {kind: $values}) { totalCount nodes { id } } }",
        ),
        ("Verdict! EXISTS", "tasks { nodes { results(filter: {verdict: $values}) { totalCount nodes { id } } } }"),
        (
            "VerdictReason! ACCEPTED",
            "tasks { nodes { results(filter: {reason: $values}) { totalCount nodes { id } } } }",
        ),
    ],
)
async def test_a_filter_may_repeat_a_value_more_often_than_a_statement_takes_parameters(
    client: Client, parts: Parts, account: Account, kind: str, selection: str
) -> None:
    await factories.task(parts, account)
    enum, value = kind.split(" ")
    await client.ask(f"query($values: [{enum}]) {{ {selection} }}", values=[value] * 40_000)


@pytest.mark.parametrize(
    "request_",
    [
        {"content": body(SIGN_UP), "headers": {"content-type": "text/plain"}},
        {"content": body(SIGN_UP)},
        {"data": {"query": SIGN_UP}},
        {"files": {"operations": (None, body(SIGN_UP)), "map": (None, b"{}")}},
        {"method": "GET", "params": {"query": SIGN_UP}},
        {"method": "GET", "params": {"query": SIGN_UP}, "headers": {"accept": "text/event-stream"}},
    ],
    ids=["text", "no type", "form", "multipart", "get", "get of a stream"],
)
async def test_security_26_what_another_sites_page_can_send_is_refused_and_changes_nothing(
    http: httpx.AsyncClient, raw: Raw, request_: dict[str, Any]
) -> None:
    answer = await http.request(**{"method": "POST", "url": "/graphql", **request_})
    assert 400 <= answer.status_code < 500, answer.text
    assert await raw("SELECT count(*) FROM account") == [(0,)]


async def test_security_26_no_answer_sets_a_cookie_so_that_no_browser_adds_a_credential(client: Client) -> None:
    answer = await client.post("{ viewer { id } }")
    assert "set-cookie" not in answer.headers
