"""The deliveries of one process: takes what is due, signs and sends it, notes what came of it. Any number may run.

Signed after the Standard Webhooks specification, version 1: HMAC-SHA256 over id, time and body.
"""

import asyncio
import base64
import hashlib
import hmac
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
import orjson
import structlog

from db.models import Webhook, WebhookDelivery, WebhookSecret
from db.queries import webhooks as queries
from db.session import Database, Session
from services import retry_after
from services.outgoing import TRY_SECONDS, Outgoing
from services.sealing import Unsealable
from services.webhooks import Secrets

TRIES_MAX = 8
LEASE = timedelta(seconds=TRY_SECONDS * 2)
KEPT = timedelta(days=30)
_WAITS_SECONDS = (5, 300, 1800, 7200, 18000, 36000, 50400)
"""Between the tries: some 32 hours in all, as the specification advises."""
_JITTER = 0.2
_SWITCHED_OFF_AFTER = timedelta(days=5)
_RETRY_AFTER_MAX_SECONDS = 86400
_GONE = 410
_AT_ONCE = 20
_AT_ONCE_OF_ACCOUNT = 5
"""So that receivers of one account that do not answer leave room for others."""
_POLL_SECONDS = 0.5
_RECOVER_SECONDS = 1.0
_PROBLEM_CHARACTERS_MAX = 200
_UNREADABLE = "What signs was sealed with another SECRET_KEY: rotate the secret."

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Try:
    """What came of one try: the status of the answer, if there was one, and what was wrong, if anything was."""

    status: int | None
    problem: str | None
    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Deliveries:
    """Delivers what is due."""

    db: Database
    secrets: Secrets
    outgoing: Outgoing

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until `stop` is set; what is under way then is tried again when its lease is over."""
        sending: dict[asyncio.Task[WebhookDelivery], WebhookDelivery] = {}
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                try:
                    for delivery in await self._due(sending.values(), datetime.now(UTC)):
                        sending[asyncio.create_task(self.deliver(delivery))] = delivery
                except Exception:  # the loop outlives a lost database: it logs, waits and goes on
                    log.exception("deliveries_not_taken")
                    await asyncio.sleep(_RECOVER_SECONDS)
                await asyncio.wait({stopping, *sending}, timeout=_POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                for done in [task for task in sending if task.done()]:
                    del sending[done]
                    if error := done.exception():
                        log.error("delivery_not_done", exc_info=error)
        finally:
            for task in (stopping, *sending):
                task.cancel()
            await asyncio.gather(stopping, *sending, return_exceptions=True)

    async def tick(self, now: datetime) -> int:
        """Try once what is due, to the end; how many tries those were."""
        due = await self._due((), now)
        await asyncio.gather(*map(self.deliver, due))
        return len(due)

    async def deliver(self, delivery: WebhookDelivery, *, is_last: bool = False) -> WebhookDelivery:
        """Try a leased delivery once, and note what came of it; `is_last`: it is not tried again by itself."""
        now = datetime.now(UTC)
        async with self.db.transaction() as session:
            webhook = await self._webhook(session, delivery)
            row = await self._secret(session, delivery)
        if delivery.webhook_id is not None and (webhook is None or not webhook.is_enabled):
            return await self._note(delivery, Try(None, "The webhook was switched off."), is_last=True)
        url = webhook.url if webhook is not None else delivery.url
        try:
            keys = self.secrets.open(row, now)
        except Unsealable:
            return await self._note(delivery, Try(None, _UNREADABLE), is_last=is_last)
        result = await self._send(url, delivery, keys, now)
        return await self._note(delivery, result, is_last=is_last)

    async def _due(self, busy: Collection[WebhookDelivery], now: datetime) -> Sequence[WebhookDelivery]:
        if len(busy) >= _AT_ONCE:
            return ()
        async with self.db.read() as reading:  # nearly always there is nothing, and a look costs little
            if not await queries.has_due(reading, now):
                return ()
        async with self.db.transaction() as session:
            free, share = _AT_ONCE - len(busy), _AT_ONCE_OF_ACCOUNT
            return await queries.lease_due(session, now, limit=free, share=share, lease=LEASE, busy=busy)

    async def _webhook(self, session: Session, delivery: WebhookDelivery) -> Webhook | None:
        if delivery.webhook_id is None:
            return None
        return (await queries.by_ids(session, [delivery.webhook_id])).get(delivery.webhook_id)

    async def _secret(self, session: Session, delivery: WebhookDelivery) -> WebhookSecret:
        """The secret of the receiver; an account's is made when it is first needed."""
        owner_id = delivery.receiver_id
        row = await queries.secret(session, owner_id)
        if row is None:
            made, _ = self.secrets.new(owner_id, delivery.account_id)
            await queries.keep_secret(session, made)
            row = await queries.secret(session, owner_id) or made
        return row

    async def _send(self, url: str, delivery: WebhookDelivery, keys: Sequence[bytes], now: datetime) -> Try:
        body = _body(delivery)
        headers = {"Content-Type": "application/json", **signed(keys, delivery.global_id, body, now)}
        try:
            answer = await self.outgoing.post(url, body, headers)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:  # a time-out is among the last
            return Try(None, (str(error) or "no answer in time")[:_PROBLEM_CHARACTERS_MAX])
        if answer.is_success:
            return Try(answer.status_code, None)
        seconds = retry_after.seconds(answer.headers, most=_RETRY_AFTER_MAX_SECONDS)
        return Try(answer.status_code, f"answered {answer.status_code}", seconds)

    async def _note(self, delivery: WebhookDelivery, result: Try, *, is_last: bool) -> WebhookDelivery:
        now = datetime.now(UTC)
        async with self.db.transaction() as session:
            # The webhook before its deliveries, as everyone locks them.
            webhook_id = delivery.webhook_id
            webhook = await queries.locked(session, delivery.account_id, webhook_id) if webhook_id is not None else None
            row = await queries.locked_delivery(session, delivery.id)
            if row is None:  # deleted with its webhook meanwhile
                return delivery
            row.attempts += 1
            row.response_status, row.problem = result.status, result.problem
            row.delivered_at = now if result.problem is None else None
            row.due_at = None if result.problem is None or is_last else _next_at(row.attempts, result, now)
            if webhook is not None:
                await _keep_health(session, webhook, result, now)
        log.info(
            "webhook_tried", delivery=row.global_id, attempts=row.attempts, status=result.status, problem=result.problem
        )
        return row


async def purge(db: Database, now: datetime) -> int:
    """Delete deliveries older than 30 days, a batch at most; how many those were."""
    async with db.transaction() as session:
        return await queries.purge(session, now - KEPT)


def signed(keys: Sequence[bytes], message_id: str, body: bytes, now: datetime) -> dict[str, str]:
    """The three headers that let a receiver check a message; one signature a key.

    `message_id` is the same for every try, so that a receiver can tell a repetition.
    """
    timestamp = str(int(now.timestamp()))
    content = b".".join((message_id.encode(), timestamp.encode(), body))
    signatures = (base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode() for key in keys)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


def _body(delivery: WebhookDelivery) -> bytes:
    """The message; the same bytes on every try."""
    event = delivery.event.value.lower().replace("_", ".", 1)
    return orjson.dumps({"type": event, "timestamp": delivery.created_at.isoformat(), "data": delivery.data})


def _next_at(attempts: int, result: Try, now: datetime) -> datetime | None:
    """When to try again; None when the receiver is gone or this was the last try."""
    if result.status == _GONE or attempts >= TRIES_MAX:
        return None
    seconds = _WAITS_SECONDS[attempts - 1] * (1 + random.uniform(-_JITTER, _JITTER))  # noqa: S311 - not a secret
    return now + timedelta(seconds=max(seconds, result.retry_after_seconds or 0))


async def _keep_health(session: Session, webhook: Webhook, result: Try, now: datetime) -> None:
    """Switch off a webhook that is gone, or that took nothing for five days."""
    if result.problem is None:
        webhook.failing_since = None
        return
    webhook.failing_since = webhook.failing_since or now
    if result.status == _GONE or now - webhook.failing_since > _SWITCHED_OFF_AFTER:
        webhook.is_enabled = False
        await queries.give_up(session, webhook.id)
        log.warning("webhook_switched_off", webhook=webhook.global_id)
