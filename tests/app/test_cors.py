"""Calls from pages of other origins: the configured ones alone, and without cookies."""

from collections.abc import AsyncIterator

import httpx
import pytest

from app import edge, server
from app.graphql import view
from app.settings import Settings, SettingsError
from resolvers.context import Parts
from tests.conftest import PUBLIC_URL, SECRET

APP, EVIL = "https://app.example.com", "https://evil.example"
ASKED = "authorization, apikey, content-type, x-client-info, x-supabase-api-version"


@pytest.fixture
async def http(parts: Parts) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings.from_env({"PUBLIC_URL": PUBLIC_URL, "SECRET_KEY": SECRET, "CORS_ORIGINS": f"{APP}, http://x:3"})
    transport = httpx.ASGITransport(server.create_app(parts, settings))
    async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL) as client:
        yield client


async def preflight(http: httpx.AsyncClient, path: str, origin: str, method: str = "POST") -> httpx.Response:
    headers = {"origin": origin, "access-control-request-method": method, "access-control-request-headers": ASKED}
    return await http.options(path, headers=headers)


@pytest.mark.parametrize("path", ["/auth/v1/token?grant_type=password", "/auth/v1/user", "/graphql"])
async def test_a_configured_origin_is_granted_what_the_clients_send(http: httpx.AsyncClient, path: str) -> None:
    for method in ("GET", "POST", "PUT"):
        answer = await preflight(http, path, APP, method)
        assert answer.status_code == 200, answer.text
        assert answer.headers["access-control-allow-origin"] == APP
        granted = {name.strip().lower() for name in answer.headers["access-control-allow-headers"].split(",")}
        assert set(ASKED.split(", ")) <= granted
        assert "access-control-allow-credentials" not in answer.headers
        assert "Origin" in answer.headers["vary"]


async def test_a_page_may_send_every_header_that_guards_an_upload(http: httpx.AsyncClient) -> None:
    for guard in view.PREFLIGHT_HEADERS:
        headers = {"origin": APP, "access-control-request-method": "POST", "access-control-request-headers": guard}
        answer = await http.options("/graphql", headers=headers)
        assert answer.status_code == 200, (guard, answer.text)


async def test_a_page_reads_what_is_refused_before_the_application(http: httpx.AsyncClient) -> None:
    too_much = b" " * (edge.JSON_BYTES_MAX + 1)
    for content, headers, status in (
        (too_much, {"content-type": "application/json"}, 413),
        (b"{}", {"content-type": "application/json", "content-encoding": "gzip"}, 415),
    ):
        answer = await http.post("/graphql", content=content, headers={"origin": APP, **headers})
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == APP
        assert answer.headers["x-request-id"] == answer.json()["errors"][0]["extensions"]["requestId"]


async def test_another_origin_is_granted_nothing(http: httpx.AsyncClient) -> None:
    for origin in (EVIL, "null", f"{APP}.evil.example", "https://app.example.com:444"):
        refused = await preflight(http, "/auth/v1/user", origin)
        assert refused.status_code == 400
        assert "access-control-allow-origin" not in refused.headers
        answer = await http.get("/auth/v1/settings", headers={"origin": origin})
        assert "access-control-allow-origin" not in answer.headers


async def test_the_code_of_an_error_is_readable_across_origins(http: httpx.AsyncClient) -> None:
    headers = {"origin": APP, "x-supabase-api-version": "2024-01-01"}
    answer = await http.get("/auth/v1/user", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["access-control-allow-origin"] == APP
    assert "x-supabase-api-version" in answer.headers["access-control-expose-headers"]
    assert answer.headers["x-supabase-api-version"] == "2024-01-01"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_without_configured_origins_there_is_no_cors(parts: Parts) -> None:
    settings = Settings.from_env({"PUBLIC_URL": PUBLIC_URL, "SECRET_KEY": SECRET})
    transport = httpx.ASGITransport(server.create_app(parts, settings))
    async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL) as client:
        answer = await client.get("/auth/v1/settings", headers={"origin": APP})
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("value", ["*", "null", "app.example.com", "https://app.example.com/path", "https://*.test"])
def test_what_is_no_origin_is_refused_at_the_start(value: str) -> None:
    with pytest.raises(SettingsError, match="CORS_ORIGINS"):
        Settings.from_env({"CORS_ORIGINS": value})
