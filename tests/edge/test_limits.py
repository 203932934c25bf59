"""What one operation may ask for."""

import time

import httpx
import pytest
from graphql import build_schema, get_introspection_query, parse

from schema import limits
from tests.edge import small

SCHEMA = build_schema("""
    type Query { a: Int tasks(first: Int, last: Int): Tasks nodes(ids: [ID!]!): [Task] task: Task }
    type Mutation { m: Int }
    type Tasks { nodes: [Task!]! }
    type Task { id: ID results(first: Int): Tasks child: Task }
""")


def excess(document: str) -> object:
    """Give the name of the limit that `document` exceeds, None when it keeps them all."""
    errors, _ = limits.check(SCHEMA, parse(document))
    return (errors[0].extensions or {})["limit"] if errors else None


def cost(document: str) -> int:
    return limits.check(SCHEMA, parse(document))[1]


def nested(depth: int) -> str:
    return "{ task " + "{ child " * (depth - 2) + "{ id " + "}" * depth


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ("{ a }", None),
        (nested(12), None),
        (nested(13), "depth"),
        (nested(190), "depth"),
        ("{ " + " ".join(f"x{n}: a" for n in range(15)) + "}", None),
        ("{ " + " ".join(f"x{n}: a" for n in range(21)) + "}", "root fields"),
        ("{ task { " + " ".join(f"x{n}: id" for n in range(31)) + "} }", "aliases"),
        ("mutation { " + " ".join(f"x{n}: m" for n in range(6)) + "}", "root fields"),
        ("{ task { " + "id " * 500 + "} }", "fields"),
        ("{ a " + "@skip(if: false) " * 4 + "}", "directives on one node"),
        ("{ task { " + "id @skip(if: false) " * 31 + "} }", "directives"),
        ("query(" + " ".join(f"$v{n}: Int" for n in range(51)) + ") { a }", "variables"),
        (" ".join(f"query Q{n} {{ a }}" for n in range(51)), "definitions"),
        ("{ tasks(first: 100) { nodes { results(first: 100) { nodes { id } } } } }", "cost"),
        ("{ __schema { types { " + "fields { type { " * 5 + "name" + " } }" * 5 + " } } }", "introspection depth"),
        (get_introspection_query(), None),
        ("{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }", None),
        ("{ ...nowhere ... on Nothing { x } }", None),
        ("{ tasks(first: 3) { unknown { unknown(first: 99) { x } } } }", None),
    ],
)
def test_security_25_each_limit_holds_and_is_named(document: str, expected: str | None) -> None:
    assert excess(document) == expected


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ("{ a }", 0),
        ("{ task { id } }", 1),
        ("{ tasks { nodes { id } } }", 1 + 20),
        ("{ tasks(first: 5) { nodes { child { id } } } }", 1 + 5 * 2),
        ("{ tasks(last: 5) { nodes { id } } }", 1 + 5),
        ("{ tasks(first: 9000) { nodes { id } } }", 1 + 100),
        ("{ tasks(first: -1) { nodes { id } } }", 1 + 1),
        ("query($n: Int) { tasks(first: $n) { nodes { id } } }", 1 + 100),
        ('{ nodes(ids: ["a", "b"]) { id ... on Task { child { id } } } }', 2 + 2),
        ("query($ids: [ID!]!) { nodes(ids: $ids) { id } }", 100),
        ("{ ...f } fragment f on Query { task { id } x: task { id } }", 2),
        ("query A { a } query B { task { id } }", 1),
    ],
)
def test_the_cost_is_one_point_an_object_times_the_pages_above(document: str, expected: int) -> None:
    assert cost(document) == expected


def test_security_25_a_bomb_of_fragments_is_measured_in_no_time() -> None:
    levels = 100
    bomb = "{ ...f0 } " + " ".join(
        f"fragment f{n} on Task {{ child {{ ...f{n + 1} ...f{n + 1} }} }}" for n in range(levels)
    )
    document = parse(bomb + f" fragment f{levels} on Task {{ id }}")
    started = time.process_time()
    errors, _ = limits.check(SCHEMA, document, limits.Limits(definitions=1000))
    assert errors
    assert time.process_time() - started < 0.05


def test_security_25_what_is_refused_is_charged_as_the_dearest_that_may_run() -> None:
    bomb = "{ ...f0 } " + " ".join(
        f"fragment f{n} on Query {{ items(first: 100) {{ items(first: 100) {{ name }} }} ...f{n + 1} ...f{n + 1} }}"
        for n in range(45)
    )
    document = f"{bomb} fragment f45 on Query {{ hello }}"
    assert limits.check(small.schema._schema, parse(document))[1] > 2**50  # a few of these are more than Redis counts
    assert limits.price(small.schema, document) == limits.LIMITS.cost
    assert limits.price(small.schema, "{ hello }") == limits.price(small.schema, "{") == 1
    assert limits.price(small.schema, "{ items(first: 7) { name } }") == 7


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{ " + "hello " * 2000 + "}", "GRAPHQL_PARSE_FAILED"),
        ("{ a" * 900 + "}" * 900, "GRAPHQL_PARSE_FAILED"),
        ("{ hello(name: " + "[" * 900 + "]" * 900 + ") }", "GRAPHQL_PARSE_FAILED"),
        ("{ items { items { items { name } } } }", "OPERATION_TOO_COMPLEX"),  # 20 + 20 x 20 + 20 x 20 x 20 objects
        ("query A { hello } query B { hello }", "OPERATION_RESOLUTION_FAILURE"),
    ],
)
async def test_what_is_too_much_is_refused_fast_and_every_time(
    client: httpx.AsyncClient, query: str, code: str
) -> None:
    for _ in range(2):
        started = time.process_time()
        response = await client.post("/graphql", json={"query": query})
        assert time.process_time() - started < 0.5
        assert response.json()["errors"][0]["extensions"]["code"] == code


async def test_a_document_is_parsed_and_validated_once(client: httpx.AsyncClient) -> None:
    query = {"query": "query Once { hello }"}
    await client.post("/graphql", json=query)
    before = limits.prepared.cache_info()
    for _ in range(3):
        assert (await client.post("/graphql", json=query)).json()["data"] == {"hello": "hello you"}
    after = limits.prepared.cache_info()
    assert after.hits - before.hits == 2 * 3  # for what it is charged, and for running it
    assert after.misses == before.misses


async def test_errors_of_a_kept_document_do_not_pass_from_one_request_to_another(client: httpx.AsyncClient) -> None:
    found = []
    for request_id in ("first", "second"):
        response = await client.post("/graphql", json={"query": "{ nothing }"}, headers={"x-request-id": request_id})
        found.append(response.json()["errors"][0]["extensions"]["requestId"])
    assert found == ["first", "second"]


async def test_the_number_of_kept_documents_is_bounded() -> None:
    for number in range(limits.DOCUMENTS_KEPT + 10):
        await small.schema.execute(f"query Q{number} {{ hello }}")
    assert limits.prepared.cache_info().currsize == limits.DOCUMENTS_KEPT
