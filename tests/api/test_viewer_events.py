"""What happens to an account's things, live and again from a moment on."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import pytest
from sqlalchemy import text

from db.models import Account, ApiKeyScope
from db.session import Database
from resolvers.context import Context, Parts
from schema.root import schema
from services.actor import Actor
from services.worker import Worker
from tests import factories
from tests.conftest import Raw

QUERY = """subscription($after: ID) { viewerEvents(after: $after) { __typename
  ... on HeartbeatEvent { eventId occurredAt }
  ... on TaskChangedEvent { eventId task { id status } }
  ... on CreditsChangedEvent { eventId credits { available } } } }"""


class Events:
    """The events that a subscriber gets."""

    def __init__(self, stream: AsyncGenerator[Any, None]) -> None:
        self._stream = stream

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(8):
            result = await anext(self._stream)
        assert not result.errors, result.errors
        event: dict[str, Any] = result.data["viewerEvents"]
        return event

    async def until(self, typename: str) -> dict[str, Any]:
        """The next event of a type."""
        while (event := await self.next())["__typename"] != typename:
            pass
        return event


@contextlib.asynccontextmanager
async def following(parts: Parts, actor: Actor | None, after: str | None = None) -> AsyncIterator[Events]:
    stream: Any = await schema.subscribe(
        QUERY, variable_values={"after": after}, context_value=Context(parts, actor, "request")
    )
    try:
        yield Events(stream)
    finally:
        await stream.aclose()


async def test_a_heartbeat_comes_first_then_what_happens(parts: Parts, account: Account, worker: Worker) -> None:
    async with following(parts, factories.actor(account)) as events:
        assert (await events.next())["__typename"] == "HeartbeatEvent"
        task = await factories.task(parts, account)
        changed = await events.until("TaskChangedEvent")
        assert changed["task"] == {"id": task.global_id, "status": "QUEUED"}
        stop = asyncio.Event()
        working = asyncio.create_task(worker.run(stop))
        while changed["task"]["status"] != "COMPLETED":
            changed = await events.until("TaskChangedEvent")
        stop.set()
        await working


async def test_a_balance_that_moves_is_told(parts: Parts, account: Account) -> None:
    async with following(parts, factories.actor(account)) as events:
        await events.next()
        task = await factories.task(parts, account, ["a@ok.mailverdict.test", "b@ok.mailverdict.test"])
        assert (await events.until("CreditsChangedEvent"))["credits"]["available"] == 999_998
        assert task.credits_reserved == 2


async def test_what_happened_meanwhile_is_told_after_an_event(parts: Parts, account: Account) -> None:
    async with following(parts, factories.actor(account)) as events:
        seen = (await events.next())["eventId"]
    tasks = [(await factories.task(parts, account)).global_id for _ in range(3)]
    async with following(parts, factories.actor(account), seen) as events:
        assert (await events.next())["__typename"] == "HeartbeatEvent"
        found = [await events.until("TaskChangedEvent") for _ in tasks]
    assert [event["task"]["id"] for event in found] == tasks
    async with following(parts, factories.actor(account), found[0]["eventId"]) as events:
        while (await events.until("TaskChangedEvent"))["task"]["id"] != tasks[1]:
            pass  # the first may be told again


async def test_many_things_that_happened_in_one_moment_are_all_told(parts: Parts, account: Account, raw: Raw) -> None:
    async with following(parts, factories.actor(account)) as events:
        seen = (await events.next())["eventId"]
    tasks = {(await factories.task(parts, account)).global_id for _ in range(105)}
    await raw("UPDATE task SET updated_at = now() RETURNING 1")
    async with following(parts, factories.actor(account), seen) as events:
        while tasks:
            tasks.remove((await events.until("TaskChangedEvent"))["task"]["id"])


async def test_what_was_timed_before_the_stream_and_is_committed_later_is_told(parts: Parts, account: Account) -> None:
    await factories.task(parts, account)
    async with contextlib.AsyncExitStack() as late:
        session = await late.enter_async_context(parts.db.transaction())
        await session.execute(text("UPDATE task SET status = 'RUNNING', updated_at = clock_timestamp()"))
        async with following(parts, factories.actor(account)) as events:
            assert (await events.next())["__typename"] == "HeartbeatEvent"
            await late.aclose()
            assert (await events.until("TaskChangedEvent"))["task"]["status"] == "RUNNING"


async def test_what_hangs_on_an_event_is_as_it_is_then(parts: Parts, account: Account) -> None:
    query = "subscription { viewerEvents { ... on TaskChangedEvent { task { owner { credits { available } } } } } }"
    context = Context(parts, factories.actor(account), "request")
    stream: Any = await schema.subscribe(query, context_value=context)
    async with contextlib.aclosing(stream), asyncio.timeout(8):
        await anext(stream)
        for left in (999_999, 999_998):
            await factories.task(parts, account)
            while not (event := (await anext(stream)).data["viewerEvents"]):
                pass  # another type
            assert event["task"]["owner"]["credits"]["available"] == left


async def test_others_things_are_not_told(parts: Parts, account: Account, db: Database) -> None:
    other = await factories.account(db, email="other@example.com")
    async with following(parts, factories.actor(account)) as events:
        await events.next()
        await factories.task(parts, other)
        mine = await factories.task(parts, account)
        assert (await events.until("TaskChangedEvent"))["task"]["id"] == mine.global_id


async def test_a_key_without_the_scope_is_not_told_of_credits(parts: Parts, account: Account) -> None:
    actor = Actor(account.id, account.role, scopes=frozenset({ApiKeyScope.TASKS_READ}))
    async with following(parts, actor) as events:
        await events.next()
        await factories.task(parts, account)
        assert (await events.next())["__typename"] == "TaskChangedEvent"
        await factories.task(parts, account)
        assert (await events.next())["__typename"] == "TaskChangedEvent"


@pytest.mark.parametrize(
    "after", ["nonsense", "event_", "event_!!", "task_0000000000000000000000", "event_" + "z" * 40, "event_zzzzzzzzzz"]
)
async def test_what_is_no_event_is_refused(parts: Parts, account: Account, after: str) -> None:
    stream: Any = await schema.subscribe(
        QUERY, variable_values={"after": after}, context_value=Context(parts, factories.actor(account), "request")
    )
    first = await anext(stream)
    assert [error.extensions["code"] for error in first.errors] == ["BAD_USER_INPUT"]


async def test_nobody_is_told_nothing(parts: Parts) -> None:
    stream: Any = await schema.subscribe(QUERY, context_value=Context(parts, None, "request"))
    first = await anext(stream)
    assert [error.extensions["code"] for error in first.errors] == ["UNAUTHENTICATED"]
