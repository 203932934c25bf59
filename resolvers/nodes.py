"""Any object by its global id."""

import asyncio

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
    match kind:
        case "task":
            return await tasks.by_uuid(context, ids.parse(kind, text))
        case "result":
            return await _result(context, text)
        case "transaction":
            return await credits.by_uuid(context, ids.parse(kind, text))
        case "purchase":
            return await purchases.by_uuid(context, ids.parse(kind, text))
        case "profile":
            return await profiles.by_uuid(context, ids.parse(kind, text))
        case "user":
            return await _account(context, text)
        case "key":
            return await keys.by_uuid(context, ids.parse("key", text))
        case "session":
            return await accounts.session_by_uuid(context, ids.parse("session", text))
        case "audit":
            return await admin.audit_event_by_uuid(context, ids.parse("audit", text))
        case "webhook":
            return await webhooks.by_uuid(context, ids.parse(kind, text))
        case "delivery":
            return await webhooks.delivery_by_uuid(context, ids.parse(kind, text))
        case _:
            return None


async def _result(context: Context, text: str) -> models.TaskResult | None:
    key = ids.parse_row("result", text)
    if key is None:
        return None
    actor = context.require(ApiKeyScope.TASKS_READ)
    task = await context.load.task.load(key[0])
    if task is None or not actor.reaches(task.account_id):
        return None
    return await context.load.result.load(key)


async def _account(context: Context, text: str) -> models.Account | None:
    uuid = ids.parse("user", text)
    actor = context.require(None)
    return await context.load.account.load(uuid) if uuid is not None and actor.reaches(uuid) else None
