"""Profiles: an account's name and document, written by its owner alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from db.models import DOCUMENT_BYTES_MAX, ApiKeyScope, Profile
from db.queries import profiles as queries
from db.session import Database
from services import documents
from services.actor import Actor
from services.errors import Invalid, Required, VersionConflict
from services.keep import Keep

NAME_CHARACTERS_MAX = 200


Name = str | None | Keep


@dataclass(frozen=True, slots=True)
class Written:
    """A profile after a change. `was_created`: it had no document before."""

    profile: Profile
    was_created: bool


def nothing(account_id: UUID, now: datetime) -> Profile:
    """The profile of an account that an older version of the service made, before there were any."""
    return Profile(account_id=account_id, display_name=None, document={}, version=1, created_at=now, updated_at=now)


def usable_name(given: object) -> str | None:
    """A display name, where this can be one."""
    name = given.strip() if isinstance(given, str) else ""
    return name if 1 <= len(name) <= NAME_CHARACTERS_MAX and "\0" not in name else None


async def upsert(
    db: Database,
    actor: Actor,
    *,
    document: Mapping[str, Any],
    display_name: Name = Keep.AS_IT_IS,
    expected_version: int | None = None,
) -> Written:
    """Write the whole document.

    Raises:
        VersionConflict: the profile has another version than the one expected.
        Invalid, TooLarge: name or document are not acceptable.

    """
    name, whole = _checked_name(display_name), _checked(document, "document")
    return await _change(db, actor, expected_version, name, lambda _: whole)


async def update(
    db: Database,
    actor: Actor,
    *,
    patch: Mapping[str, Any] | None = None,
    display_name: Name = Keep.AS_IT_IS,
    expected_version: int | None = None,
) -> Written:
    """Change parts of the document by a JSON merge patch (RFC 7396), the name, or both.

    Raises:
        Required: nothing to change was given.
        VersionConflict, Invalid, TooLarge: as above; the bounds hold for the patch and for what comes of it.

    """
    if patch is None and display_name is Keep.AS_IT_IS:
        raise Required("Give `displayName`, `patch` or both.", field=("input", "patch"))
    name, changes = _checked_name(display_name), _checked(patch or {}, "patch")
    return await _change(
        db, actor, expected_version, name, lambda document: _checked(documents.merged(document, changes), "patch")
    )


async def empty(db: Database, actor: Actor, *, expected_version: int | None = None) -> Written:
    """Empty document and name.

    Raises:
        VersionConflict: the profile has another version than the one expected.

    """
    return await _change(db, actor, expected_version, None, lambda _: {})


async def _change(
    db: Database,
    actor: Actor,
    expected_version: int | None,
    name: Name,
    rewrite: Callable[[dict[str, Any]], dict[str, Any]],
) -> Written:
    actor.require(ApiKeyScope.PROFILE_WRITE)
    async with db.transaction(acting_for=actor.account_id) as session:
        row = await queries.locked(session, actor.account_id)
        if row is None:
            await queries.add(session, actor.account_id)
            row = await queries.locked(session, actor.account_id)
            assert row is not None  # noqa: S101 - profiles are never deleted but with their account
        if expected_version is not None and expected_version != row.version:
            raise VersionConflict(
                f"The profile has version {row.version} by now. Read it again and repeat your change.",
                field=("input", "expectedVersion"),
            )
        was_empty, document = not row.document, rewrite(row.document)
        kept_name = row.display_name if isinstance(name, Keep) else name
        changed = await queries.change(session, actor.account_id, display_name=kept_name, document=document)
        return Written(changed, was_created=was_empty and bool(document))


def _checked(document: Mapping[str, Any], field: str) -> dict[str, Any]:
    return documents.checked(document, "A document", bytes_max=DOCUMENT_BYTES_MAX, field=("input", field))


def _checked_name(given: Name) -> Name:
    if given is None or isinstance(given, Keep):
        return given
    name = usable_name(given)
    if name is None:
        raise Invalid(f"A display name has 1 to {NAME_CHARACTERS_MAX} characters.", field=("input", "displayName"))
    return name
