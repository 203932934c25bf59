"""A session over the wire: its WebSocket is closed soon after it was signed out."""

import asyncio
import json
import time
import uuid
from typing import Any

import httpx
from websockets.asyncio.client import connect

from conftest import RunningApp
from tests.client import Client

SIGN_UP = """mutation($email: String!) { signUp(input: {email: $email, password: "correct horse battery"}) {
  tokens { accessToken } userErrors { code } } }"""
SIGN_OUT = "mutation { signOut(input: {}) { endedSessionCount } }"
CREATE = 'mutation { createTask(input: {emails: ["slow@greylist.mailverdict.test"]}) { task { id } } }'
PROGRESS = "subscription($id: ID!) { taskProgress(taskId: $id) { occurredAt } }"
CLOSED_SECONDS = 10.0


async def test_security_19_the_websocket_of_a_signed_out_session_is_closed_with_4403(running_app: RunningApp) -> None:
    async with httpx.AsyncClient(base_url=running_app.web, timeout=30) as http:
        made = await Client(http).ask(SIGN_UP, email=f"{uuid.uuid4().hex}@example.com")
        client = Client(http, made["signUp"]["tokens"]["accessToken"])
        task = (await client.ask(CREATE))["createTask"]["task"]
        url = running_app.graphql.replace("http", "ws", 1)
        async with connect(url, subprotocols=["graphql-transport-ws"]) as socket:  # type: ignore[list-item]
            payload: dict[str, Any] = {"authorization": f"Bearer {client.credential}"}
            await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
            assert json.loads(await socket.recv())["type"] == "connection_ack"
            subscribe = {"query": PROGRESS, "variables": {"id": task["id"]}}
            await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": subscribe}))
            assert json.loads(await socket.recv())["type"] == "next"
            assert (await client.ask(SIGN_OUT))["signOut"] == {"endedSessionCount": 1}
            began = time.monotonic()
            async with asyncio.timeout(CLOSED_SECONDS + 2):
                await socket.wait_closed()
            assert socket.close_code == 4403
            assert time.monotonic() - began < CLOSED_SECONDS
