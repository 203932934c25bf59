"""Who is signed in."""

from db import models
from resolvers.context import Info


async def viewer(info: Info) -> models.Account | None:
    """The account of the caller; None when signed out."""
    actor = info.context.actor
    return await info.context.load.account.load(actor.account_id) if actor is not None else None


async def owner(info: Info, root: models.Task) -> models.Account | None:
    """The account that owns a task."""
    return await info.context.load.account.load(root.account_id)
