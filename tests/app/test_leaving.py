"""Clients that leave, or send too much, while they send a body: no fault of the service, and none in its log."""

import asyncio
import dataclasses
import logging
import urllib.parse
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send
from structlog.testing import capture_logs

from app import payment_routes, server
from app.settings import Settings
from resolvers.context import Parts
from services.payments.mock import MockPayments
from tests.conftest import PUBLIC_URL, SECRET
from tests.edge import small

FORM = "multipart/form-data; boundary=x"
DOORS = [
    ("/graphql", "application/json", b'{"query":'),
    ("/graphql", FORM, b'--x\r\ncontent-disposition: form-data; name="operations"\r\n\r\n{'),
    ("/auth/v1/token?grant_type=password", "application/json", b'{"email":'),
    (payment_routes.WEBHOOK_PATH, "application/json", b'{"id":'),
]
"""Each way that a body comes in, and the beginning of one."""


@dataclass
class Watched:
    """An application on a socket, and what its server is told of each request."""

    app: ASGIApp
    url: str = ""
    ended: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        finally:
            self.ended.set()

    async def receives(self, path: str, *lines: str, body: bytes) -> None:
        """Send a part of a request, leave, and wait until the server is through with it."""
        where = urllib.parse.urlsplit(self.url)
        _, writer = await asyncio.open_connection(where.hostname, where.port)
        writer.write("\r\n".join((f"POST {path} HTTP/1.1", "host: x", "x-csrf-guard: 1", *lines, "", "")).encode())
        writer.write(body)
        await writer.drain()
        writer.close()
        async with asyncio.timeout(10):
            await self.ended.wait()


@pytest.fixture
async def watched(parts: Parts) -> AsyncIterator[Watched]:
    payments = MockPayments(SECRET, PUBLIC_URL, f"{PUBLIC_URL}{payment_routes.WEBHOOK_PATH}")
    settings = Settings.from_env({"PUBLIC_URL": PUBLIC_URL, "SECRET_KEY": SECRET})
    watched = Watched(server.create_app(dataclasses.replace(parts, payments=payments), settings))
    async with small.serving(watched) as watched.url:
        yield watched
    await payments.aclose()


@pytest.mark.parametrize(("path", "kind", "beginning"), DOORS)
async def test_a_client_that_leaves_within_its_body_is_no_fault(
    path: str, kind: str, beginning: bytes, watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    with capture_logs() as logged, caplog.at_level(logging.WARNING):
        await watched.receives(path, f"content-type: {kind}", "content-length: 100", body=beginning)
    assert [line["event"] for line in logged if line["log_level"] == "error"] == []
    assert caplog.messages == []


@pytest.mark.parametrize(("path", "kind", "beginning"), DOORS[:2])
async def test_a_body_that_turns_out_too_long_is_no_fault(
    path: str, kind: str, beginning: bytes, watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    chunk = beginning + b" " * 1_200_000
    body = b"%x\r\n%s\r\n" % (len(chunk), chunk)
    with capture_logs() as logged, caplog.at_level(logging.WARNING):
        await watched.receives(path, f"content-type: {kind}", "transfer-encoding: chunked", body=body)
    assert [line["event"] for line in logged if line["log_level"] == "error"] == []
    assert caplog.messages == []
