"""Retention, by hand."""

from resolvers import outcomes
from resolvers.context import Info
from services import retention

_INT_MAX = 2**31 - 1


@outcomes.gives("removed_count")
async def purge_expired(info: Info, *, is_dry_run: bool) -> int:
    """Remove what is past its retention."""
    parts = info.context.parts
    actor = info.context.require(None)
    count = await retention.purge_expired(parts.db, actor, is_dry_run=is_dry_run, now=parts.now())
    return min(count, _INT_MAX)
