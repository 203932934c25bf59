"""Use over time: the caller's, and an account's."""

from db import ids, models
from db.models import ApiKeyScope
from resolvers import ranges
from resolvers.context import Info
from resolvers.ranges import Range
from services import usage


async def own(info: Info, range: Range, api_key_id: str | None = None) -> models.UsageSeries | None:
    """The caller's use, through one of its keys or in all; None for a key that is not its own."""
    context = info.context
    actor, parts = context.require(ApiKeyScope.USAGE_READ), context.parts
    days, key_id = ranges.days(range, parts.now()), None
    if api_key_id is not None:
        key_id = ids.parse("key", api_key_id)
        key = await context.load.api_key.load(key_id) if key_id is not None else None
        if key is None or key.account_id != actor.account_id:
            return None
    return await usage.series(parts.db, actor.account_id, days, key_id)


async def of_account(info: Info, root: models.Account, range: Range) -> models.UsageSeries | None:
    """An account's use; None where it is not the caller's to see."""
    context = info.context
    if not context.require(ApiKeyScope.USAGE_READ).reaches(root.id):
        return None
    return await usage.series(context.parts.db, root.id, ranges.days(range, context.parts.now()))
