"""API keys: `mv_live_`, 40 random base62 digits, 6 of a checksum. Stored as a keyed hash, shown once."""

import hashlib
import hmac
import secrets
import zlib
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from db import ids
from db.models import ApiKey, ApiKeyScope
from db.queries import accounts as queries
from db.queries import administration
from db.session import Database, Session
from services import audit, documents, integrations, texts
from services.actor import Actor
from services.errors import Invalid, LimitReached, NotFound, Required, WrongState
from services.keep import Keep

PREFIX = "mv_live_"
NAME_CHARACTERS_MAX = 100
KEYS_MAX = 100
KEYS_COUNTED = timedelta(days=1)
"""Each key has points of its own (services/rates.py): those made of late count too, though they were revoked."""
NOTES_BYTES_MAX = 4 * 1024
ROTATION_GRACE = timedelta(hours=1)
"""How long the secret before a rotation works on."""
REVOKED_SHOWN = timedelta(days=90)
"""How long a revoked key is listed."""
_RANDOM_DIGITS = 40
_CHECK_DIGITS = 6
_SHOWN_CHARACTERS = len(PREFIX) + 6


def _checksum(body: str) -> str:
    return ids.encode(zlib.crc32(body.encode()), _CHECK_DIGITS)


def generate() -> str:
    """A new secret: 238 bits of chance."""
    body = PREFIX + ids.encode(secrets.randbelow(62**_RANDOM_DIGITS), _RANDOM_DIGITS)
    return body + _checksum(body)


def is_well_formed(secret: str) -> bool:
    """The text has a key's shape and its checksum: what has not need not be looked up."""
    if len(secret) != len(PREFIX) + _RANDOM_DIGITS + _CHECK_DIGITS or not secret.startswith(PREFIX):
        return False
    return secret.isascii() and _checksum(secret[:-_CHECK_DIGITS]) == secret[-_CHECK_DIGITS:]


def hashed(secret: str, pepper: str) -> bytes:
    """What is stored of a secret: HMAC-SHA256 under the application's pepper."""
    return hmac.digest(hashlib.sha256(b"api-key:" + pepper.encode()).digest(), secret.encode(), "sha256")


async def create(
    db: Database,
    pepper: str,
    *,
    account_id: UUID,
    name: str,
    scopes: Iterable[ApiKeyScope],
    now: datetime,
    integration: str | None = None,
    notes: Mapping[str, Any] | None = None,
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """Make a key for an account: its row, and the secret that is shown this once.

    Raises:
        Invalid, Required, TooLarge: the name, the scopes, the integration, the notes or the end are not acceptable.
        LimitReached: the account has as many as it may have.

    """
    if expires_at is not None and expires_at <= now:
        raise Invalid("The end must lie in the future.", field=("input", "expiresAt"))
    secret = generate()
    key = ApiKey(
        id=ids.new_uuid(),
        account_id=account_id,
        name=_checked_name(name),
        prefix=secret[:_SHOWN_CHARACTERS],
        secret_hash=hashed(secret, pepper),
        scopes=_checked_scopes(scopes),
        integration=integrations.checked(integration),
        notes=_checked_notes(notes),
        created_at=now,
        expires_at=expires_at,
    )
    async with db.transaction() as session:
        # One at a time, and none for an account that is being deleted.
        if await administration.lock_account(session, account_id) is None:
            raise NotFound
        if await queries.count_spendable_keys(session, account_id, now, made_after=now - KEYS_COUNTED) >= KEYS_MAX:
            raise LimitReached(
                f"An account has at most {KEYS_MAX} keys, and makes no more in a day. Revoke some first."
            )
        await queries.add_key(session, key)
    return key, secret


async def update(
    db: Database,
    actor: Actor,
    key_id: UUID | None,
    *,
    name: str | None,
    scopes: Iterable[ApiKeyScope] | None,
    notes: Mapping[str, Any] | Keep | None = Keep.AS_IT_IS,
) -> ApiKey:
    """Change a key's name or scopes, where they are given, or its notes, which None removes.

    Raises:
        NotFound, WrongState: no key of the caller's, or one that was revoked.
        Invalid, Required, TooLarge: the name, the scopes or the notes are not acceptable.

    """
    changes: dict[str, Any] = {}
    if name is not None:
        changes["name"] = _checked_name(name)
    if scopes is not None:
        changes["scopes"] = _checked_scopes(scopes)
    if not isinstance(notes, Keep):
        changes["notes"] = _checked_notes(notes)
    async with db.transaction() as session:
        key = await _own(session, actor, key_id)
        if key.revoked_at is not None:
            raise WrongState("This key was revoked.")
        for field, value in changes.items():
            setattr(key, field, value)
    return key


async def rotate(db: Database, pepper: str, actor: Actor, key_id: UUID | None, now: datetime) -> tuple[ApiKey, str]:
    """Give a key a new secret; the one before works for an hour more, and the one before that no longer.

    Raises:
        NotFound, WrongState: no key of the caller's, or one that was revoked or has expired.

    """
    secret = generate()
    async with db.transaction() as session:
        key = await _own(session, actor, key_id)
        if key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= now):
            raise WrongState("This key was revoked or has expired: make a new one.")
        key.previous_hash, key.previous_expires_at = key.secret_hash, now + ROTATION_GRACE
        key.secret_hash, key.prefix = hashed(secret, pepper), secret[:_SHOWN_CHARACTERS]
    return key, secret


async def revoke(db: Database, actor: Actor, key_id: UUID | None, now: datetime) -> ApiKey:
    """Stop a key, with the secret that a rotation left working; once more changes nothing.

    An administrator stops anybody's.

    Raises:
        NotFound: no key of the caller's.

    """
    async with db.transaction() as session:
        key = await _reached(session, actor, key_id)
        if key.revoked_at is None:
            key.revoked_at, key.previous_hash, key.previous_expires_at = now, None, None
            await audit.record_reach(session, "key.revoke", now, actor, key)
    return key


async def _own(session: Session, actor: Actor, key_id: UUID | None) -> ApiKey:
    key = await _reached(session, actor, key_id)
    if key.account_id != actor.account_id:
        raise NotFound(field=("input", "apiKeyId"))
    return key


async def _reached(session: Session, actor: Actor, key_id: UUID | None) -> ApiKey:
    key = await queries.locked_key(session, key_id) if key_id is not None else None
    if key is None or not actor.reaches(key.account_id):
        raise NotFound(field=("input", "apiKeyId"))
    return key


def _checked_name(name: str) -> str:
    return texts.checked(name, "A name", characters_max=NAME_CHARACTERS_MAX, field=("input", "name"))


def _checked_notes(notes: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if notes is None:
        return None
    return documents.checked(notes, "metadata", bytes_max=NOTES_BYTES_MAX, field=("input", "metadata"))


def _checked_scopes(scopes: Iterable[ApiKeyScope]) -> list[str]:
    given = set(scopes)
    if not given:
        raise Required("A key needs at least one scope.", field=("input", "scopes"))
    return [scope.value for scope in ApiKeyScope if scope in given]
