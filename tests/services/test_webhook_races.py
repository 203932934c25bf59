"""Webhooks that are changed or deleted at the moment when there is something to tell them, or when there is nothing."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from db.models import Account, TaskStatus, Webhook, WebhookEvent
from db.queries import webhooks as queries
from resolvers.context import Parts
from services import billing, tasks, webhooks
from tests import factories, locks, receiver
from tests.conftest import Statements
from tests.receiver import Receiver


@pytest.fixture
async def hook() -> AsyncIterator[Receiver]:
    async with receiver.running() as running:
        yield running


async def new(parts: Parts, owner: Account, hook: Receiver) -> Webhook:
    webhook, _ = await webhooks.create(
        parts.db,
        parts.webhook_secrets,
        parts.outgoing,
        factories.actor(owner),
        url=hook.url,
        events=list(WebhookEvent),
        now=datetime.now(UTC),
    )
    return webhook


async def canceled(parts: Parts, owner: Account) -> TaskStatus:
    task = await factories.task(parts, owner)
    now = datetime.now(UTC)
    return (await tasks.cancel(parts.db, parts.announcer, factories.actor(owner), task.id, now)).status


async def test_a_task_that_ends_while_a_webhook_is_deleted_ends_and_tells_the_others(
    parts: Parts, account: Account, hook: Receiver, raw: Any
) -> None:
    gone, kept = [await new(parts, account, hook) for _ in range(2)]
    async with parts.db.transaction() as session:
        await queries.remove(session, account.id, gone.id)
        canceling = asyncio.create_task(canceled(parts, account))
        await locks.waited_for(parts.db, session)
    assert await canceling is TaskStatus.CANCELED
    assert await raw("SELECT webhook_id, event FROM webhook_delivery") == [(kept.id, "TASK_CANCELED")]


async def test_a_spend_that_leaves_little_while_a_webhook_is_deleted_is_made(
    parts: Parts, account: Account, hook: Receiver, raw: Any
) -> None:
    gone, kept = [await new(parts, account, hook) for _ in range(2)]
    async with parts.db.transaction() as session:
        await queries.remove(session, account.id, gone.id)
        spending = asyncio.create_task(
            billing.take(
                parts.db,
                parts.till,
                factories.actor(account),
                account_id=None,
                amount=1_000_000 - 1,
                note="n",
                idempotency_key="k",
                now=datetime.now(UTC),
            )
        )
        await locks.waited_for(parts.db, session)
    assert (await spending).balance_after == 1
    assert await raw("SELECT webhook_id, event FROM webhook_delivery") == [(kept.id, "CREDITS_LOW")]


async def test_a_webhook_is_switched_off_while_what_came_of_a_try_is_noted(
    parts: Parts, account: Account, hook: Receiver, raw: Any
) -> None:
    webhook = await new(parts, account, hook)
    await canceled(parts, account)
    async with parts.db.transaction() as session:
        assert await queries.locked(session, account.id, webhook.id)
        trying = asyncio.create_task(parts.deliveries.tick(datetime.now(UTC)))
        await locks.waited_for(parts.db, session)
        await queries.give_up(session, webhook.id)
    assert await trying == 1
    assert await raw("SELECT attempts, response_status FROM webhook_delivery") == [(1, 204)]


async def test_a_secret_that_cannot_be_read_any_more_counts_as_a_try_and_is_mended_by_a_new_one(
    parts: Parts, account: Account, hook: Receiver, raw: Any
) -> None:
    webhook, now = await new(parts, account, hook), datetime.now(UTC)
    await raw("UPDATE webhook_secret SET sealed = '\\x00' RETURNING 1")
    await canceled(parts, account)
    assert await parts.deliveries.tick(datetime.now(UTC)) == 1
    ((attempts, problem),) = await raw("SELECT attempts, problem FROM webhook_delivery")
    assert (attempts, "SECRET_KEY" in problem, hook.messages) == (1, True, [])
    _, secret = await webhooks.rotate_secret(
        parts.db, parts.webhook_secrets, factories.actor(account), webhook.id, now, is_of_account=False
    )
    await parts.deliveries.tick(datetime.now(UTC) + timedelta(minutes=1))
    (message,) = hook.messages
    message.verify(secret)


async def test_a_look_for_deliveries_locks_nothing_while_none_is_due(parts: Parts, statements: Statements) -> None:
    with statements.counted() as texts:
        assert await parts.deliveries.tick(datetime.now(UTC)) == 0
    assert [text.split()[0] for text in texts] == ["SELECT"]
