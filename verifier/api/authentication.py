"""Who calls: the service by its own credential, or a user by an API key. Both as bearer token or in X-API-Key."""

import hashlib
import hmac
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
    """Return who calls; raise Unauthenticated."""
    secret = _credential(request)
    shared = parts.of(request)
    service_key = shared.settings.service_key
    if service_key and hmac.compare_digest(secret.encode(), service_key.encode()):
        return Caller(None, is_service=True)
    user_id = await keys.user_of(shared.pool, hash_of(secret)) if secret.startswith(KEY_PREFIX) else None
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
