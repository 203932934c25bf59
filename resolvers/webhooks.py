"""Webhooks of the caller, their deliveries, and the mutations that change them."""

from collections.abc import Sequence
from typing import Unpack
from uuid import UUID

from db import ids, models
from db.models import ApiKeyScope, WebhookEvent
from db.queries import webhooks as queries
from resolvers import outcomes, pages
from resolvers.context import Context, Info
from services import webhook_delivery, webhooks

_SCOPE = ApiKeyScope.WEBHOOKS_WRITE


async def by_uuid(context: Context, webhook_id: UUID | None) -> models.Webhook | None:
    """One webhook that the caller may see."""
    return await context.reached(context.load.webhook, webhook_id, _SCOPE)


async def delivery_by_uuid(context: Context, delivery_id: UUID | None) -> models.WebhookDelivery | None:
    """One delivery that the caller may see."""
    return await context.reached(context.load.webhook_delivery, delivery_id, _SCOPE)


async def webhooks_page(info: Info, **at: Unpack[pages.Place]) -> pages.Page[models.Webhook]:
    """The caller's webhooks."""
    actor, db = info.context.require(_SCOPE), info.context.parts.db
    return await pages.by_time(db, queries.page, queries.count, actor.account_id, **at)


async def deliveries(
    info: Info,
    root: models.Webhook,
    **at: Unpack[pages.Place],
) -> pages.Page[models.WebhookDelivery]:
    """What a webhook was told, newest first."""
    load = info.context.load
    window = pages.window(**at)
    found = await load.below(queries.deliveries_by_webhooks, window).load(root.id)
    edges = [pages.Edge((row.created_at, row.id), row) for _, row in found.rows]

    async def count() -> int:
        return await load.below(queries.count_deliveries).load(root.id)

    return pages.Page(edges, found.has_next, found.has_previous, count)


@outcomes.gives("webhook", "signing_secret")
async def create_webhook(info: Info, *, url: str, events: Sequence[WebhookEvent]) -> tuple[models.Webhook, str]:
    """Make a webhook."""
    parts, actor = info.context.parts, info.context.require(_SCOPE)
    return await webhooks.create(
        parts.db, parts.webhook_secrets, parts.outgoing, actor, url=url, events=events, now=parts.now()
    )


@outcomes.gives("webhook")
async def update_webhook(
    info: Info,
    *,
    webhook_id: str,
    url: str | None = None,
    events: Sequence[WebhookEvent] | None = None,
    is_enabled: bool | None = None,
) -> models.Webhook:
    """Change a webhook."""
    parts, actor = info.context.parts, info.context.require(_SCOPE)
    uuid = ids.parse("webhook", webhook_id)
    return await webhooks.update(parts.db, parts.outgoing, actor, uuid, url=url, events=events, is_enabled=is_enabled)


@outcomes.gives("deleted_webhook_id")
async def delete_webhook(info: Info, *, webhook_id: str) -> str:
    """Delete a webhook."""
    actor = info.context.require(_SCOPE)
    await webhooks.delete(info.context.parts.db, actor, ids.parse("webhook", webhook_id))
    return webhook_id


@outcomes.gives("webhook", "signing_secret")
async def rotate_webhook_secret(info: Info, *, webhook_id: str | None = None) -> tuple[models.Webhook | None, str]:
    """Replace a secret."""
    parts, actor = info.context.parts, info.context.require(_SCOPE)
    uuid = ids.parse("webhook", webhook_id) if webhook_id is not None else None
    return await webhooks.rotate_secret(
        parts.db, parts.webhook_secrets, actor, uuid, parts.now(), is_of_account=webhook_id is None
    )


@outcomes.gives("delivery")
async def test_webhook(info: Info, *, webhook_id: str, event: WebhookEvent) -> models.WebhookDelivery:
    """Send a sample event now, and give what came of it."""
    parts, actor = info.context.parts, info.context.require(_SCOPE)
    uuid = ids.parse("webhook", webhook_id)
    lease = webhook_delivery.LEASE
    delivery = await webhooks.sample(parts.db, actor, uuid, event, parts.now(), lease=lease)
    return await parts.deliveries.deliver(delivery, is_last=True)


@outcomes.gives("delivery")
async def retry_webhook_delivery(info: Info, *, delivery_id: str) -> models.WebhookDelivery:
    """Send a delivery again."""
    parts, actor = info.context.parts, info.context.require(_SCOPE)
    return await webhooks.send_again(parts.db, actor, ids.parse("delivery", delivery_id), parts.now())
