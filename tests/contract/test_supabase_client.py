"""The official Python client of Supabase Auth against the running program: every flow of a person with a password."""

import uuid
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import httpx
import pytest
from supabase_auth import AsyncGoTrueClient
from supabase_auth.errors import AuthApiError, AuthWeakPasswordError
from supabase_auth.types import Session

from conftest import RunningApp
from tests.client import Client

PASSWORD = "correct horse battery"


@pytest.fixture
async def auth(running_app: RunningApp) -> AsyncIterator[AsyncGoTrueClient]:
    """A client with an empty memory."""
    async with httpx.AsyncClient(timeout=30) as http:
        yield AsyncGoTrueClient(
            url=f"{running_app.web}/auth/v1",
            headers={"apikey": "publishable"},
            http_client=http,
            auto_refresh_token=False,
        )


@pytest.fixture
def email() -> str:
    return f"{uuid.uuid4().hex}@example.com"


async def signed_up(auth: AsyncGoTrueClient, email: str) -> Session:
    answer = await auth.sign_up({"email": email, "password": PASSWORD, "options": {"data": {"name": "Ann"}}})
    assert answer.session is not None
    assert answer.user is not None
    assert (answer.user.email, answer.user.user_metadata) == (email, {"name": "Ann"})
    return answer.session


async def refused(work: Awaitable[object]) -> str | None:
    """The code of the error of a call."""
    with pytest.raises(AuthApiError) as error:
        await work
    return error.value.code


async def test_a_person_signs_up_in_and_out(auth: AsyncGoTrueClient, email: str, running_app: RunningApp) -> None:
    session = await signed_up(auth, email)
    async with httpx.AsyncClient(base_url=running_app.web, timeout=30) as http:
        graphql = Client(http, session.access_token)
        assert (await graphql.ask("{ viewer { email } }"))["viewer"] == {"email": email}
        await auth.sign_out()
        assert (await graphql.post("{ viewer { email } }")).status_code == 401
    assert await auth.get_session() is None
    assert await refused(auth.get_user(session.access_token)) == "session_not_found"
    again = await auth.sign_in_with_password({"email": email, "password": PASSWORD})
    assert again.user is not None
    user = await auth.get_user()
    assert user is not None
    assert user.user.id == again.user.id == session.user.id
    assert user.user.identities is not None
    assert [identity.provider for identity in user.user.identities] == ["email"]


async def test_claims_are_read_with_the_published_key(
    auth: AsyncGoTrueClient, email: str, running_app: RunningApp
) -> None:
    session = await signed_up(auth, email)
    found = await auth.get_claims()
    assert found is not None
    claims: dict[str, Any] = dict(found["claims"])
    assert (claims["sub"], claims["email"], claims["aud"]) == (session.user.id, email, "authenticated")
    assert (claims["iss"], claims["role"]) == (f"{running_app.web}/auth/v1", "authenticated")
    assert found["headers"]["alg"] == "ES256"


async def test_a_session_is_refreshed_and_a_replay_ends_it(auth: AsyncGoTrueClient, email: str) -> None:
    first = await signed_up(auth, email)
    second = (await auth.refresh_session(first.refresh_token)).session
    assert second is not None
    assert second.refresh_token != first.refresh_token
    parent = (await auth.refresh_session(first.refresh_token)).session
    assert parent is not None
    assert parent.refresh_token == second.refresh_token
    third = (await auth.refresh_session(second.refresh_token)).session
    assert third is not None
    assert await refused(auth.refresh_session(first.refresh_token)) == "refresh_token_already_used"
    assert await refused(auth.refresh_session(third.refresh_token)) == "refresh_token_not_found"
    assert await refused(auth.refresh_session("x" * 43)) == "refresh_token_not_found"


async def test_a_person_changes_its_data_and_its_password(auth: AsyncGoTrueClient, email: str) -> None:
    await signed_up(auth, email)
    changed = await auth.update_user({"data": {"tz": "UTC"}})
    assert changed.user.user_metadata == {"name": "Ann", "tz": "UTC"}
    assert await refused(auth.update_user({"password": "another password"})) == "validation_failed"
    await auth.update_user({"password": "another password", "current_password": PASSWORD})
    assert await refused(auth.sign_in_with_password({"email": email, "password": PASSWORD})) == "invalid_credentials"
    await auth.sign_in_with_password({"email": email, "password": "another password"})


async def test_errors_have_the_codes_that_the_client_knows(auth: AsyncGoTrueClient, email: str) -> None:
    with pytest.raises(AuthWeakPasswordError) as weak:
        await auth.sign_up({"email": email, "password": "short"})
    assert weak.value.reasons == ["length"]
    await signed_up(auth, email)
    assert await refused(auth.sign_up({"email": email, "password": PASSWORD})) == "user_already_exists"
    for address, password in ((email, "wrong password"), ("nobody@example.com", PASSWORD)):
        code = await refused(auth.sign_in_with_password({"email": address, "password": password}))
        assert code == "invalid_credentials"
    assert await refused(auth.get_user("no token")) == "bad_jwt"


async def test_asking_for_links_tells_nothing(auth: AsyncGoTrueClient, email: str) -> None:
    await signed_up(auth, email)
    for address in (email, "nobody@example.com"):
        await auth.reset_password_for_email(address)
        await auth.resend({"type": "signup", "email": address})
    for kind in ("recovery", "signup"):
        answer = auth.verify_otp({"type": kind, "token_hash": "x" * 43})
        assert await refused(answer) == "otp_expired"


async def test_the_other_sessions_are_signed_out_by_their_scope(auth: AsyncGoTrueClient, email: str) -> None:
    phone = await signed_up(auth, email)
    await auth.sign_in_with_password({"email": email, "password": PASSWORD})
    await auth.sign_out({"scope": "others"})
    assert await refused(auth.get_user(phone.access_token)) == "session_not_found"
    assert await auth.get_user() is not None
