"""Repeat-safe requests: the same key with the same input is one request, however often it comes."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from db.models import IdempotencyKey
from services.actor import Actor
from services.errors import IdempotencyConflict, Invalid

KEY_CHARACTERS_MAX = 64
_FIELD = ("input", "idempotencyKey")


def checked(key: str) -> str:
    """The same key.

    Raises:
        Invalid: empty, too long, or not printable.

    """
    if not 1 <= len(key) <= KEY_CHARACTERS_MAX or not key.isprintable():
        raise Invalid(f"An idempotency key has 1 to {KEY_CHARACTERS_MAX} printable characters.", field=_FIELD)
    return key


def key(
    actor: Actor, operation: str, key: str | None, asked: Sequence[str], subject_id: UUID, now: datetime
) -> IdempotencyKey | None:
    """A caller's key with the hash of what is asked for; None without one. `subject_id` is what the request makes.

    Raises:
        Invalid: the key is empty, too long, or not printable.

    """
    if key is None:
        return None
    sha256 = hashlib.sha256()
    for text in asked:
        data = text.encode("utf-8", "replace")
        sha256.update(len(data).to_bytes(8, "big") + data)
    return IdempotencyKey(
        account_id=actor.account_id,
        operation=operation,
        key=checked(key),
        request_hash=sha256.digest(),
        subject_id=subject_id,
        created_at=now,
    )


def hold_same(first: IdempotencyKey, again: IdempotencyKey) -> None:
    """Refuse a key that comes again with something else.

    Raises:
        IdempotencyConflict: it does.

    """
    if first.request_hash != again.request_hash:
        raise IdempotencyConflict(field=_FIELD)
