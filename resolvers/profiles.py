"""The caller's profile, that of an account, and the mutations that write it."""

from typing import Any
from uuid import UUID

from db import models
from db.models import ApiKeyScope
from resolvers import outcomes
from resolvers.context import Context, Info
from services import profiles
from services.errors import NotFound
from services.keep import Keep
from services.profiles import Name


async def own(info: Info) -> models.Profile:
    """The caller's profile."""
    return await _of(info.context, info.context.require(ApiKeyScope.PROFILE_READ).account_id)


async def of_account(info: Info, root: models.Account) -> models.Profile | None:
    """An account's profile, for its owner and for administrators."""
    actor = info.context.require(ApiKeyScope.PROFILE_READ)
    return await _of(info.context, root.id) if actor.reaches(root.id) else None


async def by_uuid(context: Context, account_id: UUID | None) -> models.Profile | None:
    """The profile with this id, if the caller may see it."""
    actor = context.require(ApiKeyScope.PROFILE_READ)
    return await context.load.profile.load(account_id) if account_id and actor.reaches(account_id) else None


async def _of(context: Context, account_id: UUID) -> models.Profile:
    return await context.load.profile.load(account_id) or profiles.nothing(account_id, context.parts.now())


async def email(info: Info, root: models.Profile) -> str:
    """The sign-in address of the profile's account."""
    account = await info.context.load.account.load(root.account_id)
    if account is None:  # deleted meanwhile
        raise NotFound
    return account.email


@outcomes.gives("profile", "was_created")
async def upsert_profile(
    info: Info, *, document: dict[str, Any], display_name: Name = Keep.AS_IT_IS, expected_version: int | None = None
) -> tuple[models.Profile, bool]:
    """Write the whole document."""
    actor = info.context.require(ApiKeyScope.PROFILE_WRITE)
    written = await profiles.upsert(
        info.context.parts.db,
        actor,
        document=document,
        display_name=display_name,
        expected_version=expected_version,
    )
    return written.profile, written.was_created


@outcomes.gives("profile")
async def update_profile(
    info: Info,
    *,
    patch: dict[str, Any] | None = None,
    display_name: Name = Keep.AS_IT_IS,
    expected_version: int | None = None,
) -> models.Profile:
    """Change parts of the document."""
    actor = info.context.require(ApiKeyScope.PROFILE_WRITE)
    written = await profiles.update(
        info.context.parts.db, actor, patch=patch, display_name=display_name, expected_version=expected_version
    )
    return written.profile


@outcomes.gives("profile")
async def delete_profile(info: Info, *, expected_version: int | None = None) -> models.Profile:
    """Empty the profile."""
    actor = info.context.require(ApiKeyScope.PROFILE_WRITE)
    return (await profiles.empty(info.context.parts.db, actor, expected_version=expected_version)).profile
