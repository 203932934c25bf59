"""From a header to an actor: sessions, keys, and every way in which they are refused."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from db import ids
from db.models import Account, ApiKeyScope, UserRole
from db.session import Database
from services import authentication, keys
from services.actor import Actor
from services.authentication import Credentials
from services.errors import Forbidden, Unauthenticated
from services.tokens import Tokens
from tests import factories

PEPPER = "the-pepper-of-the-tests"
CREDENTIALS = Credentials(Tokens("a-secret-of-at-least-thirty-two-characters", "http://service.test"), PEPPER)


async def came_in(db: Database, **headers: str | None) -> Actor:
    actor = await authentication.authenticate(db, CREDENTIALS, **headers)
    assert actor is not None
    return actor


def bearer(account: Account, *, lifetime: timedelta = timedelta(hours=1)) -> str:
    return "Bearer " + CREDENTIALS.tokens.issue(account.id, account.email, now=datetime.now(UTC), lifetime=lifetime)


async def made_key(db: Database, account: Account, *scopes: ApiKeyScope) -> str:
    _, secret = await keys.create(db, PEPPER, account_id=account.id, name="key", scopes=scopes, now=datetime.now(UTC))
    return secret


async def test_no_credential_is_nobody(db: Database) -> None:
    assert await authentication.authenticate(db, CREDENTIALS) is None


async def test_a_session_is_its_account_with_every_right(db: Database, account: Account) -> None:
    actor = await came_in(db, authorization=bearer(account))
    assert (actor.account_id, actor.role, actor.scopes) == (account.id, UserRole.MEMBER, None)
    actor.require(None)
    actor.require(ApiKeyScope.TASKS_WRITE)


async def test_a_key_is_its_owner_with_its_scopes_alone(db: Database, account: Account) -> None:
    secret = await made_key(db, account, ApiKeyScope.TASKS_READ)
    for headers in (
        {"api_key": secret},
        {"authorization": f"Bearer {secret}"},
        {"authorization": f"bearer  {secret} "},
    ):
        actor = await came_in(db, **headers)
        assert (actor.account_id, actor.scopes) == (account.id, frozenset({ApiKeyScope.TASKS_READ}))
        actor.require(ApiKeyScope.TASKS_READ)
        for scope in (ApiKeyScope.TASKS_WRITE, None):
            with pytest.raises(Forbidden):
                actor.require(scope)


async def test_a_key_of_an_administrator_reaches_its_own_account_alone(db: Database) -> None:
    admin = await factories.account(db, "admin@example.com", UserRole.ADMIN)
    other = ids.new_uuid()
    assert (await came_in(db, authorization=bearer(admin))).reaches(other)
    assert not (await came_in(db, api_key=await made_key(db, admin, ApiKeyScope.TASKS_READ))).reaches(other)


@pytest.mark.parametrize("column", ["revoked_at", "expires_at"])
async def test_a_revoked_or_expired_key_is_refused(db: Database, account: Account, raw: Any, column: str) -> None:
    secret = await made_key(db, account, ApiKeyScope.VERIFY)
    await raw(f"UPDATE api_key SET {column} = now() - interval '1 second' RETURNING 1")
    with pytest.raises(Unauthenticated):
        await came_in(db, api_key=secret)


async def test_a_key_that_expires_later_tells_when(db: Database, account: Account, raw: Any) -> None:
    secret = await made_key(db, account, ApiKeyScope.VERIFY)
    await raw("UPDATE api_key SET expires_at = now() + interval '1 hour' RETURNING 1")
    expires_at = (await came_in(db, api_key=secret)).expires_at
    assert expires_at is not None
    assert expires_at > datetime.now(UTC)


async def test_an_unknown_key_of_the_right_shape_is_refused(db: Database, account: Account) -> None:
    await made_key(db, account, ApiKeyScope.VERIFY)
    for secret in (keys.generate(), "mv_live_", "mv_live_\0", "mv_live_" + "é" * 46):
        with pytest.raises(Unauthenticated):
            await came_in(db, api_key=secret)


async def test_an_expired_session_is_refused(db: Database, account: Account) -> None:
    with pytest.raises(Unauthenticated):
        await came_in(db, authorization=bearer(account, lifetime=timedelta(seconds=-1)))


async def test_a_session_of_a_deleted_account_is_refused(db: Database, account: Account, raw: Any) -> None:
    credential = bearer(account)
    await raw("DELETE FROM account RETURNING 1")
    with pytest.raises(Unauthenticated):
        await came_in(db, authorization=credential)


async def test_a_suspended_account_is_forbidden_by_session_and_by_key(db: Database, account: Account, raw: Any) -> None:
    secret = await made_key(db, account, ApiKeyScope.VERIFY)
    await raw("UPDATE account SET suspended_at = now() RETURNING 1")
    for headers in ({"authorization": bearer(account)}, {"api_key": secret}):
        with pytest.raises(Forbidden, match="suspended"):
            await came_in(db, **headers)


@pytest.mark.parametrize(
    "header",
    [
        "",
        " ",
        "Bearer",
        "Bearer ",
        "Basic dXNlcjpwYXNz",
        "bearer\tx",
        "Token x",
        "x",
        "Bearer x y",
        "Bearer \0",
        "Bearer é",
    ],
)
async def test_a_malformed_header_is_refused_and_never_nobody(db: Database, header: str) -> None:
    with pytest.raises(Unauthenticated):
        await authentication.authenticate(db, CREDENTIALS, authorization=header)


async def test_an_empty_key_is_refused_and_never_nobody(db: Database) -> None:
    with pytest.raises(Unauthenticated):
        await authentication.authenticate(db, CREDENTIALS, api_key="")


async def test_the_authorization_header_goes_before_the_key(db: Database, account: Account) -> None:
    with pytest.raises(Unauthenticated):
        await came_in(db, authorization="Bearer wrong", api_key=await made_key(db, account, ApiKeyScope.VERIFY))


async def test_the_last_use_of_a_key_is_noted_at_most_once_a_minute(db: Database, account: Account, raw: Any) -> None:
    secret = await made_key(db, account, ApiKeyScope.VERIFY)
    await came_in(db, api_key=secret)
    ((first,),) = await raw("SELECT last_used_at FROM api_key")
    await came_in(db, api_key=secret)
    assert await raw("SELECT last_used_at FROM api_key") == [(first,)]
    await raw("UPDATE api_key SET last_used_at = now() - interval '61 seconds' RETURNING 1")
    await came_in(db, api_key=secret)
    ((later,),) = await raw("SELECT last_used_at FROM api_key")
    assert later > first
