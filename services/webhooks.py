"""Webhooks: receivers of an account's events, and the events written for them in the transaction that they tell of."""

import base64
import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from db import ids
from db.models import ApiKeyScope, Task, TaskStatus, Webhook, WebhookDelivery, WebhookEvent, WebhookSecret
from db.queries import administration
from db.queries import webhooks as queries
from db.session import Database, Session
from services.actor import Actor
from services.errors import Invalid, LimitReached, NotFound, Required, WrongState
from services.outgoing import Outgoing
from services.sealing import Box, Unsealable

WEBHOOKS_MAX = 20
OLD_SECRET_LIFETIME = timedelta(hours=24)
_SECRET_BYTES = 32
_SECRET_PREFIX = "whsec_"  # noqa: S105 - what every secret of Standard Webhooks begins with

_TASK_EVENTS = {
    TaskStatus.COMPLETED: WebhookEvent.TASK_COMPLETED,
    TaskStatus.FAILED: WebhookEvent.TASK_FAILED,
    TaskStatus.CANCELED: WebhookEvent.TASK_CANCELED,
}
_SAMPLE_TASK = {
    "id": "task_0000000000000000000000",
    "status": "COMPLETED",
    "totalEmailAddresses": 3,
    "exists": 1,
    "notExists": 1,
    "catchall": 0,
    "invalidSyntax": 1,
    "unknown": 0,
    "creditsSpent": 2,
}
_SAMPLES: dict[WebhookEvent, dict[str, Any]] = {
    WebhookEvent.TASK_COMPLETED: {"task": _SAMPLE_TASK, "isTest": True},
    WebhookEvent.TASK_FAILED: {"task": _SAMPLE_TASK | {"status": "FAILED"}, "isTest": True},
    WebhookEvent.TASK_CANCELED: {"task": _SAMPLE_TASK | {"status": "CANCELED"}, "isTest": True},
    WebhookEvent.CREDITS_LOW: {"credits": {"available": 99}, "isTest": True},
}


@dataclass(frozen=True, slots=True)
class Secrets:
    """Makes, seals and opens what deliveries are signed with."""

    box: Box

    def new(self, owner_id: UUID, account_id: UUID) -> tuple[WebhookSecret, str]:
        """A secret for a webhook or an account, and the text of it that is shown once."""
        secret = os.urandom(_SECRET_BYTES)
        row = WebhookSecret(owner_id=owner_id, account_id=account_id, sealed=self.box.seal(secret, _place(owner_id)))
        return row, _SECRET_PREFIX + base64.b64encode(secret).decode()

    def open(self, row: WebhookSecret, now: datetime) -> list[bytes]:
        """The secrets that sign at a moment, the newest first.

        Raises:
            Unsealable: the newest cannot be opened here.

        """
        place = _place(row.owner_id)
        keys = [self.box.open(row.sealed, place)]
        if row.previous_sealed is not None and row.previous_until is not None and row.previous_until > now:
            with contextlib.suppress(Unsealable):  # why it was replaced, perhaps
                keys.append(self.box.open(row.previous_sealed, place))
        return keys


async def create(
    db: Database,
    secrets: Secrets,
    outgoing: Outgoing,
    actor: Actor,
    *,
    url: str,
    events: Sequence[WebhookEvent],
    now: datetime,
) -> tuple[Webhook, str]:
    """Make a webhook; the second result is its secret, shown this once.

    Raises:
        Invalid, Required: the URL may not be called, or no event is asked for.
        LimitReached: the account has as many as it may have.
        NotFound: the account is being deleted.

    """
    actor.require(ApiKeyScope.WEBHOOKS_WRITE)
    webhook = Webhook(
        id=ids.new_uuid(),
        account_id=actor.account_id,
        url=await checked_url(outgoing, url),
        event_names=_checked_events(events),
        is_enabled=True,
        created_at=now,
    )
    row, secret = secrets.new(webhook.id, actor.account_id)
    async with db.transaction() as session:
        # One at a time, and none for an account that is being deleted.
        if await administration.lock_account(session, actor.account_id) is None:
            raise NotFound
        if await queries.count(session, actor.account_id) >= WEBHOOKS_MAX:
            raise LimitReached(f"An account has at most {WEBHOOKS_MAX} webhooks. Delete one first.")
        await queries.add(session, webhook, row)
    return webhook, secret


async def update(
    db: Database,
    outgoing: Outgoing,
    actor: Actor,
    webhook_id: UUID | None,
    *,
    url: str | None,
    events: Sequence[WebhookEvent] | None,
    is_enabled: bool | None,
) -> Webhook:
    """Change a webhook; what is None stays. Switched off, it is sent nothing more, not even what waits.

    Raises:
        NotFound: no webhook of the caller's.
        Invalid, Required: the URL may not be called, or no event is asked for.

    """
    actor.require(ApiKeyScope.WEBHOOKS_WRITE)
    new_url = await checked_url(outgoing, url) if url is not None else None
    event_names = _checked_events(events) if events is not None else None
    async with db.transaction() as session:
        webhook = await _own(session, actor, webhook_id)
        webhook.url = new_url or webhook.url
        webhook.event_names = event_names or webhook.event_names
        if is_enabled is not None and is_enabled is not webhook.is_enabled:
            webhook.is_enabled, webhook.failing_since = is_enabled, None
            if not is_enabled:
                await queries.give_up(session, webhook.id)
    return webhook


async def delete(db: Database, actor: Actor, webhook_id: UUID | None) -> UUID:
    """Delete a webhook with its deliveries.

    Raises:
        NotFound: no webhook of the caller's.

    """
    actor.require(ApiKeyScope.WEBHOOKS_WRITE)
    async with db.transaction() as session:
        if webhook_id is None or not await queries.remove(session, actor.account_id, webhook_id):
            raise NotFound(field=("input", "webhookId"))
    return webhook_id


async def rotate_secret(
    db: Database, secrets: Secrets, actor: Actor, webhook_id: UUID | None, now: datetime, *, is_of_account: bool
) -> tuple[Webhook | None, str]:
    """Replace the secret of a webhook, or of the account for addresses that tasks name; the old one signs a day more.

    Raises:
        NotFound: no webhook of the caller's.

    """
    actor.require(ApiKeyScope.WEBHOOKS_WRITE)
    async with db.transaction() as session:
        webhook = None if is_of_account else await _own(session, actor, webhook_id)
        row, secret = secrets.new(webhook.id if webhook else actor.account_id, actor.account_id)
        row.previous_until = now + OLD_SECRET_LIFETIME
        await queries.replace_secret(session, row)
    return webhook, secret


async def send_again(db: Database, actor: Actor, delivery_id: UUID | None, now: datetime) -> WebhookDelivery:
    """Put a delivery in line once more, with all its tries.

    Raises:
        NotFound: no delivery of the caller's.
        WrongState: its webhook is switched off.

    """
    actor.require(ApiKeyScope.WEBHOOKS_WRITE)
    async with db.transaction() as session:
        delivery = await queries.locked_delivery(session, delivery_id) if delivery_id is not None else None
        if delivery is None or delivery.account_id != actor.account_id:
            raise NotFound(field=("input", "deliveryId"))
        if delivery.webhook_id is not None:
            webhook = (await queries.by_ids(session, [delivery.webhook_id])).get(delivery.webhook_id)
            if webhook is None or not webhook.is_enabled:
                raise WrongState("The webhook is switched off: enable it first.", field=("input", "deliveryId"))
        delivery.due_at, delivery.attempts, delivery.delivered_at = now, 0, None
    return delivery


async def sample(
    db: Database, actor: Actor, webhook_id: UUID | None, event: WebhookEvent, now: datetime, *, lease: timedelta
) -> WebhookDelivery:
    """Write a sample event, leased to the caller, who sends it at once.

    Raises:
        NotFound: no webhook of the caller's.

    """
    actor.require(ApiKeyScope.WEBHOOKS_WRITE)
    async with db.transaction() as session:
        webhook = await _own(session, actor, webhook_id)
        delivery = _delivery(webhook.account_id, webhook.url, event, _SAMPLES[event], now, webhook.id)
        delivery.due_at = now + lease
        await queries.add_deliveries(session, [delivery])
    return delivery


async def task_ended(session: Session, task: Task, now: datetime) -> None:
    """Write what the account's webhooks, and the address that the task names, are to be told of its end just now."""
    await _tell(session, task.account_id, _TASK_EVENTS[task.status], {"task": _task_facts(task)}, now, task.webhook_url)


async def credits_low(session: Session, account_id: UUID, available: int, now: datetime) -> None:
    """Write what the account's webhooks are to be told of a balance that has just fallen below the warning level."""
    await _tell(session, account_id, WebhookEvent.CREDITS_LOW, {"credits": {"available": available}}, now)


async def _tell(
    session: Session,
    account_id: UUID,
    event: WebhookEvent,
    data: dict[str, Any],
    now: datetime,
    task_url: str | None = None,
) -> None:
    is_written = False
    while not is_written:  # a webhook that was found may be deleted by now: then it is not found again
        found = await queries.asking_for(session, account_id, event)
        deliveries = [_delivery(account_id, webhook.url, event, data, now, webhook.id) for webhook in found]
        if task_url is not None:
            deliveries.append(_delivery(account_id, task_url, event, data, now, None))
        is_written = not deliveries or await queries.add_deliveries(session, deliveries)


def _delivery(
    account_id: UUID, url: str, event: WebhookEvent, data: dict[str, Any], now: datetime, webhook_id: UUID | None
) -> WebhookDelivery:
    return WebhookDelivery(
        id=ids.new_uuid(),
        account_id=account_id,
        webhook_id=webhook_id,
        url=url,
        event=event,
        data=data,
        attempts=0,
        due_at=now,
        created_at=now,
    )


def _task_facts(task: Task) -> dict[str, Any]:
    """Ids and counts, no addresses and no names that people gave."""
    found = task.metrics.verification_status
    return {
        "id": task.global_id,
        "status": task.status.value,
        "totalEmailAddresses": task.total_count,
        "exists": found.exists,
        "notExists": found.not_exists,
        "catchall": found.catchall,
        "invalidSyntax": found.invalid_syntax,
        "unknown": found.unknown,
        "creditsSpent": task.credits_spent,
    }


async def _own(session: Session, actor: Actor, webhook_id: UUID | None) -> Webhook:
    webhook = await queries.locked(session, actor.account_id, webhook_id) if webhook_id is not None else None
    if webhook is None:
        raise NotFound(field=("input", "webhookId"))
    return webhook


async def checked_url(outgoing: Outgoing, url: str, field: str = "url") -> str:
    """A receiver that may be called.

    Raises:
        Invalid: it may not; `field` is the one of the input that named it.

    """
    if problem := await outgoing.check(url):
        raise Invalid(problem, field=("input", field))
    return url


def _checked_events(events: Sequence[WebhookEvent]) -> list[str]:
    given = set(events)
    if not given:
        raise Required("Ask for at least one event.", field=("input", "events"))
    return [event.value for event in WebhookEvent if event in given]


def _place(owner_id: UUID) -> str:
    return f"webhook_secret:{owner_id}:sealed"
