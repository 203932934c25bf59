"""What is the Supabase adapter's own: accounts made on first sight, sessions asked about, faults told as such."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from starlette.responses import HTMLResponse, JSONResponse, Response

from app import server
from app.settings import Settings
from db import ids
from db.models import UserRole
from db.queries import accounts
from db.session import Database
from resolvers.context import Parts
from services import authentication
from services.actor import Actor
from services.authentication import Credentials
from services.device import Device
from services.errors import (
    Forbidden,
    IdentityDown,
    Invalid,
    LeakedPassword,
    RateLimited,
    ServiceError,
    SessionEnded,
    TooManyLetters,
    WeakPassword,
)
from services.identity import supabase
from services.identity.gotrue import GoTrue
from services.identity.port import Grant, SignOutScope
from services.identity.supabase import SupabaseIdentity
from services.jwks import KeySet
from services.mail import LogMailer
from services.rates import Rates
from services.throttle import Throttle
from services.tokens import Tokens
from tests.client import Client
from tests.conftest import empty
from tests.services import provider
from tests.services.provider import Gate

SECRET = "the-secret-of-the-supabase-tests-0123456789"
EMAIL, PASSWORD = "ann@example.com", "correct horse battery"
HERE = Device()
CREDITS = 50


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
async def there(provider_db: Database) -> AsyncIterator[Database]:
    """The project's own database."""
    yield provider_db
    await empty(provider_db)


@pytest.fixture
async def project(there: Database, gate: Gate) -> AsyncIterator[str]:
    async with provider.serving(there, LogMailer(is_link_shown=False), gate) as url:
        yield url


@pytest.fixture
async def credentials(db: Database, project: str) -> AsyncIterator[Credentials]:
    keys = KeySet(f"{project}/auth/v1/.well-known/jwks.json")
    tokens = Tokens(None, provider.ISSUER, keys, is_own=False)
    throttle = Throttle(Rates(), SECRET)
    identity = SupabaseIdentity(db, tokens, GoTrue(project, "publishable"), throttle, welcome_credits=CREDITS)
    yield Credentials(tokens, SECRET, identity)
    await identity.aclose()
    await keys.aclose()


@pytest.fixture
def identity(credentials: Credentials) -> SupabaseIdentity:
    assert isinstance(credentials.directory, SupabaseIdentity)
    return credentials.directory


async def signed_up(identity: SupabaseIdentity, email: str = EMAIL) -> Grant:
    granted = await identity.sign_up(email, PASSWORD, user_metadata={}, device=HERE, now=datetime.now(UTC))
    assert granted is not None
    return granted


async def signed_up_there(project: str, email: str = EMAIL) -> str:
    """The access token of somebody who signed up without us, by one of Supabase's clients."""
    async with httpx.AsyncClient(base_url=f"{project}/auth/v1") as http:
        answer = await http.post("/signup", json={"email": email, "password": PASSWORD})
    token: str = answer.json()["access_token"]
    return token


async def came_in(db: Database, credentials: Credentials, token: str) -> Actor:
    actor = await authentication.authenticate(db, credentials, authorization=f"Bearer {token}")
    assert actor is not None
    return actor


async def test_an_account_is_made_with_its_credits_when_a_token_is_first_seen(
    db: Database, credentials: Credentials, project: str, raw: Any
) -> None:
    token = await signed_up_there(project)
    actors = await asyncio.gather(*(came_in(db, credentials, token) for _ in range(8)))
    assert len({actor.account_id for actor in actors}) == 1
    assert await raw("SELECT id, email, role FROM account") == [(actors[0].account_id, EMAIL, "MEMBER")]
    assert await raw("SELECT balance FROM credit_account") == [(CREDITS,)]
    assert await raw("SELECT count(*) FROM credential") == [(0,)]  # no password of theirs is ever here


async def test_the_key_of_the_project_goes_with_every_call(identity: SupabaseIdentity, gate: Gate) -> None:
    await signed_up(identity)
    await identity.request_password_reset(EMAIL, datetime.now(UTC))
    assert "POST /recover" in gate.calls
    gate.calls.remove("GET /.well-known/jwks.json")  # which anybody may read
    assert gate.api_keys <= {b"publishable", b""}
    assert b"publishable" in gate.api_keys


async def test_an_account_follows_a_change_of_its_address_and_takes_nobody_elses(
    db: Database, credentials: Credentials, project: str, raw: Any
) -> None:
    await came_in(db, credentials, await signed_up_there(project))
    await raw("UPDATE account SET email = 'before@example.com' RETURNING 1")
    await came_in(db, credentials, await signed_up_there(project, "bob@example.com"))
    async with httpx.AsyncClient(base_url=f"{project}/auth/v1") as http:
        answer = await http.post("/token?grant_type=password", json={"email": EMAIL, "password": PASSWORD})
    await came_in(db, credentials, answer.json()["access_token"])
    assert sorted(await raw("SELECT email FROM account")) == [(EMAIL,), ("bob@example.com",)]
    async with db.transaction() as session:
        await accounts.add(
            session,
            account_id=ids.new_uuid(),
            email="eve@example.com",
            role=UserRole.ADMIN,
            now=datetime.now(UTC),
        )
    with pytest.raises(Forbidden, match="another account"):
        await came_in(db, credentials, await signed_up_there(project, "eve@example.com"))


async def test_a_session_is_asked_about_once_in_a_while(
    db: Database, credentials: Credentials, project: str, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = await signed_up_there(project)
    await asyncio.gather(*(came_in(db, credentials, token) for _ in range(20)))
    assert gate.calls.count("GET /user") == 1
    monkeypatch.setattr(supabase, "CHECK_SECONDS", 0.0)
    await came_in(db, credentials, token)
    assert gate.calls.count("GET /user") == 2


async def test_security_19_who_signed_out_elsewhere_is_refused_when_it_is_asked_about(
    db: Database, credentials: Credentials, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = await signed_up_there(project)
    await came_in(db, credentials, token)
    async with httpx.AsyncClient(base_url=f"{project}/auth/v1") as http:
        await http.post("/logout", headers={"authorization": f"Bearer {token}"})
    assert supabase.CHECK_SECONDS + server.RECHECK_SECONDS < 10
    monkeypatch.setattr(supabase, "CHECK_SECONDS", 0.0)
    with pytest.raises(SessionEnded):
        await came_in(db, credentials, token)


async def test_security_19_who_signs_out_here_is_refused_at_once(
    db: Database, credentials: Credentials, identity: SupabaseIdentity
) -> None:
    granted = await signed_up(identity)
    token = granted.tokens.access_token
    await came_in(db, credentials, token)
    assert await identity.sign_out(granted.account.id, granted.session_id, SignOutScope.LOCAL) == 1
    with pytest.raises(SessionEnded):
        await came_in(db, credentials, token)


@pytest.mark.parametrize(
    "fault",
    [
        Response(status_code=500),
        HTMLResponse("<html>Bad Gateway</html>", 502),
        JSONResponse({"code": "unexpected_failure"}, 503),
        HTMLResponse("<html>ok</html>", 200),
        JSONResponse([], 200),
        JSONResponse({"access_token": "x", "refresh_token": "y", "user": {}}, 200),
    ],
    ids=["empty", "html", "json", "html for 200", "a list", "tokens of somebody else"],
)
async def test_a_fault_of_the_provider_is_told_as_such(identity: SupabaseIdentity, gate: Gate, fault: Response) -> None:
    gate.instead = fault
    with pytest.raises(IdentityDown):
        await identity.sign_in(EMAIL, PASSWORD, device=HERE, now=datetime.now(UTC))


async def test_a_provider_that_is_not_there_is_told_as_such(db: Database, credentials: Credentials) -> None:
    away = SupabaseIdentity(
        db, credentials.tokens, GoTrue("http://127.0.0.1:1", "publishable"), Throttle(Rates(), SECRET)
    )
    with pytest.raises(IdentityDown):
        await away.sign_in(EMAIL, PASSWORD, device=HERE, now=datetime.now(UTC))
    await away.aclose()


async def test_a_known_session_goes_on_while_the_provider_is_away_and_an_unknown_one_is_asked_to_wait(
    db: Database, credentials: Credentials, project: str, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supabase, "CHECK_SECONDS", 0.0)
    known, unknown = await signed_up_there(project), await signed_up_there(project, "bob@example.com")
    await came_in(db, credentials, known)
    gate.instead = Response(status_code=503)
    await came_in(db, credentials, known)
    with pytest.raises(IdentityDown):
        await came_in(db, credentials, unknown)


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (422, {"code": "weak_password", "weak_password": {"reasons": ["pwned"]}}, LeakedPassword),
        (422, {"code": "weak_password", "weak_password": {"reasons": ["characters"]}}, WeakPassword),
        (422, {"code": "weak_password"}, WeakPassword),
        (422, {"error_code": "signup_disabled", "code": 422}, Invalid),
        (400, {"code": "something_new"}, Invalid),
        (429, {"code": "over_request_rate_limit"}, RateLimited),
        (429, {"code": "over_email_send_rate_limit"}, TooManyLetters),
        (429, {}, RateLimited),
    ],
)
async def test_refusals_are_told_apart_by_their_code(
    identity: SupabaseIdentity, gate: Gate, status: int, body: dict[str, Any], error: type[ServiceError]
) -> None:
    gate.instead = JSONResponse(body, status, headers={"retry-after": "7"})
    with pytest.raises(error) as refused:
        await signed_up(identity)
    assert type(refused.value) is error
    if isinstance(refused.value, RateLimited):
        assert refused.value.retry_after_seconds == 7


@pytest.mark.parametrize(("asked", "seconds"), [("²", 60), ("0", 0), ("9" * 400, 86_400)])
async def test_a_wait_that_is_no_number_is_a_minute_and_none_is_longer_than_a_day(
    identity: SupabaseIdentity, gate: Gate, asked: str, seconds: int
) -> None:
    gate.instead = JSONResponse({}, 429, headers={"retry-after": asked})
    with pytest.raises(RateLimited) as refused:
        await signed_up(identity)
    assert refused.value.retry_after_seconds == seconds


async def test_graphql_signs_people_in_at_the_provider_and_no_auth_routes_of_ours_are_there(
    parts: Parts, credentials: Credentials, identity: SupabaseIdentity, gate: Gate, project: str
) -> None:
    settings = Settings.from_env(
        {"PUBLIC_URL": "http://service.test", "SECRET_KEY": SECRET, "SUPABASE_URL": project, "SUPABASE_KEY": "x"}
    )
    app = server.create_app(dataclasses.replace(parts, identity=identity, credentials=credentials), settings)
    transport = httpx.ASGITransport(app)
    query = """mutation($email: String!, $password: String!) { signUp(input: {email: $email, password: $password}) {
      user { email } tokens { accessToken refreshToken } userErrors { code } } }"""
    async with httpx.AsyncClient(transport=transport, base_url="http://service.test") as http:
        assert (await http.get("/auth/v1/settings")).status_code == 404
        made = (await Client(http).ask(query, email=EMAIL, password=PASSWORD))["signUp"]
        assert (made["user"], made["userErrors"]) == ({"email": EMAIL}, [])
        client = Client(http, made["tokens"]["accessToken"])
        assert (await client.ask("{ viewer { email } }"))["viewer"] == {"email": EMAIL}
        taken = (await Client(http).ask(query, email=EMAIL, password=PASSWORD))["signUp"]
        assert taken["userErrors"] == [{"code": "TAKEN"}]
        gate.instead = Response(status_code=502)
        assert await Client(http).codes(query, email="bob@example.com", password=PASSWORD) == ["SERVICE_UNAVAILABLE"]
        identity._seen.clear()
        away = await client.post("{ viewer { email } }")
        assert (away.status_code, away.headers["retry-after"]) == (503, "2")
        gate.instead = None
        ended = (await client.ask("mutation { signOut(input: {}) { endedSessionCount } }"))["signOut"]
        assert ended == {"endedSessionCount": 1}
        assert (await client.post("{ viewer { email } }")).status_code == 401
