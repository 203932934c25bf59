"""Rates over HTTP: what an operation costs is taken before it runs, and whoever has too little left is told to wait."""

import dataclasses
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from app import server
from app.graphql.view import FILE_POINTS
from app.settings import Settings
from db.models import Account, ApiKeyScope
from resolvers.context import Parts
from services import keys
from services.rates import Meter
from tests import factories
from tests.client import Client
from tests.conftest import PUBLIC_URL, SECRET, token
from tests.edge import small

Serving = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]
RATE = "{ rateLimit { limit remaining cost resetAt } }"
TEN = "{ tasks(first: 10) { totalCount nodes { id } } }"


@pytest.fixture
def serving(parts: Parts) -> Serving:
    """Give `serving(points=…, points_signed_out=…)`: the application with these limits, from a chosen address."""

    @asynccontextmanager
    async def start(
        address: str = "192.0.2.1", *, points: int = 1000, points_signed_out: int = 1000
    ) -> AsyncIterator[httpx.AsyncClient]:
        settings = Settings.from_env({"PUBLIC_URL": PUBLIC_URL, "SECRET_KEY": SECRET})
        meter = Meter(points=points, points_signed_out=points_signed_out)
        app = server.create_app(dataclasses.replace(parts, meter=meter), settings)
        transport = httpx.ASGITransport(app, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL) as client:
            yield client

    return start


async def test_what_is_left_stands_in_the_schema_and_in_the_extensions(
    serving: Serving, parts: Parts, account: Account
) -> None:
    async with serving(points=100) as http:
        client = Client(http, token(parts, account))
        first = (await client.post(RATE)).json()
        told = first["data"]["rateLimit"]
        assert told == first["extensions"]["rateLimit"] | {"resetAt": told["resetAt"]}
        assert (told["limit"], told["remaining"], told["cost"]) == (100, 99, 1)
        reset_at = datetime.fromisoformat(told["resetAt"])
        assert timedelta(seconds=50) < reset_at - datetime.now(UTC) <= timedelta(seconds=60)
        second = (await client.post(TEN)).json()["extensions"]
        assert second["rateLimit"]["cost"] == second["cost"]["requested"] > 10
        assert second["rateLimit"]["remaining"] == 99 - second["rateLimit"]["cost"]


async def test_who_has_too_little_left_is_refused_before_anything_runs(
    serving: Serving, parts: Parts, account: Account, statements: Any
) -> None:
    async with serving(points=2) as http:
        client = Client(http, token(parts, account))
        await client.ask(RATE)
        with statements.counted() as seen:
            answer = await client.post(TEN)
        assert answer.status_code == 429
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        (error,) = answer.json()["errors"]
        assert error["extensions"]["code"] == "RATE_LIMITED"
        assert len(seen) == 1  # who asks
        assert [text for text in seen if "task" in text] == []


async def test_keys_accounts_and_networks_spend_each_for_themselves(
    serving: Serving, parts: Parts, account: Account
) -> None:
    _, secret = await keys.create(
        parts.db, SECRET, account_id=account.id, name="key", scopes=[ApiKeyScope.TASKS_READ], now=datetime.now(UTC)
    )
    other = await factories.account(parts.db, "other@example.com")
    async with serving(points=1, points_signed_out=1) as http:
        for credential in (token(parts, account), token(parts, other), secret, None):
            client = Client(http, credential)
            assert (await client.post(RATE)).status_code == 200
            assert (await client.post(RATE)).status_code == 429


async def test_one_site_is_one_network_however_many_addresses_it_has(serving: Serving) -> None:
    async with serving("2001:db8:1:2::1", points_signed_out=1) as http:
        assert (await Client(http).post(RATE)).status_code == 200
        app = http._transport
        assert isinstance(app, httpx.ASGITransport)
        for address, status in (("2001:db8:1:2:ffff::9", 429), ("2001:db8:1:3::1", 200), ("192.0.2.9", 200)):
            transport = httpx.ASGITransport(app.app, client=(address, 1))
            async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL) as from_there:
                assert (await Client(from_there).post(RATE)).status_code == status, address


async def test_who_tries_credentials_pays_with_its_network(serving: Serving) -> None:
    async with serving(points_signed_out=2) as http:
        client = Client(http, "mv_live_" + "0" * 46)
        assert [(await client.post(RATE)).status_code for _ in range(3)] == [401, 401, 429]


async def test_a_file_costs_before_it_is_read(serving: Serving, parts: Parts, account: Account) -> None:
    async with serving(points=FILE_POINTS - 1) as http:
        headers = {
            "authorization": f"Bearer {token(parts, account)}",
            "content-type": "multipart/form-data; boundary=x",
        }
        answer = await http.post("/graphql", content=b"no form at all", headers=headers)
        assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (429, "RATE_LIMITED")


async def test_downloads_and_sessions_cost_too(serving: Serving) -> None:
    async with serving(points_signed_out=1) as http:
        answer = await http.get("/downloads/x")
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "RATE_LIMITED")
        assert int(answer.headers["retry-after"]) >= 1
        refused = await http.post("/auth/v1/token?grant_type=password", json={"email": "a@b.test", "password": "x"})
        assert (refused.status_code, refused.json()["error_code"]) == (429, "over_request_rate_limit")
        assert int(refused.headers["retry-after"]) >= 1


async def test_an_event_stream_is_refused_like_a_query(serving: Serving, parts: Parts, account: Account) -> None:
    async with serving(points=1) as http:
        headers = {"authorization": f"Bearer {token(parts, account)}", "accept": "text/event-stream"}
        query = 'subscription { taskProgress(taskId: "x") { occurredAt } }'
        for status in (200, 429):
            answer = await http.post("/graphql", json={"query": query}, headers=headers)
            assert answer.status_code == status, answer.text


async def test_an_operation_on_a_websocket_is_refused_alone(parts: Parts, account: Account) -> None:
    limited = dataclasses.replace(parts, meter=Meter(points=3))
    app = server.create_app(limited, Settings.from_env({"PUBLIC_URL": PUBLIC_URL, "SECRET_KEY": SECRET}))
    async with (
        small.serving(app) as url,
        connect(url.replace("http", "ws"), subprotocols=[Subprotocol("graphql-transport-ws")]) as ws,
    ):
        payload = {"authorization": f"Bearer {token(parts, account)}"}
        await ws.send(json.dumps({"type": "connection_init", "payload": payload}))
        assert json.loads(await ws.recv())["type"] == "connection_ack"
        found = []
        for number in range(3):
            await ws.send(json.dumps({"id": str(number), "type": "subscribe", "payload": {"query": RATE}}))
            message = json.loads(await ws.recv())
            found.append(message["type"])
            if message["type"] == "next":
                assert message["payload"]["data"]["rateLimit"]["remaining"] == 1 - number
                assert json.loads(await ws.recv())["type"] == "complete"
            else:
                assert message["payload"][0]["extensions"]["code"] == "RATE_LIMITED"
        assert found == ["next", "next", "error"]
        await ws.send(json.dumps({"type": "ping"}))
        assert json.loads(await ws.recv())["type"] == "pong"


async def test_security_30_who_guesses_is_told_by_graphql_how_long_to_wait(serving: Serving) -> None:
    sign_in = 'mutation { signIn(input: {email: "ann@example.com", password: "wrong"}) { userErrors { code } } }'
    async with serving("198.51.100.66") as http:
        answers = [(await Client(http).post(sign_in)).json() for _ in range(8)]
    assert answers[0]["data"]["signIn"]["userErrors"] == [{"code": "INVALID_CREDENTIALS"}]
    (error,) = answers[-1]["errors"]
    assert error["extensions"]["code"] == "RATE_LIMITED"
    assert error["extensions"]["retryAfterSeconds"] >= 1


async def test_a_leaked_password_is_a_user_error_and_a_reason_of_supabase(serving: Serving) -> None:
    sign_up = """mutation { signUp(input: {email: "ann@example.com", password: "Password123"}) {
      user { email } userErrors { code field message } } }"""
    async with serving() as http:
        (error,) = (await Client(http).ask(sign_up))["signUp"]["userErrors"]
        assert (error["code"], error["field"]) == ("INVALID", ["input", "password"])
        assert "leaks" in error["message"]
        answer = await http.post("/auth/v1/signup", json={"email": "ann@example.com", "password": "Password123"})
        assert (answer.status_code, answer.json()["weak_password"]) == (422, {"reasons": ["pwned"]})
