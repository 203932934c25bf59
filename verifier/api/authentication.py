"""Who calls: the service by its own credential, a user by an API key or by an identity provider's JWT.

Each as bearer token or in X-API-Key. How often somebody calls is counted here too: nobody is answered uncounted.
"""

import hashlib
import hmac
import math
import secrets
from dataclasses import dataclass
from uuid import UUID

from starlette.requests import Request

from verifier.api import errors, parts
from verifier.store.queries import keys

KEY_PREFIX = "mvk_"
KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom a request is for. The service has no user; it is the administrator and sees every user's tasks."""

    user_id: UUID | None
    is_service: bool

    def may_see(self, owner_id: UUID | None) -> bool:
        """Tell whether a task of this owner is shown."""
        return self.is_service or self.user_id == owner_id


async def caller_of(request: Request) -> Caller:
    """Return who calls; raise Unauthenticated, and TooMany where they call too often."""
    caller = await _identified(request)
    shared = parts.of(request)
    settings = shared.settings
    wait_seconds = shared.rates.take(
        caller, per_minute=settings.service_rate_limit if caller.is_service else settings.rate_limit
    )
    if wait_seconds > 0:
        raise errors.TooMany("too many requests", retry_after_seconds=math.ceil(wait_seconds))
    return caller


async def service_of(request: Request) -> Caller:
    """Return the service; raise Unauthenticated, and Forbidden for anybody else."""
    caller = await caller_of(request)
    if not caller.is_service:
        raise errors.Forbidden("only the service may do this")
    return caller


async def _identified(request: Request) -> Caller:
    secret = _credential(request)
    shared = parts.of(request)
    service_key = shared.settings.service_key
    if service_key and hmac.compare_digest(secret.encode(), service_key.encode()):
        return Caller(None, is_service=True)
    if secret.startswith(KEY_PREFIX):
        user_id = await keys.user_of(shared.pool, hash_of(secret))
    else:
        user_id = await shared.tokens.user_of(secret)
    if user_id is None:
        raise errors.Unauthenticated("the credential is not valid")
    return Caller(user_id, is_service=False)


def _credential(request: Request) -> str:
    authorization = request.headers.get("authorization")
    if authorization is not None:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise errors.Unauthenticated("the Authorization header must be `Bearer <key>`")
        return token.strip()
    if key := request.headers.get("x-api-key", "").strip():
        return key
    raise errors.Unauthenticated("give a key, as `Authorization: Bearer <key>` or `X-API-Key: <key>`")


def new_secret() -> str:
    """Make the secret of a new API key: 256 random bits."""
    return KEY_PREFIX + secrets.token_urlsafe(KEY_BYTES)


def hash_of(secret: str) -> bytes:
    """Return what is kept of a secret. It has 256 random bits, so that a plain hash cannot be searched."""
    return hashlib.sha256(secret.encode()).digest()
