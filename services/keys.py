"""API keys: `mv_live_`, 40 random base62 digits, 6 of a checksum. Stored as a keyed hash, shown once."""

import hashlib
import hmac
import secrets
import zlib
from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from db import ids
from db.models import ApiKey, ApiKeyScope
from db.queries import accounts as queries
from db.session import Database

PREFIX = "mv_live_"
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
    db: Database, pepper: str, *, account_id: UUID, name: str, scopes: Iterable[ApiKeyScope], now: datetime
) -> tuple[ApiKey, str]:
    """Make a key for an account: its row, and the secret that is shown this once."""
    secret = generate()
    key = ApiKey(
        id=ids.new_uuid(),
        account_id=account_id,
        name=name,
        prefix=secret[:_SHOWN_CHARACTERS],
        secret_hash=hashed(secret, pepper),
        scopes=[scope.value for scope in scopes],
        created_at=now,
    )
    async with db.transaction() as session:
        await queries.add_key(session, key)
    return key, secret
