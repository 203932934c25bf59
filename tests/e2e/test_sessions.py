"""A session over the wire: its WebSocket is closed soon after it was signed out, or its account suspended."""

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from app import devdb
from conftest import RunningApp
from db.models import UserRole
from db.session import Database
from services import administration
from tests.client import Client

SIGN_UP = """mutation($email: String!) { signUp(input: {email: $email, password: "correct horse battery"}) {
  user { id email } tokens { accessToken } userErrors { code } } }"""
SIGN_OUT = "mutation { signOut(input: {}) { endedSessionCount } }"
SUSPEND = """mutation($id: ID!) { suspendUser(input: {userId: $id, reason: "test"}) {
  user { suspendedAt } userErrors { code } } }"""
CREATE = 'mutation { createTask(input: {emails: ["slow@greylist.mailverdict.test"]}) { task { id } } }'
PROGRESS = "subscription($id: ID!) { taskProgress(taskId: $id) { occurredAt } }"
PROTOCOL = Subprotocol("graphql-transport-ws")
CLOSED_SECONDS = 10.0


async def signed_up(http: httpx.AsyncClient) -> tuple[Client, Any]:
    """Somebody new with a session, and who that is."""
    made = (await Client(http).ask(SIGN_UP, email=f"{uuid.uuid4().hex}@example.com"))["signUp"]
    return Client(http, made["tokens"]["accessToken"]), made["user"]


@contextlib.asynccontextmanager
async def following(app: RunningApp, client: Client) -> AsyncIterator[ClientConnection]:
    """A WebSocket on which somebody follows a task of its own."""
    task = (await client.ask(CREATE))["createTask"]["task"]
    url = app.graphql.replace("http", "ws", 1)
    async with connect(url, subprotocols=[PROTOCOL]) as socket:
        payload: dict[str, Any] = {"authorization": f"Bearer {client.credential}"}
        await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
        assert json.loads(await socket.recv())["type"] == "connection_ack"
        subscribe = {"query": PROGRESS, "variables": {"id": task["id"]}}
        await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": subscribe}))
        assert json.loads(await socket.recv())["type"] == "next"
        yield socket


async def test_security_19_the_websocket_of_a_session_that_has_ended_is_closed_with_4403(
    running_app: RunningApp,
) -> None:
    """One is signed out, the account of another is suspended."""
    database_url = devdb.running_url(running_app.data_dir)
    assert database_url is not None
    async with httpx.AsyncClient(base_url=running_app.web, timeout=30) as http:
        (ann, _), (bob, bob_is), (chief, chief_is) = [await signed_up(http) for _ in range(3)]
        db = await Database.open(database_url, pool_size=1)
        await administration.set_role_by_operator(db, chief_is["email"], UserRole.ADMIN, datetime.now(UTC))
        await db.close()
        async with following(running_app, ann) as anns, following(running_app, bob) as bobs:
            assert (await ann.ask(SIGN_OUT))["signOut"] == {"endedSessionCount": 1}
            assert (await chief.ask(SUSPEND, id=bob_is["id"]))["suspendUser"]["userErrors"] == []
            began = time.monotonic()
            async with asyncio.timeout(CLOSED_SECONDS + 2):
                await asyncio.gather(anns.wait_closed(), bobs.wait_closed())
            assert (anns.close_code, bobs.close_code) == (4403, 4403)
            assert time.monotonic() - began < CLOSED_SECONDS
