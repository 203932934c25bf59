"""The outermost layer of HTTP: request ids, body caps, security headers. Pure ASGI, so that streams stay streams."""

import asyncio
import contextlib
import dataclasses
import re
import secrets
from collections.abc import Mapping

import orjson
import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services import device

JSON_BYTES_MAX = 1024 * 1024
FORM_OVERHEAD_BYTES_MAX = 1024 * 1024  # what surrounds the file in a multipart body
LINGER_SECONDS_MAX = 10.0

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_TOO_LARGE = (413, "PAYLOAD_TOO_LARGE", "The request body is too large: at most {} bytes.")
_COMPRESSED = (415, "UNSUPPORTED_MEDIA_TYPE", "Compressed request bodies are not supported.")
_BAD_LENGTH = (400, "BAD_REQUEST", "Content-Length is not a number.")

SECURITY_HEADERS: Mapping[bytes, bytes] = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"x-frame-options": b"DENY",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
}
# For answers that are data: opened as a page they can do nothing. Pages set a policy of their own.
DATA_POLICY = b"default-src 'none'; frame-ancestors 'none'"
TRANSPORT_POLICY = b"max-age=31536000"  # RFC 6797


class _TooLarge(ClientDisconnect):
    """More bytes have come than the request may have: whoever reads them does as if the client had left."""


class Edge:
    """Wraps the whole application; takes a caller's X-Request-Id where it is well-formed, and echoes it.

    `upload_bytes_max` is the largest file: only multipart bodies that show credentials may be so long, all others have
    1 MiB. `is_https` is for a public URL under https.
    """

    def __init__(self, app: ASGIApp, *, upload_bytes_max: int, upload_path: str, is_https: bool = False) -> None:
        self._app = app
        self._upload_bytes_max = upload_bytes_max + FORM_OVERHEAD_BYTES_MAX
        self._upload_path = upload_path
        self._headers = list(SECURITY_HEADERS.items())
        if is_https:
            self._headers.append((b"strict-transport-security", TRANSPORT_POLICY))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request or a connection on, with its id bound to every log line of it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        # Of a header that comes twice the first counts, as for those who read the body: no other cap than theirs.
        headers = {name.lower(): value for name, value in reversed(scope["headers"])}
        given = headers.get(b"x-request-id", b"").decode("latin-1")
        chosen = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(16)
        request_id = scope.setdefault("state", {}).setdefault("request_id", chosen)
        agent = headers.get(b"user-agent", b"").decode("latin-1")
        client = scope.get("client")
        device.HERE.set(device.Device.seen(agent, client[0] if client else None))
        structlog.contextvars.bind_contextvars(request_id=request_id)  # for good: each has a task of its own
        if scope["type"] == "http":
            cap = self._cap(scope["path"], headers)
            await _Exchange(scope, receive, send, request_id, cap, self._headers).run(self._app, headers)
        else:
            await self._app(scope, receive, _with_request_id(send, request_id))

    def _cap(self, path: str, headers: Mapping[bytes, bytes]) -> int:
        is_form = headers.get(b"content-type", b"").lower().startswith(b"multipart/form-data")
        has_credentials = b"authorization" in headers or b"x-api-key" in headers
        return self._upload_bytes_max if path == self._upload_path and is_form and has_credentials else JSON_BYTES_MAX


@dataclasses.dataclass
class _Exchange:
    """One request and its answer."""

    scope: Scope
    receive: Receive
    send: Send
    request_id: str
    cap: int
    headers: list[tuple[bytes, bytes]]
    bytes_seen: int = 0
    has_ended: bool = False  # the last of the body was received
    is_over: bool = False
    has_started: bool = False  # the head of an answer was sent

    async def run(self, app: ASGIApp, request_headers: Mapping[bytes, bytes]) -> None:
        if request_headers.get(b"content-encoding", b"identity").lower() not in (b"identity", b""):
            await self._refuse(*_COMPRESSED)
            return
        length = request_headers.get(b"content-length", b"0")
        if not length.isdigit():
            await self._refuse(*_BAD_LENGTH)
            return
        if int(length[:20]) > self.cap:
            # A client that waits for "100 Continue" has not sent anything yet.
            await self._refuse(*_TOO_LARGE, is_lingering=b"expect" not in request_headers)
            return
        # Who leaves within a body is owed no answer, and is no fault of ours.
        with contextlib.suppress(ClientDisconnect):
            await app(self.scope, self._receive, self._send)
        if self.is_over and not self.has_started:
            await self._refuse(*_TOO_LARGE, is_lingering=True)

    async def _receive(self) -> Message:
        message = await self.receive()
        if message["type"] == "http.request":
            self.bytes_seen += len(message.get("body", b""))
            self.has_ended = not message.get("more_body", False)
            if self.bytes_seen > self.cap:
                self.is_over = True
                raise _TooLarge
        return message

    async def _send(self, message: Message) -> None:
        if self.is_over and not self.has_started:
            return  # the application makes a fault of our exception: the answer is 413 all the same
        await self._send_with_headers(message)

    async def _send_with_headers(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.has_started = True
            message = {**message, "headers": [*message.get("headers", ()), *self._extra(message)]}
        await self.send(message)

    def _extra(self, message: Message) -> list[tuple[bytes, bytes]]:
        present = {name.lower(): value for name, value in message.get("headers", ())}
        extra = [(name, value) for name, value in self.headers if name not in present]
        if b"content-security-policy" not in present and b"html" not in present.get(b"content-type", b""):
            extra.append((b"content-security-policy", DATA_POLICY))
        return [*extra, (b"x-request-id", self.request_id.encode())]

    async def _refuse(self, status: int, code: str, message: str, *, is_lingering: bool = False) -> None:
        if is_lingering:
            await self._linger()
        error = {"message": message.format(self.cap), "extensions": {"code": code, "requestId": self.request_id}}
        body = orjson.dumps({"errors": [error]})
        headers = [
            (b"content-type", b"application/json; charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
            (b"connection", b"close"),
        ]
        await self._send_with_headers({"type": "http.response.start", "status": status, "headers": headers})
        await self._send_with_headers({"type": "http.response.body", "body": body})

    async def _linger(self) -> None:
        """Read and drop what the client still sends, within limits: closed on at once, it would see a reset, no 413."""
        allowance = 2 * self.cap + 64 * JSON_BYTES_MAX
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS_MAX):
                while allowance > 0 and not self.has_ended:
                    message = await self.receive()
                    if message["type"] != "http.request":
                        return
                    allowance -= len(message.get("body", b""))
                    self.has_ended = not message.get("more_body", False)


def _with_request_id(send: Send, request_id: str) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "websocket.accept":
            message = {**message, "headers": [*message.get("headers", ()), (b"x-request-id", request_id.encode())]}
        await send(message)

    return sending
