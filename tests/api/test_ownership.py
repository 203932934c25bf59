"""Security 23: every place of the schema that takes an id, tried with the ids of somebody else's things.

The places and the kinds of things are read from the schema. A new argument whose name says nothing of its kind, or a
new kind without a maker in `things`, fails here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson
import pytest
from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLObjectType,
    get_named_type,
    is_composite_type,
    is_list_type,
    is_non_null_type,
    is_required_argument,
    is_required_input_field,
)
from graphql.type import GraphQLInputField

from db import ids
from db.models import (
    Account,
    ApiKeyScope,
    Purchase,
    PurchaseStatus,
    Table,
    UserRole,
    Webhook,
    WebhookDelivery,
    WebhookEvent,
)
from resolvers.context import Parts
from schema import root
from services import administration, billing
from services.actor import Actor
from services.device import Device
from tests import factories, surface
from tests.client import Client
from tests.conftest import Raw, token

ANY = "Node"
KIND_BY_NAME = {
    "actorId": "User",
    "apiKeyId": "ApiKey",
    "deliveryId": "WebhookDelivery",
    "id": ANY,
    "ids": ANY,
    "ownerId": "User",
    "sessionId": "Session",
    "taskId": "Task",
    "userId": "User",
    "webhookId": "Webhook",
}
KIND_BY_PLACE = {"Query.task.id": "Task"}
# Ids of no thing, each with the reason why it reaches nothing of others.
NO_THINGS = {"Subscription.viewerEvents.after": "a position in time: the events after it are the caller's own"}
ROOTS = {"Query": "query", "Mutation": "mutation", "Subscription": "subscription"}
REFUSALS = {"UNAUTHENTICATED", "FORBIDDEN", "NOT_FOUND"}
SAMPLES: dict[str, Any] = {
    "Boolean": True,
    "Date": "2026-01-31",
    "DateTime": "2026-01-31T00:00:00Z",
    "Float": 1.0,
    "Int": 1,
    "JSONObject": {},
    "String": "sample",
    "URL": "https://example.com/",
}

Things = dict[str, str]
"""The global id of a thing of each kind, all of one owner."""


@dataclass(frozen=True)
class Place:
    """Where an id goes in: a field of a root, and the path of the argument or of the input's field."""

    root: str
    name: str
    argument: str
    kind: str

    def __str__(self) -> str:
        return f"{self.root}.{self.name}.{self.argument}"


def id_names(field: GraphQLField) -> Iterator[str]:
    """The names of a field's arguments, and of the fields of its inputs, that take ids."""
    for name, argument in field.args.items():
        kind = get_named_type(argument.type)
        if kind.name == "ID":
            yield name
        elif isinstance(kind, GraphQLInputObjectType):
            yield from (n for n, f in kind.fields.items() if get_named_type(f.type).name == "ID")


def places() -> list[Place]:
    found = []
    for root_name in ROOTS:
        for name, field in surface.fields(root_name).items():
            for argument in id_names(field):
                if f"{root_name}.{name}.{argument}" in NO_THINGS:
                    continue
                kind = KIND_BY_PLACE.get(f"{root_name}.{name}.{argument}") or KIND_BY_NAME.get(argument, "?")
                found.append(Place(root_name, name, argument, kind))
    return found


PLACES = places()


def sample(argument: GraphQLArgument | GraphQLInputField, ids: dict[str, str], name: str) -> Any:
    """A value that a required argument takes; the ids are given by the names of where they go."""
    kind = get_named_type(argument.type)
    value: Any
    if name in ids:
        value = ids[name]
    elif isinstance(kind, GraphQLInputObjectType):
        fields = kind.fields.items()
        value = {n: sample(f, ids, n) for n, f in fields if is_required_input_field(f) or n in ids}
    else:
        value = next(iter(kind.values)) if isinstance(kind, GraphQLEnumType) else SAMPLES[kind.name]
    inner = argument.type.of_type if is_non_null_type(argument.type) else argument.type
    return [value] if is_list_type(inner) else value


def operation(place: Place, node_id: str) -> dict[str, Any]:
    """The operation that tries an id at a place."""
    field = surface.fields(place.root)[place.name]
    ids = {place.argument: node_id}
    given = {
        n: sample(a, ids, n)
        for n, a in field.args.items()
        if is_required_argument(a) or n in ids or place.argument in getattr(get_named_type(a.type), "fields", {})
    }
    declared = ", ".join(f"${name}: {field.args[name].type}" for name in given)
    passed = ", ".join(f"{name}: ${name}" for name in given)
    kind = get_named_type(field.type)
    selected = "userErrors { code }" if "userErrors" in getattr(kind, "fields", {}) else "__typename"
    selection = f" {{ {selected} }}" if is_composite_type(kind) else ""
    return {"query": f"{ROOTS[place.root]}({declared}) {{ {place.name}({passed}){selection} }}", "variables": given}


async def answer(client: Client, place: Place, node_id: str) -> dict[str, Any]:
    """What a caller is told, without what differs from request to request."""
    accept = "text/event-stream" if place.root == "Subscription" else "application/json"
    headers = {**client._headers(), "accept": accept}
    response = await client.http.post("/graphql", json=operation(place, node_id), headers=headers)
    text = response.text
    if place.root == "Subscription":
        text = text.split("data: ", 1)[1].split("\n", 1)[0]
    body: dict[str, Any] = orjson.loads(text.replace(node_id, "<id>"))
    body.pop("extensions", None)
    for error in body.get("errors", ()):
        error["extensions"].pop("requestId", None)
    return body


def is_refused(body: dict[str, Any], place: Place) -> bool:
    """Nothing was given and nothing done."""
    if "errors" in body:
        return {error["extensions"]["code"] for error in body["errors"]} <= REFUSALS
    value = body["data"][place.name]
    if isinstance(value, dict) and "userErrors" in value:
        return {error["code"] for error in value["userErrors"]} == {"NOT_FOUND"}
    return value is None or (isinstance(value, list) and all(one is None for one in value))


def nobodys(node_id: str) -> str:
    """An id of the same kind that no thing has."""
    return re.sub(r"_\w{22}", "_" + "0" * 21 + "7", node_id)


@pytest.fixture
async def owner(parts: Parts) -> Account:
    """Somebody with one thing of every kind."""
    granted = await parts.identity.sign_up(
        "victim@example.com", "correct horse", user_metadata={}, device=Device(), now=datetime.now(UTC)
    )
    assert granted is not None
    return granted.account


@pytest.fixture
async def things(parts: Parts, owner: Account, chief: Account, raw: Raw) -> Things:
    """A thing of each kind that has a global id."""
    now = datetime.now(UTC)
    async with parts.db.transaction() as session:
        await billing.welcome(session, owner.id, 10, now)
    task = await factories.finished_task(parts.db, owner, 2)
    key, _ = await factories.key(parts, owner, *ApiKeyScope)
    admin = Actor(chief.id, UserRole.ADMIN)
    await administration.suspend(parts.db, admin, owner.id, "for a moment", now)
    await administration.restore(parts.db, admin, owner.id, now)
    session_ = await parts.identity.sign_in("victim@example.com", "correct horse", device=Device(), now=now)
    (transaction,) = await raw("SELECT id FROM credit_transaction WHERE account_id = :id", id=owner.id)
    event = (await raw("SELECT id FROM audit_event LIMIT 1"))[0]
    webhook = Webhook(
        id=ids.new_uuid(), account_id=owner.id, url="https://example.com/", event_names=[], created_at=now
    )
    delivery = WebhookDelivery(
        id=ids.new_uuid(),
        account_id=owner.id,
        url=webhook.url,
        event=WebhookEvent.TASK_FAILED,
        data={},
        created_at=now,
    )
    purchase = Purchase(
        id=ids.new_uuid(),
        account_id=owner.id,
        package="p",
        credits=1,
        price_minor=1,
        currency="USD",
        status=PurchaseStatus.OPEN,
        provider="mock",
        idempotency_key="k",
        created_at=now,
        expires_at=now,
    )
    async with parts.db.transaction() as session:
        session.add_all((webhook, delivery, purchase))
    return {
        "ApiKey": key.global_id,
        "AuditEvent": ids.global_id("audit", event.id),
        "CreditTransaction": ids.global_id("transaction", transaction.id),
        "Profile": ids.global_id("profile", owner.id),
        "Purchase": purchase.global_id,
        "Session": ids.global_id("session", session_.session_id),
        "Task": task.global_id,
        "TaskResult": ids.row_id("result", task.id, 1),
        "User": owner.global_id,
        "Webhook": webhook.global_id,
        "WebhookDelivery": delivery.global_id,
    }


@pytest.fixture(params=["nobody", "a stranger", "a stranger's key", "an administrator's key"])
async def caller(
    request: pytest.FixtureRequest, http: httpx.AsyncClient, parts: Parts, account: Account, chief: Account
) -> Client:
    """Who must not reach the owner's things. A key never acts as an administrator."""
    if request.param == "nobody":
        return Client(http)
    if request.param == "a stranger":
        return Client(http, token(parts, account))
    holder = chief if "administrator" in request.param else account
    _, secret = await factories.key(parts, holder, *ApiKeyScope)
    return Client(http, secret)


async def everything_of(raw: Raw, owner: Account) -> dict[str, list[tuple[Any, ...]]]:
    """Every row that is the owner's."""
    found = {}
    for table in Table.metadata.sorted_tables:
        if table.name == "account":
            condition = "id = :id"
        elif "account_id" in table.c:
            condition = "account_id = :id"
        elif "task_id" in table.c:
            condition = "task_id IN (SELECT id FROM task WHERE account_id = :id)"
        else:
            continue
        rows = await raw(f"SELECT * FROM {table.name} WHERE {condition}", id=owner.id)
        found[table.name] = sorted(map(tuple, rows), key=repr)
    return found


def ids_for(place: Place, things: Things) -> list[str]:
    return list(things.values()) if place.kind == ANY else [things[place.kind]]


def test_every_place_that_takes_an_id_is_known() -> None:
    unknown = [str(place) for place in PLACES if place.kind == "?"]
    assert not unknown, f"say in KIND_BY_NAME or KIND_BY_PLACE what they are ids of: {unknown}"
    below = [
        f"{name}.{field_name}"
        for name, kind in surface.SCHEMA.type_map.items()
        if isinstance(kind, GraphQLObjectType) and name not in {*ROOTS, "Admin"} and not name.startswith("__")
        for field_name, field in kind.fields.items()
        if any(id_names(field))
    ]
    assert not below, f"an id taken below the roots, and not by administrators, is not tried here: {below}"


def test_every_kind_of_thing_is_tried(things: Things) -> None:
    kinds = {kind.name for kind in surface.nodes()}
    assert set(things) == kinds, "make one in the fixture `things`"
    assert {place.kind for place in PLACES} <= kinds | {ANY}


async def test_an_administrator_reaches_each_of_them(
    http: httpx.AsyncClient, parts: Parts, chief: Account, things: Things
) -> None:
    """The ids are good: whoever may see the things sees them."""
    query = "query($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }"
    found = (await Client(http, token(parts, chief)).ask(query, ids=list(things.values())))["nodes"]
    assert found == [{"__typename": kind, "id": node_id} for kind, node_id in things.items()]


async def test_security_23_the_things_of_others_are_not_there_at_any_place(
    caller: Client, parts: Parts, owner: Account, things: Things, raw: Raw
) -> None:
    hidden = await parts.upstream_keys.of(owner.id)
    before = await everything_of(raw, owner)
    for place in PLACES:
        for node_id in ids_for(place, things):
            body = await answer(caller, place, node_id)
            assert is_refused(body, place), f"{place}: {body}"
            assert body == await answer(caller, place, nobodys(node_id)), f"{place} tells that there is such a thing"
            assert hidden not in str(body)
    assert await everything_of(raw, owner) == before


SHOW_ALL = """query($ids: [ID!]!) {
  viewer { id credits { balance transactions { nodes { id note } } } }
  apiKeys { nodes { id prefix } }
  tasks { nodes { id results { nodes { input } } download { url } } }
  nodes(ids: $ids) { id ... on ApiKey { name prefix scopes } ... on Task { name failureReason } }
}"""


async def test_security_23_the_internal_key_appears_in_no_answer(
    http: httpx.AsyncClient, parts: Parts, owner: Account, chief: Account, things: Things
) -> None:
    hidden = await parts.upstream_keys.of(owner.id)
    for who in (owner, chief):
        response = await Client(http, token(parts, who)).post(SHOW_ALL, ids=list(things.values()))
        assert response.json()["data"]["viewer"] is not None
        assert hidden not in response.text
    assert hidden not in root.schema.as_str()
    assert "upstream" not in {name.lower() for name in surface.SCHEMA.type_map}
