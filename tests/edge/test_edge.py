"""The outermost layer: caps on bodies, with answers that arrive; ids; headers that the application leaves out."""

import asyncio
import json
import urllib.parse
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Message, Receive, Scope, Send

from app import edge
from app.graphql import body
from tests.edge import small
from tests.edge.test_websocket import opened


async def exchange(url: str, *pieces: bytes, pause_seconds: float = 0) -> tuple[int, dict[str, str], bytes]:
    """Send bytes as they are and read the answer until the server closes or the body is whole."""
    where = urllib.parse.urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    async with asyncio.timeout(10):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_seconds)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        content = await reader.readexactly(int(headers.get("content-length", "0")))
    writer.close()
    return int(head[0].split()[1]), headers, content


def head(*lines: str) -> bytes:
    fixed = ("POST /graphql HTTP/1.1", "host: 127.0.0.1", "content-type: application/json")
    return "\r\n".join((*fixed, *lines, "", "")).encode()


async def test_a_client_that_sends_a_long_body_reads_the_413(url: str) -> None:
    status, headers, content = await exchange(url, head("content-length: 5000000"), *[b"x" * 500_000] * 10)
    assert (status, headers["connection"]) == (413, "close")
    assert json.loads(content)["errors"][0]["extensions"]["code"] == "PAYLOAD_TOO_LARGE"


async def test_a_client_that_waits_for_100_is_told_at_once(url: str) -> None:
    status, _, _ = await exchange(url, head("content-length: 5000000", "expect: 100-continue"))
    assert status == 413


async def test_a_body_that_does_not_come_is_408(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "JSON_SECONDS_MAX", 0.1)
    status, _, content = await exchange(url, head("content-length: 100"), b'{"query":')
    assert status == 408
    assert json.loads(content)["errors"][0]["extensions"]["code"] == "REQUEST_TIMEOUT"


async def test_of_two_content_types_the_one_that_is_read_counts(url: str) -> None:
    lines = ("content-type: multipart/form-data; boundary=x", "authorization: Bearer good", "content-length: 1100000")
    status, _, _ = await exchange(url, head(*lines), b'{"query": "{ hello }"}' + b" " * (1_100_000 - 22))
    assert status == 413


async def test_a_length_that_is_no_number_is_400() -> None:
    status, _ = await answered(b"12x")
    assert status == 400


async def test_a_length_of_thousands_of_digits_is_413() -> None:
    status, _ = await answered(b"9" * 5000)
    assert status == 413


async def answered(length: bytes) -> tuple[int, bytes]:
    """Ask the layer without a server, for lengths that a server would refuse itself."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    layer = edge.Edge(Response("never"), upload_bytes_max=1, upload_path="/graphql")
    scope = {"type": "http", "path": "/", "headers": [(b"content-length", length)]}
    await layer(scope, receive, send)
    return sent[0]["status"], sent[1]["body"]


async def test_an_application_that_swallows_the_cap_is_answered_for() -> None:
    async def swallowing(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await Request(scope, receive).body()
        except Exception:  # noqa: BLE001 - that is the point
            await Response("fault", 500)(scope, receive, send)

    async with (
        small.serving(edge.Edge(swallowing, upload_bytes_max=1, upload_path="/up")) as url,
        httpx.AsyncClient(trust_env=False) as client,
    ):

        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(4):
                yield b"x" * 500_000

        response = await client.post(url, content=chunks())
        assert response.status_code == 413


async def test_pages_keep_their_own_policy_and_get_no_policy_for_data() -> None:
    async def page(scope: Scope, receive: Receive, send: Send) -> None:
        await HTMLResponse("<p>")(scope, receive, send)

    async with (
        small.serving(edge.Edge(page, upload_bytes_max=1, upload_path="/up", is_https=True)) as url,
        httpx.AsyncClient(trust_env=False) as client,
    ):
        headers = (await client.get(url)).headers
        assert "content-security-policy" not in headers
        assert headers["strict-transport-security"] == "max-age=31536000"
        assert headers["x-content-type-options"] == "nosniff"


async def test_a_websocket_is_given_its_request_id(url: str) -> None:
    async with opened(url, headers={"x-request-id": "ws-1"}) as socket:
        assert socket.response is not None
        assert socket.response.headers["x-request-id"] == "ws-1"
