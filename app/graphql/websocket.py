"""The graphql-transport-ws protocol, strictly: frames are checked, callers known, and one fault ends one operation."""

import asyncio
import contextlib
import typing
from collections.abc import AsyncGenerator, Mapping

import structlog
from graphql import GraphQLError
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketDisconnected, WebSocketState
from strawberry.asgi import ASGIWebSocketAdapter
from strawberry.http.exceptions import NonTextMessageReceived
from strawberry.http.exceptions import WebSocketDisconnected as ClientGone
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import BaseGraphQLTransportWSHandler
from strawberry.subscriptions.protocols.graphql_transport_ws.types import (
    ConnectionInitMessage,
    Message,
    SubscribeMessage,
)

from app.graphql import body, codec
from app.graphql.door import Caller, Credentials, Door, Unavailable
from app.graphql.refusal import Refused
from schema import limits
from services import errors

log = structlog.get_logger(__name__)

CLOSE_FORBIDDEN = 4403
CLOSE_TRY_AGAIN_LATER = 1013
CLOSE_TOO_MANY_INITS = 4429


class TextAdapter(ASGIWebSocketAdapter):
    """Sends text frames always, and nothing into a socket that is closed."""

    ws: WebSocket

    async def iter_json(self, *, ignore_parsing_errors: bool = False) -> AsyncGenerator[object, None]:
        """Give the messages of the client, decoded, until the socket closes."""
        try:
            async for message in super().iter_json(ignore_parsing_errors=ignore_parsing_errors):
                yield message
        except WebSocketDisconnected:
            return  # closed by us while a message was on its way
        except (AttributeError, TypeError) as error:
            raise NonTextMessageReceived from error

    async def send_json(self, message: Mapping[str, object]) -> None:
        """Send `message`. Raises the library's WebSocketDisconnected when nobody is there any more."""
        if self.ws.application_state is not WebSocketState.CONNECTED:
            raise ClientGone
        try:
            await self.ws.send_text(codec.encode(message).decode())
        except (WebSocketDisconnect, WebSocketDisconnected) as error:
            raise ClientGone from error

    async def close(self, code: int, reason: str) -> None:
        """Close the socket, once; `reason` is cut to what a close frame holds (123 bytes)."""
        if self.ws.application_state is WebSocketState.CONNECTED:
            with contextlib.suppress(WebSocketDisconnect):  # the client was faster
                await self.ws.close(code=code, reason=reason.encode()[:120].decode(errors="ignore"))


class StrictTransportWS(BaseGraphQLTransportWSHandler[object, None]):
    """One connection. Its credentials are those of connection_init, or of the handshake where that has none."""

    _watch: asyncio.Task[None] | None = None
    _caller: Caller | None = None

    async def handle_message(self, message: Message) -> None:
        """Check the shape of a frame before the library relies on it."""
        if fault := _fault(message):
            await self.handle_invalid_message(fault)
            return
        await super().handle_message(message)

    async def handle_connection_init(self, message: ConnectionInitMessage) -> None:
        """Let the caller in and acknowledge, or close: 4403 for wrong credentials, 4429 for a second try."""
        if self.connection_timed_out:
            return
        payload = message.get("payload") or {}
        if self.connection_init_received:
            await self.websocket.close(CLOSE_TOO_MANY_INITS, "Too many initialisation requests")
            return
        self.connection_init_received = True
        if self.connection_init_timeout_task:
            self.connection_init_timeout_task.cancel()
        socket = self._socket
        credentials = Credentials.from_payload(payload) or Credentials.from_headers(socket.headers)
        try:
            caller = await self._door.admit(credentials)
            await self._door.charge(caller, 1)
        except errors.AccessError:
            await self.websocket.close(CLOSE_FORBIDDEN, "Forbidden")
            return
        except (Unavailable, errors.RateLimited):
            await self.websocket.close(CLOSE_TRY_AGAIN_LATER, "Try again later")
            return
        self._caller = caller
        self.context = self._door.context(caller, socket.state.request_id)
        self._watch = asyncio.create_task(self._close_on_dismissal(caller, credentials))
        await self.send_message({"type": "connection_ack"})
        self.connection_acknowledged = True

    async def handle_subscribe(self, message: SubscribeMessage) -> None:
        """Start an operation, unless it is too long, too many run, or no points are left: an `error` for it alone."""
        if self.connection_acknowledged and message["id"] not in self.operations:
            if self.max_subscriptions_per_connection is not None and (
                len(self.operations) >= self.max_subscriptions_per_connection
            ):
                text = f"A connection holds at most {self.max_subscriptions_per_connection} operations at a time."
                await self._refuse(message["id"], text, "TOO_MANY_OPERATIONS")
                return
            try:
                operation = body.operation(message["payload"])
                await self._door.charge(self._caller, limits.price(self.schema, operation.query))
            except Refused as refused:
                await self._refuse(message["id"], refused.message, refused.code)
                return
            except errors.RateLimited as error:
                await self._refuse(message["id"], error.message, error.code)
                return
        await super().handle_subscribe(message)

    async def handle_task_exception(self, error: Exception) -> None:
        """Log what an operation's task raised; that the client left is no fault."""
        if not isinstance(error, ClientGone):
            log.error("fault in an operation over a WebSocket", exc_info=error)

    async def shutdown(self) -> None:
        """End what the connection has started."""
        if self._watch is not None:
            self._watch.cancel()
        await super().shutdown()

    @staticmethod
    def _get_pre_execution_close_reason(error: GraphQLError) -> str | None:  # noqa: ARG004 - the library's signature
        return None  # an `error` message for its operation; siblings and the socket live on

    async def _close_on_dismissal(self, caller: Caller | None, credentials: Credentials) -> None:
        await self._door.dismissal(caller, credentials)
        for operation in self.operations.values():
            operation.completed = True  # no event after the end of the credentials
        await self.websocket.close(CLOSE_FORBIDDEN, "Forbidden: the credentials have expired or were revoked")

    async def _refuse(self, operation_id: str, text: str, code: str) -> None:
        payload = GraphQLError(text, extensions={"code": code, "requestId": self._socket.state.request_id}).formatted
        await self.send_message({"id": operation_id, "type": "error", "payload": [payload]})

    @property
    def _door(self) -> Door:
        return typing.cast("Door", getattr(self.view, "door"))  # noqa: B009 - the view is typed as the library's own

    @property
    def _socket(self) -> WebSocket:
        return typing.cast("TextAdapter", self.websocket).ws


def _fault(message: object) -> str | None:
    """Say what is wrong with the shape of a frame (graphql-transport-ws, "Message types"); None when nothing is."""
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        return "Invalid message"
    payload = message.get("payload")
    if message["type"] in ("connection_init", "ping", "pong") and not isinstance(payload, dict | None):
        return f"Invalid {message['type']} payload"
    if message["type"] in ("subscribe", "complete") and (
        not isinstance(message.get("id"), str) or not 1 <= len(message["id"]) <= 256
    ):
        return "Invalid message id"
    if message["type"] == "subscribe" and not (
        isinstance(payload, dict)
        and isinstance(payload.get("query"), str)
        and isinstance(payload.get("operationName"), str | None)
        and isinstance(payload.get("variables"), dict | None)
        and isinstance(payload.get("extensions"), dict | None)
    ):
        return "Invalid subscribe payload"
    return None
