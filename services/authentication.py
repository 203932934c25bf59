"""From credentials to an actor: a session's token or an API key, on every door."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from db.models import Account, ApiKeyScope
from db.queries import accounts as queries
from db.queries import identity
from db.session import Database
from services import keys
from services.actor import Actor
from services.errors import Forbidden, SessionEnded, Unauthenticated
from services.tokens import Claims, Tokens

_BEARER = "bearer"


class Directory(Protocol):
    """An identity provider that keeps sessions elsewhere."""

    async def account(self, claims: Claims, token: str, now: datetime) -> Account:
        """The account of a valid token. Raises Unauthenticated, SessionEnded, Forbidden; Busy where nobody answers."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What is needed to read credentials: the tokens' issuer, and the pepper of the keys' hashes."""

    tokens: Tokens
    pepper: str
    directory: Directory | None = None
    """Who knows the accounts and sessions behind tokens; None: our own tables."""


async def authenticate(
    db: Database, credentials: Credentials, *, authorization: str | None = None, api_key: str | None = None
) -> Actor | None:
    """Who the credentials name; None without any.

    `authorization` is the header (`Bearer <token or API key>`), `api_key` the header X-API-Key.

    Raises:
        Unauthenticated: a credential was given and is wrong, expired or revoked.
        Forbidden: the account is suspended.

    """
    credential = _credential(authorization, api_key)
    if credential is None:
        return None
    if credential.startswith(keys.PREFIX):
        return await _by_key(db, credentials.pepper, credential, datetime.now(UTC))
    return await _by_token(db, credentials, credential, datetime.now(UTC))


async def _by_token(db: Database, credentials: Credentials, token: str, now: datetime) -> Actor:
    """The caller of a session."""
    claims = await credentials.tokens.verify(token)
    if credentials.directory is not None:
        account = await credentials.directory.account(claims, token, now)
    else:
        account = await _account(db, claims, now)
    _admit(account)
    return Actor(account.id, account.role, expires_at=claims.expires_at, session_id=claims.session_id)


async def _account(db: Database, claims: Claims, now: datetime) -> Account:
    """The account of a session: its row is looked at each time, so a signed-out token is refused at once."""
    if claims.session_id is None:
        account = (await queries.hot_by_ids(db.hot, [claims.account_id])).get(claims.account_id)
        lives = True
    else:
        found = await identity.with_session(db.hot, claims.account_id, claims.session_id, now)
        account, lives = found or (None, False)
    if account is None:
        raise Unauthenticated
    _admit(account)
    if not lives:
        raise SessionEnded
    return account


def _admit(account: Account) -> None:
    if account.deleted_at is not None:
        raise Unauthenticated
    if account.suspended_at is not None:
        raise Forbidden("This account is suspended.")


def _credential(authorization: str | None, api_key: str | None) -> str | None:
    if authorization is not None:
        scheme, _, credential = authorization.partition(" ")
        if scheme.lower() != _BEARER or not credential.strip():
            raise Unauthenticated("The Authorization header must be `Bearer <token or API key>`.")
        return credential.strip()
    return api_key


async def _by_key(db: Database, pepper: str, secret: str, now: datetime) -> Actor:
    if not keys.is_well_formed(secret):
        raise Unauthenticated
    found = await queries.key_by_hash(db.hot, keys.hashed(secret, pepper), now)
    if found is None:
        raise Unauthenticated
    key, account = found
    if key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= now):
        raise Unauthenticated
    _admit(account)
    if key.last_used_at is None or key.last_used_at < now - queries.TOUCH_AFTER:
        async with db.transaction() as session:
            await queries.touch_key(session, key.id, now)
    scopes = frozenset(ApiKeyScope(scope) for scope in key.scopes)
    return Actor(
        account.id,
        account.role,
        scopes=scopes,
        api_key_id=key.id,
        expires_at=key.expires_at,
        integration=key.integration,
    )
