"""A customer's receiver of webhooks: it keeps what it is sent, and answers as it is told."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import orjson
from standardwebhooks import Webhook
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app import serving


@dataclass
class Message:
    """One request, as it came."""

    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def content(self) -> Any:
        return orjson.loads(self.body)

    def verify(self, secret: str) -> None:
        """Check the signature as customers do, with the official library; it raises where the check fails."""
        Webhook(secret).verify(self.body, self.headers)


@dataclass
class Receiver:
    """The state of the receiver, which a test reads and changes."""

    url: str = ""
    messages: list[Message] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    """What the next requests are answered with; 204 when none is left."""
    answer_headers: dict[str, str] = field(default_factory=dict)
    hang_seconds: float = 0.0
    redirects_to: str = ""

    async def take(self, request: Request) -> Response:
        self.messages.append(Message(dict(request.headers), await request.body()))
        await asyncio.sleep(self.hang_seconds)
        if self.redirects_to:
            return Response(status_code=302, headers={"Location": self.redirects_to})
        return Response(status_code=self.statuses.pop(0) if self.statuses else 204, headers=self.answer_headers)


@contextlib.asynccontextmanager
async def running(address: str = "127.0.0.1") -> AsyncIterator[Receiver]:
    """A receiver that answers until the block ends."""
    receiver = Receiver()
    listener = serving.bind(address, 0)
    receiver.url = f"http://{address}:{listener.getsockname()[1]}/hook"
    app = Starlette(routes=[Route("/hook", receiver.take, methods=["POST"])])
    api = serving.Api(app, listener)
    await api.wait_ready()
    try:
        yield receiver
    finally:
        await api.stop()
        listener.close()
