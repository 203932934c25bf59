"""Views over every account, and the mutations of administrators."""

from dataclasses import dataclass
from typing import Unpack
from uuid import UUID

from db import ids, models
from db.models import UserRole
from db.queries import administration, audit
from resolvers import filters, outcomes, pages, tasks
from resolvers.context import Context, Info
from services import administration as service

_SEARCH_CHARACTERS_MAX = 100
_NOBODY = UUID(int=0)
"""Whose id cannot be one: nothing is theirs."""


@dataclass(frozen=True, slots=True)
class Views:
    """Stands for all there is: what each view shows is asked for by itself."""


async def admin(info: Info) -> Views | None:
    """The views; None for all but administrators."""
    return Views() if info.context.require(None).is_admin else None


async def users(
    info: Info,
    search: str | None = None,
    **at: Unpack[pages.Place],
) -> pages.Page[models.Account]:
    """Accounts, newest first."""
    filters.text("search", search, characters_max=_SEARCH_CHARACTERS_MAX)
    return await pages.by_time(info.context.parts.db, administration.page, administration.count, search, **at)


async def tasks_page(
    info: Info,
    filter: tasks.Filter | None = None,
    owner_id: str | None = None,
    **at: Unpack[pages.Place],
) -> pages.Page[models.Task]:
    """Tasks of everybody, or of one owner, newest first."""
    owner = _account_id(owner_id)
    return await tasks.page_of(info.context, owner, filter=filter, **at)


async def audit_events(
    info: Info,
    actor_id: str | None = None,
    **at: Unpack[pages.Place],
) -> pages.Page[models.AuditEvent]:
    """The audit log, newest first."""
    return await pages.by_time(info.context.parts.db, audit.page, audit.count, _account_id(actor_id), **at)


async def actor(info: Info, root: models.AuditEvent) -> models.Account | None:
    """Who did it; None for the service itself, and for an account that was deleted since."""
    return await info.context.load.account.load(root.actor_id) if root.actor_id is not None else None


async def audit_event_by_uuid(context: Context, event_id: UUID | None) -> models.AuditEvent | None:
    """One event, for administrators."""
    is_shown = context.require(None).is_admin
    return await context.load.audit_event.load(event_id) if event_id is not None and is_shown else None


@outcomes.gives("user")
async def change_user_role(info: Info, *, user_id: str, role: UserRole) -> models.Account:
    """Change what an account may do."""
    parts, actor = info.context.parts, info.context.require(None)
    return await service.change_role(parts.db, actor, ids.parse("user", user_id), role, parts.now())


@outcomes.gives("user")
async def suspend_user(info: Info, *, user_id: str, reason: str) -> models.Account:
    """Suspend an account."""
    parts, actor = info.context.parts, info.context.require(None)
    return await service.suspend(parts.db, actor, ids.parse("user", user_id), reason, parts.now())


@outcomes.gives("user")
async def restore_user(info: Info, *, user_id: str) -> models.Account:
    """Lift a suspension."""
    parts, actor = info.context.parts, info.context.require(None)
    return await service.restore(parts.db, actor, ids.parse("user", user_id), parts.now())


def _account_id(text: str | None) -> UUID | None:
    return None if text is None else ids.parse("user", text) or _NOBODY
