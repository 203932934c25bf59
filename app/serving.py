"""Runs the HTTP server inside our own loop: bound early, drained when we say so, deaf to signals itself."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp
from uvicorn._types import ASGIReceiveEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

DRAIN_SECONDS = 5
WEBSOCKET_BYTES_MAX = 262_144
KEEP_ALIVE_SECONDS = 30


class CannotListen(Exception):
    """The address cannot be bound; the sentence says why and what to do."""


def bind(host: str, port: int) -> socket.socket:
    """Bind the listening socket, before anything slow begins; raises CannotListen."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise CannotListen(f"{host} is no address to listen on: {error.strerror}") from error
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen()  # from here on nobody else can have the port; a caller waits until we serve
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise CannotListen(f"port {port} on {host} is in use: choose another with --port") from error
        raise CannotListen(f"cannot listen on {host} port {port}: {error.strerror}") from error
    return listener


class _Server(uvicorn.Server):
    """The stock server without its signal handlers: signals are heard in one place, which stops things in order."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Socket(WebSocketsSansIOProtocol):
    """The stock WebSocket, which hears nobody who does not take its answers.

    It answers a ping where it reads it (RFC 6455, section 5.5.2): who sends pings and never reads would have us keep as
    many pongs as it likes.
    """

    def pause_writing(self) -> None:
        super().pause_writing()
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.read_paused:
            self.transport.resume_reading()

    async def receive(self) -> ASGIReceiveEvent:
        await self.writable.wait()  # set too when the connection is lost
        return await super().receive()


class Api:
    """The HTTP server as a task of the running loop."""

    def __init__(
        self, app: ASGIApp, listener: socket.socket, *, trusted_proxies: str = "", drain_seconds: int = DRAIN_SECONDS
    ) -> None:
        config = uvicorn.Config(
            app,
            loop="uvloop",
            http="httptools",
            ws=_Socket,
            ws_max_size=WEBSOCKET_BYTES_MAX,
            ws_per_message_deflate=False,
            lifespan="off",  # parts are opened and closed by who starts the server
            log_config=None,
            access_log=False,
            server_header=False,
            forwarded_allow_ips=trusted_proxies,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=drain_seconds,
        )
        self._server = _Server(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]), name="api")

    async def wait_ready(self) -> None:
        """Wait until requests are answered."""
        while not self._server.started:
            if self._task.done():
                await self._task
                raise RuntimeError("the HTTP server ended before it began")
            await asyncio.sleep(0.01)

    async def wait_ended(self) -> None:
        """Wait until the server ends by itself, which it does only by a fault; raises it."""
        await asyncio.shield(self._task)

    async def stop(self) -> None:
        """Refuse new connections, close WebSockets with 1012, give running requests their time, and end."""
        self._server.should_exit = True
        await self._task
