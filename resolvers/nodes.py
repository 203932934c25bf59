"""Any object by its global id."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from uuid import UUID

from db import ids, models
from db.models import ApiKeyScope
from resolvers import accounts, admin, credits, keys, profiles, purchases, tasks, webhooks
from resolvers.context import Context, Info
from services.errors import BadRequest

_IDS_MAX = 100

Row = (
    models.Account
    | models.ApiKey
    | models.AuditEvent
    | models.AuthSession
    | models.CreditTransaction
    | models.Purchase
    | models.Profile
    | models.Task
    | models.TaskResult
    | models.Webhook
    | models.WebhookDelivery
)


async def node(info: Info, id: str) -> Row | None:
    """One object; None when it does not exist or is not the caller's."""
    return await _find(info.context, id)


async def nodes(info: Info, ids: list[str]) -> list[Row | None]:
    """Several objects, in the order asked."""
    if len(ids) > _IDS_MAX:
        raise BadRequest(f"At most {_IDS_MAX} ids at a time.")
    return list(await asyncio.gather(*(_find(info.context, i) for i in ids)))


async def _find(context: Context, text: str) -> Row | None:
    kind = text.partition("_")[0]
    if kind == "result":
        return await _result(context, text)
    find = _BY_UUID.get(kind)
    return await find(context, ids.parse(kind, text)) if find is not None else None


async def _result(context: Context, text: str) -> models.TaskResult | None:
    key = ids.parse_row("result", text)
    if key is None or await context.reached(context.load.task, key[0], ApiKeyScope.TASKS_READ) is None:
        return None
    return await context.load.result.load(key)


async def _account(context: Context, uuid: UUID | None) -> models.Account | None:
    actor = context.require(None)
    return await context.load.account.load(uuid) if uuid is not None and actor.reaches(uuid) else None


_BY_UUID: Mapping[str, Callable[[Context, UUID | None], Awaitable[Row | None]]] = {
    "task": tasks.by_uuid,
    "transaction": credits.by_uuid,
    "purchase": purchases.by_uuid,
    "profile": profiles.by_uuid,
    "user": _account,
    "key": keys.by_uuid,
    "session": accounts.session_by_uuid,
    "audit": admin.audit_event_by_uuid,
    "webhook": webhooks.by_uuid,
    "delivery": webhooks.delivery_by_uuid,
}
"""Who finds a node, by the kind that its id begins with; a result is found by its task and its number."""
