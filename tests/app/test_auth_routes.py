"""/auth/v1 as HTTP: the shapes of errors, bounded bodies, and what clients may keep."""

import asyncio
import dataclasses
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app import server
from app.settings import Settings
from resolvers.context import Parts
from services.device import Device
from services.identity.local import LocalIdentity
from services.sealing import Box
from services.signing import SigningKeys
from tests import locks
from tests.conftest import PUBLIC_URL as WEB
from tests.conftest import SECRET
from tests.services.postbox import Postbox

EMAIL, PASSWORD = "ann@example.com", "correct horse battery"
KNOWN = {"email": EMAIL, "password": PASSWORD}
VERSION = {"x-supabase-api-version": "2024-01-01"}


async def post(http: httpx.AsyncClient, path: str, body: Any, **headers: str) -> httpx.Response:
    return await http.post(f"/auth/v1{path}", json=body, headers=headers)


async def signed_up(http: httpx.AsyncClient) -> dict[str, Any]:
    answer = await post(http, "/signup", {"email": EMAIL, "password": PASSWORD})
    assert answer.status_code == 200
    body: dict[str, Any] = answer.json()
    return body


async def test_an_error_has_the_shape_that_the_clients_version_reads(http: httpx.AsyncClient) -> None:
    body = {"email": EMAIL, "password": PASSWORD}
    old = await post(http, "/token?grant_type=password", body)
    assert (old.status_code, old.headers["x-sb-error-code"]) == (400, "invalid_credentials")
    assert old.json() == {"code": 400, "error_code": "invalid_credentials", "msg": "Invalid login credentials"}
    new = await http.post("/auth/v1/token?grant_type=password", json=body, headers=VERSION)
    assert new.json() == {"code": "invalid_credentials", "message": "Invalid login credentials"}
    assert new.headers["x-supabase-api-version"] == "2024-01-01"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "bad_json"),
        (b"[]", 400, "bad_json"),
        (b"\xff\xfe", 400, "bad_json"),
        (b"[" * 50_000, 400, "bad_json"),
        (b'{"email": 1}', 400, "bad_json"),
        (b'{"email": "a@b.test", "password": "12345679x", "data": []}', 200, None),
        (b'{"email": "a@b.test", "password": "12345679x", "data": [1]}', 400, "bad_json"),
        (b'{"email": "a@b.test", "password": "12345679x", "data": {"x": "\\u0000"}}', 422, "validation_failed"),
        (b'{"email": "a@b.test", "password": "\\ud800\\ud800\\ud800\\ud800\\ud800"}', 400, "bad_json"),
        (b'{"email": "a\\u0000@b.test", "password": "12345679x"}', 422, "validation_failed"),
        (b"", 422, "anonymous_provider_disabled"),
        (b"{}", 422, "anonymous_provider_disabled"),
        (b" " * 70_000, 413, "bad_json"),
        (b" " * 2_000_000, 413, None),
    ],
)
async def test_a_malformed_body_is_refused_with_a_reason(
    http: httpx.AsyncClient, body: bytes, status: int, code: str | None
) -> None:
    answer = await http.post("/auth/v1/signup", content=body)
    assert answer.status_code == status, answer.text
    if code is not None:
        assert answer.json()["error_code"] == code


async def test_a_route_for_people_needs_a_session(http: httpx.AsyncClient) -> None:
    for method, path in (("GET", "/user"), ("PUT", "/user"), ("POST", "/logout")):
        for headers, status, code in (
            ({}, 401, "no_authorization"),
            ({"authorization": "Basic eA=="}, 401, "no_authorization"),
            ({"authorization": "Bearer x"}, 403, "bad_jwt"),
            ({"authorization": "Bearer mv_live_x"}, 403, "bad_jwt"),
            ({"x-api-key": "mv_live_x"}, 401, "no_authorization"),
        ):
            answer = await http.request(method, f"/auth/v1{path}", headers=headers, json={})
            assert (answer.status_code, answer.json()["error_code"]) == (status, code), (path, headers)


async def test_an_api_key_is_no_session(http: httpx.AsyncClient) -> None:
    session = await signed_up(http)
    bearer = {"authorization": f"Bearer {session['access_token']}"}
    query = 'mutation { createApiKey(input: {name: "k", scopes: [TASKS_READ]}) { secret } }'
    made = await http.post("/graphql", json={"query": query}, headers=bearer)
    secret = made.json()["data"]["createApiKey"]["secret"]
    answer = await http.get("/auth/v1/user", headers={"authorization": f"Bearer {secret}"})
    assert (answer.status_code, answer.json()["error_code"]) == (403, "bad_jwt")


async def test_a_suspended_account_is_told_so_with_its_session(http: httpx.AsyncClient, raw: Any) -> None:
    session = await signed_up(http)
    await raw("UPDATE account SET suspended_at = now() RETURNING 1")
    answer = await http.get("/auth/v1/user", headers={"authorization": f"Bearer {session['access_token']}"})
    assert (answer.status_code, answer.json()["error_code"]) == (403, "user_banned")


async def test_tokens_are_kept_by_nobody_and_keys_for_ten_minutes(http: httpx.AsyncClient) -> None:
    answer = await post(http, "/signup", {"email": EMAIL, "password": PASSWORD})
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert (body["token_type"], body["expires_in"]) == ("bearer", 3600)
    keys = await http.get("/auth/v1/.well-known/jwks.json")
    assert keys.headers["cache-control"] == "public, max-age=600"
    assert [key["kty"] for key in keys.json()["keys"]] == ["EC"]
    assert "d" not in keys.json()["keys"][0]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"password": "short"}, "weak_password"),
        ({"password": 1}, "bad_json"),
        ({"password": "another password", "data": {"x": "y" * 20_000}}, "validation_failed"),
        ({"password": "another password", "data": [1]}, "bad_json"),
        ({"data": {"x": "y" * 20_000}}, "validation_failed"),
    ],
)
async def test_a_change_that_is_refused_in_part_is_not_done_in_part(
    http: httpx.AsyncClient, wrong: dict[str, Any], code: str
) -> None:
    bearer = {"authorization": f"Bearer {(await signed_up(http))['access_token']}"}
    body = {"current_password": PASSWORD, "email": "new@example.com", **wrong}
    answer = await http.put("/auth/v1/user", json=body, headers=bearer)
    assert (answer.status_code >= 400, answer.json()["error_code"]) == (True, code)
    assert (await http.get("/auth/v1/user", headers=bearer)).json()["email"] == EMAIL
    same = await post(http, "/token?grant_type=password", {"email": EMAIL, "password": PASSWORD})
    assert same.status_code == 200


async def test_address_password_and_data_are_changed_by_one_request(http: httpx.AsyncClient) -> None:
    bearer = {"authorization": f"Bearer {(await signed_up(http))['access_token']}"}
    new = {"email": "new@example.com", "password": "another password"}
    answer = await http.put(
        "/auth/v1/user", json={**new, "current_password": PASSWORD, "data": {"tz": "UTC"}}, headers=bearer
    )
    assert (answer.status_code, answer.json()["user_metadata"]) == (200, {"tz": "UTC"})
    assert (await post(http, "/token?grant_type=password", new)).status_code == 200


async def test_a_change_that_ends_in_its_middle_is_not_done_in_part(http: httpx.AsyncClient, parts: Parts) -> None:
    await signed_up(http)
    mine, other = [(await post(http, "/token?grant_type=password", KNOWN)).json() for _ in range(2)]
    bearer = {"authorization": f"Bearer {mine['access_token']}"}
    body = {"email": "new@example.com", "password": "another password", "data": {"tz": "UTC"}}
    async with parts.db.transaction() as session:
        row = text("SELECT 1 FROM auth_session ORDER BY created_at DESC LIMIT 1 FOR UPDATE")  # which it is to end
        await session.execute(row)
        changing = asyncio.create_task(
            http.put("/auth/v1/user", json={**body, "current_password": PASSWORD}, headers=bearer)
        )
        await locks.waited_for(parts.db, session)
        changing.cancel()
        await asyncio.wait((changing,))
    user = (await http.get("/auth/v1/user", headers=bearer)).json()
    assert (user["email"], user["user_metadata"]) == (EMAIL, {})
    assert (await post(http, "/token?grant_type=password", KNOWN)).status_code == 200
    assert (await post(http, "/token?grant_type=refresh_token", other)).status_code == 200


async def test_a_link_to_a_new_address_and_a_new_password_are_asked_for_one_by_one(parts: Parts) -> None:
    """The password would undo the link."""
    identity = LocalIdentity(
        parts.db, parts.credentials.tokens, SigningKeys(parts.db, Box(SECRET)), Postbox(), secret=SECRET, public_url=WEB
    )
    settings = Settings.from_env({"PUBLIC_URL": WEB, "SECRET_KEY": SECRET})
    confirming = httpx.ASGITransport(server.create_app(dataclasses.replace(parts, identity=identity), settings))
    async with httpx.AsyncClient(transport=confirming, base_url=WEB) as http:
        granted = await parts.identity.sign_up(EMAIL, PASSWORD, user_metadata={}, device=Device(), now=parts.now())
        assert granted is not None
        bearer = {"authorization": f"Bearer {granted.tokens.access_token}"}
        body = {"email": "new@example.com", "password": "another password", "current_password": PASSWORD}
        both = await http.put("/auth/v1/user", json=body, headers=bearer)
        assert (both.status_code, both.json()["error_code"]) == (422, "validation_failed")
        for name in ("email", "password"):
            one = {name: body[name], "current_password": PASSWORD}
            assert (await http.put("/auth/v1/user", json=one, headers=bearer)).status_code == 200
    await identity.aclose()


async def test_the_link_of_a_letter_leads_to_the_page_and_spends_nothing(http: httpx.AsyncClient) -> None:
    answer = await http.get(
        "/auth/v1/verify", params={"type": "recovery", "token": "a&b", "redirect_to": "//evil.test"}
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "http://service.test/reset-password?token=a%26b")
    wrong = await http.get("/auth/v1/verify", params={"type": "magiclink", "token": "x"})
    assert (wrong.status_code, wrong.json()["error_code"]) == (400, "validation_failed")


async def test_what_is_not_supported_is_said(http: httpx.AsyncClient) -> None:
    session = await signed_up(http)
    bearer = {"authorization": f"Bearer {session['access_token']}"}
    for method, path, body, status in (
        ("POST", "/token?grant_type=pkce", {}, 400),
        ("POST", "/token", {}, 400),
        ("POST", "/resend", {"type": "sms"}, 400),
        ("POST", "/verify", {"type": "sms", "token": "x"}, 400),
        ("PUT", "/user", {"email": "new@example.com"}, 400),
        ("PUT", "/user", {"phone": "123"}, 422),
        ("POST", "/logout?scope=all", {}, 400),
        ("POST", "/admin/users", {}, 404),
        ("DELETE", "/user", {}, 405),
    ):
        answer = await http.request(method, f"/auth/v1{path}", json=body, headers=bearer)
        assert answer.status_code == status, (path, answer.text)
    told = (await http.get("/auth/v1/settings")).json()
    assert (told["mailer_autoconfirm"], told["disable_signup"]) == (True, False)
    assert (await http.get("/auth/v1/health")).status_code == 200
