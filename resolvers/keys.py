"""API keys of the caller, and the mutations that make and stop them. A key cannot do any of it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Unpack
from uuid import UUID

from db import ids, models
from db.models import ApiKeyScope
from db.queries import accounts as queries
from resolvers import outcomes, pages
from resolvers.context import Context, Info
from services import integrations, keys
from services.keep import Keep


async def by_uuid(context: Context, key_id: UUID | None) -> models.ApiKey | None:
    """One key that the caller may see."""
    return await context.reached(context.load.api_key, key_id, None)


async def keys_page(
    info: Info,
    *,
    integration: str | None = None,
    include_revoked: bool = False,
    **at: Unpack[pages.Place],
) -> pages.Page[models.ApiKey]:
    """The caller's keys."""
    context = info.context
    actor, db = context.require(None), context.parts.db
    if integration is not None:
        integrations.require_slugs([integration])
    revoked_after = context.parts.now() - keys.REVOKED_SHOWN if include_revoked else None
    conditions = queries.KeyConditions(revoked_after, integration)
    return await pages.by_time(db, queries.keys_page, queries.count_keys, actor.account_id, conditions, **at)


@outcomes.gives("api_key", "secret")
async def create_api_key(
    info: Info,
    *,
    name: str,
    scopes: Sequence[ApiKeyScope],
    integration: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    expires_at: datetime | None = None,
) -> tuple[models.ApiKey, str]:
    """Make a key."""
    parts, actor = info.context.parts, info.context.require(None)
    return await keys.create(
        parts.db,
        parts.credentials.pepper,
        account_id=actor.account_id,
        name=name,
        scopes=scopes,
        integration=integration,
        notes=metadata,
        expires_at=expires_at,
        now=parts.now(),
    )


@outcomes.gives("api_key")
async def update_api_key(
    info: Info,
    *,
    api_key_id: str,
    name: str | None = None,
    scopes: Sequence[ApiKeyScope] | None = None,
    metadata: Mapping[str, Any] | Keep | None = Keep.AS_IT_IS,
) -> models.ApiKey:
    """Change a key."""
    actor, key_id = info.context.require(None), ids.parse("key", api_key_id)
    return await keys.update(info.context.parts.db, actor, key_id, name=name, scopes=scopes, notes=metadata)


@outcomes.gives("api_key", "secret")
async def rotate_api_key(info: Info, *, api_key_id: str) -> tuple[models.ApiKey, str]:
    """Give a key a new secret."""
    parts, actor = info.context.parts, info.context.require(None)
    key_id = ids.parse("key", api_key_id)
    return await keys.rotate(parts.db, parts.credentials.pepper, actor, key_id, parts.now())


@outcomes.gives("api_key")
async def revoke_api_key(info: Info, *, api_key_id: str) -> models.ApiKey:
    """Stop a key."""
    parts, actor = info.context.parts, info.context.require(None)
    return await keys.revoke(parts.db, actor, ids.parse("key", api_key_id), parts.now())
