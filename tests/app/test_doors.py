"""Forged, spent and expired tokens at every door: GraphQL by POST, GET, events, upload and WebSocket, and /auth/v1."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from app import server
from app.settings import Settings
from db.models import Account
from resolvers.context import Parts
from services.signing import SigningKeys
from tests import factories
from tests.conftest import PUBLIC_URL, SECRET, token
from tests.edge import small
from tests.services.test_session_tokens import ATTACKS, ISSUER

QUERY = "{ viewer { email } }"
PROGRESS = "subscription($id: ID!) { taskProgress(taskId: $id) { task { status } } }"
LIFETIME = timedelta(seconds=2)


@pytest.fixture
async def http(parts: Parts) -> AsyncIterator[httpx.AsyncClient]:
    """The service on a socket."""
    app = server.create_app(parts, Settings.from_env({"PUBLIC_URL": PUBLIC_URL, "SECRET_KEY": SECRET}))
    async with AsyncExitStack() as opened:
        url = (await opened.enter_async_context(small.serving(app))).removesuffix("/graphql")
        yield await opened.enter_async_context(httpx.AsyncClient(base_url=url, timeout=20, trust_env=False))


def socket_of(http: httpx.AsyncClient) -> connect:
    url = str(http.base_url.join("/graphql")).replace("http", "ws", 1)
    return connect(url, subprotocols=[Subprotocol("graphql-transport-ws")], proxy=None)


async def refused(answer: httpx.Response) -> None:
    assert answer.status_code == 401, answer.text
    assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def by_post(http: httpx.AsyncClient, credential: str) -> None:
    headers = {"authorization": f"Bearer {credential}"}
    await refused(await http.post("/graphql", json={"query": QUERY}, headers=headers))


async def by_get(http: httpx.AsyncClient, credential: str) -> None:
    headers = {"authorization": f"Bearer {credential}"}
    await refused(await http.get("/graphql", params={"query": QUERY}, headers=headers))


async def by_key_header(http: httpx.AsyncClient, credential: str) -> None:
    await refused(await http.post("/graphql", json={"query": QUERY}, headers={"x-api-key": credential}))


async def by_events(http: httpx.AsyncClient, credential: str) -> None:
    headers = {"authorization": f"Bearer {credential}", "accept": "text/event-stream"}
    await refused(await http.post("/graphql", json={"query": PROGRESS, "variables": {"id": "x"}}, headers=headers))


async def by_upload(http: httpx.AsyncClient, credential: str) -> None:
    query = "mutation($input: UploadTaskFileInput!) { uploadTaskFile(input: $input) { task { id } } }"
    operations = {"query": query, "variables": {"input": {"file": None}}}
    answer = await http.post(
        "/graphql",
        data={"operations": json.dumps(operations), "map": json.dumps({"0": ["variables.input.file"]})},
        files={"0": ("a.csv", b"a@b.test\n", "text/csv")},
        headers={"authorization": f"Bearer {credential}"},
    )
    await refused(answer)


async def by_auth(http: httpx.AsyncClient, credential: str) -> None:
    answer = await http.get("/auth/v1/user", headers={"authorization": f"Bearer {credential}"})
    assert (answer.status_code, answer.json()["error_code"]) == (403, "bad_jwt")


async def by_socket(http: httpx.AsyncClient, credential: str) -> None:
    async with socket_of(http) as socket:
        payload = {"authorization": f"Bearer {credential}"}
        await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(socket.recv(), 5)
        assert socket.close_code == 4403


DOORS: tuple[Callable[[httpx.AsyncClient, str], Awaitable[None]], ...] = (
    by_post,
    by_get,
    by_key_header,
    by_events,
    by_upload,
    by_auth,
    by_socket,
)


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__.removeprefix("by_"))
async def test_security_17_no_forged_token_opens_a_door(
    http: httpx.AsyncClient, parts: Parts, raw: Any, door: Callable[[httpx.AsyncClient, str], Awaitable[None]]
) -> None:
    keys = parts.credentials.tokens._keys
    assert isinstance(keys, SigningKeys)
    await keys.prepare()
    assert parts.credentials.tokens._issuer == ISSUER
    for name, attack in ATTACKS.items():
        try:
            await door(http, attack(keys))
        except AssertionError as error:
            pytest.fail(f"{name}: {error}")
    assert await raw("SELECT count(*) FROM task") == [(0,)]


async def test_security_17_a_download_takes_no_token_for_its_link(
    http: httpx.AsyncClient, parts: Parts, account: Account
) -> None:
    for credential in (token(parts, account), "x", "x" * 5000, "%00", "é"):
        answer = await http.get(f"/downloads/{credential}")
        assert answer.status_code == 404, answer.text


async def subscribed(socket: ClientConnection, parts: Parts, account: Account) -> None:
    task = await factories.task(parts, account)
    credential = token(parts, account, LIFETIME)
    await socket.send(json.dumps({"type": "connection_init", "payload": {"authorization": f"Bearer {credential}"}}))
    assert json.loads(await socket.recv())["type"] == "connection_ack"
    payload = {"query": PROGRESS, "variables": {"id": task.global_id}}
    await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
    assert json.loads(await socket.recv())["type"] == "next"


async def test_security_21_a_token_that_expires_closes_its_socket_and_no_event_follows(
    http: httpx.AsyncClient, parts: Parts, account: Account, raw: Any
) -> None:
    async with socket_of(http) as socket:
        await subscribed(socket, parts, account)
        ends = time.time() + LIFETIME.total_seconds()
        heard_at: list[float] = []
        with contextlib.suppress(ConnectionClosed):
            while True:  # something changes all the time
                await raw("UPDATE task SET completed_count = completed_count + 1 RETURNING 1")
                parts.hub.hear(None)
                await asyncio.wait_for(socket.recv(), 5)
                heard_at.append(time.time())
        assert socket.close_code == 4403
        assert ends - 2 < time.time() < ends + 1  # `exp` is in whole seconds
        assert max(heard_at, default=0) < ends


async def test_security_21_a_token_that_expires_ends_its_event_stream(
    http: httpx.AsyncClient, parts: Parts, account: Account
) -> None:
    task = await factories.task(parts, account)
    headers = {"authorization": f"Bearer {token(parts, account, LIFETIME)}", "accept": "text/event-stream"}
    body = {"query": PROGRESS, "variables": {"id": task.global_id}}
    async with http.stream("POST", "/graphql", json=body, headers=headers) as answer:
        events = [line async for line in answer.aiter_lines() if line.startswith(("event", "data"))]
    assert "UNAUTHENTICATED" in events[-3]
    assert events[-2] == "event: complete"


async def test_security_20_a_replayed_refresh_token_ends_the_session_for_every_door(http: httpx.AsyncClient) -> None:
    email = f"ann{datetime.now(UTC).timestamp()}@example.com"
    made = await http.post("/auth/v1/signup", json={"email": email, "password": "correct horse battery"})
    first = made.json()["refresh_token"]

    async def refresh(credential: str) -> httpx.Response:
        return await http.post("/auth/v1/token?grant_type=refresh_token", json={"refresh_token": credential})

    second = (await refresh(first)).json()
    assert (await refresh(first)).json()["refresh_token"] == second["refresh_token"]
    third = (await refresh(second["refresh_token"])).json()
    assert (await refresh(first)).json()["error_code"] == "refresh_token_already_used"
    await by_post(http, third["access_token"])
    await by_socket(http, third["access_token"])
    query = "mutation($token: String!) { refreshSession(input: {refreshToken: $token}) { userErrors { code } } }"
    answer = await http.post("/graphql", json={"query": query, "variables": {"token": third["refresh_token"]}})
    assert answer.json()["data"]["refreshSession"]["userErrors"] == [{"code": "INVALID_CREDENTIALS"}]
