"""Every list of the schema: as many statements for 20 rows as for 1, and upstream is asked at most once an operation.

The lists are read from the schema. A new one fails here until `PLACES` says where it is and how its rows are made.
"""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest
from graphql import GraphQLField, GraphQLObjectType, get_named_type, is_required_argument

from db import ids
from db.models import (
    Account,
    ApiKeyScope,
    AuditEvent,
    Purchase,
    PurchaseStatus,
    UserRole,
    Webhook,
    WebhookDelivery,
    WebhookEvent,
)
from resolvers.context import Parts
from services import billing, freshness, keys
from services.device import Device
from services.worker import Worker
from tests import factories, surface
from tests.client import Client
from tests.conftest import Raw, Statements, token
from tests.services.faulty_upstream import FaultyUpstream

LEVELS = 2
"""How far the rows of a list are looked into: their objects, and the objects of these."""
PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class World:
    """What rows are made in. The owner is an administrator, so that every list is the owner's to read."""

    parts: Parts
    owner: Account


Make = Callable[[World, int], Awaitable[None]]
"""Makes so many rows more."""


async def api_keys(world: World, count: int) -> None:
    pepper = world.parts.credentials.pepper
    for _ in range(count):
        await keys.create(
            world.parts.db,
            pepper,
            account_id=world.owner.id,
            name="k",
            scopes=[ApiKeyScope.TASKS_READ],
            now=world.parts.now(),
        )


async def audit_events(world: World, count: int) -> None:
    for _ in range(count):
        event = AuditEvent(id=ids.new_uuid(), action="test", actor_id=world.owner.id, details={})
        await add(world, event)


async def deliveries(world: World, count: int) -> None:
    url = "https://example.com/"
    hook = Webhook(id=ids.new_uuid(), account_id=world.owner.id, url=url, event_names=[])
    await add(world, hook)
    event = WebhookEvent.TASK_FAILED
    for _ in range(count):
        await add(
            world,
            WebhookDelivery(
                id=ids.new_uuid(), account_id=world.owner.id, webhook_id=hook.id, url=url, event=event, data={}
            ),
        )


async def purchases(world: World, count: int) -> None:
    for n in range(count):
        purchase = Purchase(
            id=ids.new_uuid(),
            account_id=world.owner.id,
            package="starter",
            credits=1,
            price_minor=1,
            currency="USD",
            status=PurchaseStatus.OPEN,
            provider="mock",
            idempotency_key=f"{count}-{n}",
            expires_at=world.parts.now(),
        )
        await add(world, purchase)


async def results(world: World, count: int) -> None:
    await factories.finished_task(world.parts.db, world.owner, rows=count)


async def sessions(world: World, count: int) -> None:
    for _ in range(count):
        await world.parts.identity.sign_in(world.owner.email, PASSWORD, device=Device(), now=world.parts.now())


async def tasks(world: World, count: int) -> None:
    for _ in range(count):
        await factories.finished_task(world.parts.db, world.owner, rows=1)


async def transactions(world: World, count: int) -> None:
    for _ in range(count):
        await factories.task(world.parts, world.owner)  # which holds its cost


async def users(world: World, count: int) -> None:
    for _ in range(count):
        await factories.account(world.parts.db, email=f"{ids.new_uuid()}@example.com", balance=1)


async def webhooks(world: World, count: int) -> None:
    for _ in range(count):
        await deliveries(world, 1)


async def add(world: World, row: AuditEvent | Purchase | Webhook | WebhookDelivery) -> None:
    row.created_at = world.parts.now()
    async with world.parts.db.transaction() as session:
        session.add(row)


PLACES: dict[str, tuple[str, Make]] = {
    "Admin.auditEvents": ("admin {{ {} }}", audit_events),
    "Admin.tasks": ("admin {{ {} }}", tasks),
    "Admin.users": ("admin {{ {} }}", users),
    "Credits.transactions": ("credits {{ {} }}", transactions),
    "Query.apiKeys": ("{}", api_keys),
    "Query.purchases": ("{}", purchases),
    "Query.tasks": ("{}", tasks),
    "Query.webhooks": ("{}", webhooks),
    "Task.results": ("tasks(first: 1) {{ nodes {{ {} }} }}", results),
    "User.sessions": ("viewer {{ {} }}", sessions),
    "Webhook.deliveries": ("webhooks(first: 1) {{ nodes {{ {} }} }}", deliveries),
}
"""Where each list is asked for, and what makes its rows."""


def object_types() -> Iterator[GraphQLObjectType]:
    for kind in surface.SCHEMA.type_map.values():
        if isinstance(kind, GraphQLObjectType) and not kind.name.startswith("__"):
            yield kind


def is_list(field: GraphQLField) -> bool:
    return get_named_type(field.type).name.endswith("Connection")


def selection(kind: Any, levels: int = LEVELS, *, has_lists: bool = True) -> str:
    """Everything of a type that can be asked for without an argument, objects and lists included as deep as that."""
    if not isinstance(kind, GraphQLObjectType):
        return "__typename"
    names = ["__typename"]
    for name, field in kind.fields.items():
        below = get_named_type(field.type)
        if any(is_required_argument(argument) for argument in field.args.values()):
            continue
        if not isinstance(below, GraphQLObjectType):
            names.append(name)
        elif is_list(field) and not has_lists:
            continue
        elif is_list(field):
            row: Any = get_named_type(below.fields["nodes"].type)
            rows = f"nodes {{ {selection(row, levels - 1)} }} " if levels > 1 else ""
            names.append(f"{name}(first: 2) {{ totalCount {rows}pageInfo {{ hasNextPage }} }}")
        elif levels > 1:
            names.append(f"{name} {{ {selection(below, levels - 1, has_lists=has_lists)} }}")
    return " ".join(names)


def query(place: str) -> str:
    """The operation that asks for 20 rows of a list, with whatever hangs on each."""
    kind_name, _, name = place.partition(".")
    connection: Any = get_named_type(surface.fields(kind_name)[name].type)
    row = get_named_type(connection.fields["nodes"].type)
    page = f"{name}(first: 20) {{ totalCount pageInfo {{ hasNextPage }} nodes {{ {selection(row)} }} }}"
    return "{ " + PLACES[place][0].format(page) + " }"


def rows_of(place: str, data: Any) -> list[Any]:
    """The rows that came."""
    name = place.partition(".")[2]
    while name not in data:
        ((_, data),) = data.items() if isinstance(data, dict) else enumerate(data)
    rows: list[Any] = data[name]["nodes"]
    return rows


@pytest.fixture
async def world(parts: Parts) -> World:
    device, email = Device(), "rows@example.com"
    granted = await parts.identity.sign_up(email, PASSWORD, user_metadata={}, device=device, now=parts.now())
    assert granted is not None
    async with parts.db.transaction() as session:
        await billing.welcome(session, granted.account.id, 1000, parts.now())
        owner = await session.get_one(Account, granted.account.id)
        owner.role = UserRole.ADMIN
    return World(parts, owner)


@pytest.fixture
def never_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it takes to make rows here, none is brought up to date, which takes statements of its own."""
    monkeypatch.setattr(freshness, "STALE_AFTER", timedelta(days=1))


@pytest.fixture
def asker(http: httpx.AsyncClient, world: World) -> Client:
    return Client(http, token(world.parts, world.owner))


def test_every_list_of_the_schema_is_tried() -> None:
    lists = {f"{kind.name}.{name}" for kind in object_types() for name, field in kind.fields.items() if is_list(field)}
    assert lists == set(PLACES), "say in PLACES where a new list is asked for, and what makes its rows"


@pytest.mark.parametrize("place", sorted(PLACES))
async def test_a_list_takes_as_many_statements_for_twenty_rows_as_for_one(
    place: str, world: World, asker: Client, statements: Statements, never_stale: None
) -> None:
    make, counts, seen = PLACES[place][1], [], []
    for more in (1, 20):
        await make(world, more)
        await asker.ask(query(place))  # what a process reads once and keeps is not counted
        with statements.counted() as sent:
            data = await asker.ask(query(place))
        counts.append(len(rows_of(place, data)))
        seen.append(sorted(sent))
    assert counts[1] == 20 > counts[0], counts
    assert len(seen[0]) == len(seen[1]), "\n".join(["", *seen[0], "and then", *seen[1]])


@pytest.mark.parametrize("place", sorted(PLACES))
async def test_rows_asked_for_by_their_ids_take_as_many_statements_for_twenty_as_for_one(
    place: str, world: World, asker: Client, statements: Statements, never_stale: None
) -> None:
    where, make = PLACES[place]
    await make(world, 20)
    page = f"{place.partition('.')[2]}(first: 20) {{ nodes {{ id }} }}"
    rows, counts = rows_of(place, await asker.ask("{ " + where.format(page) + " }")), []
    for wanted in (rows[:1], rows):
        with statements.counted() as sent:
            found = await asker.ask(
                "query($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=[row["id"] for row in wanted]
            )
        assert found["nodes"] == wanted
        counts.append(len(sent))
    assert len(rows) == 20
    assert counts[0] == counts[1]


async def test_an_operation_on_everything_takes_as_many_statements_for_twenty_rows_of_each_as_for_one(
    world: World, asker: Client, statements: Statements, never_stale: None
) -> None:
    # Without lists: two of the same kind in different places are one batch or two, as they happen to meet.
    everything = "{ " + selection(surface.SCHEMA.query_type, 3, has_lists=False) + " }"
    counts: list[list[str]] = []
    for more in (1, 20):
        for _, make in PLACES.values():
            await make(world, more)
        await asker.ask(everything)
        with statements.counted() as sent:
            await asker.ask(everything)
        counts.append(sorted(sent))
    assert len(counts[0]) == len(counts[1]), "\n".join(["", *counts[0], "and then", *counts[1]])


async def test_upstream_is_asked_at_most_once_an_operation(
    world: World, asker: Client, worker: Worker, faulty: FaultyUpstream, raw: Raw
) -> None:
    for n in range(20):
        await factories.task(world.parts, world.owner, [f"yes-{n}@example.com", "no-x@example.com"])
    await worker.tick(world.parts.now() + timedelta(seconds=1))
    everything = "{ " + selection(surface.SCHEMA.query_type, 3) + " }"
    for document in (*map(query, PLACES), everything):
        await raw("UPDATE task SET refreshed_at = now() - interval '6 seconds' RETURNING 1")
        faulty.calls.clear()
        await asker.ask(document)
        assert sum(faulty.calls.values()) <= 1, document
