"""The REST process: a socket, the application behind uvicorn, an orderly end."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
import uvicorn

from verifier.api import app
from verifier.api.key_set import KeySet
from verifier.api.parts import Parts
from verifier.api.tokens import Tokens
from verifier.engine.check import Engine
from verifier.settings import Settings
from verifier.store import database

POOL_SIZE = 10
STOP_SECONDS = 3
KEEP_ALIVE_SECONDS = 75  # longer than clients keep an idle connection, so that they are the ones to close it

log = structlog.get_logger()


class _Server(uvicorn.Server):
    """uvicorn that tells when it is up, without its own ears for signals: the command has them."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_up.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class AddressUnusableError(Exception):
    """The host and port cannot be listened on."""


def bind(host: str, port: int) -> socket.socket:
    """Return a socket with an address; raise AddressUnusableError, most often because the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # By its number: asyncio sends small answers at once (TCP_NODELAY) only where the socket says that it is TCP.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise AddressUnusableError(f"cannot listen on VERIFIER_HOST {host}, VERIFIER_PORT {port}: {error}") from error
    return bound


async def run(settings: Settings, stopping: asyncio.Event, on_ready: Callable[[str], None]) -> None:
    """Serve until `stopping` is set. `on_ready` is called with the address once requests are answered."""
    bound = bind(settings.host, settings.port)
    try:
        pool = await database.open_pool(settings.database_url, size=POOL_SIZE)
    except database.DatabaseUnusableError:
        bound.close()
        raise
    engine = Engine(settings.engine_config())
    tokens = Tokens(
        secret=settings.jwt_secret,
        keys=KeySet(settings.jwks_url) if settings.jwks_url else None,
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
    )
    config = uvicorn.Config(
        app.build(Parts(settings, pool, engine, tokens)),
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        server_header=False,
        log_config=None,
        timeout_graceful_shutdown=STOP_SECONDS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[bound]))
    up, stop = asyncio.create_task(server.is_up.wait()), asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait({serving, up}, return_when=asyncio.FIRST_COMPLETED)
        host, port = bound.getsockname()[:2]
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}/api/v1"
        on_ready(url)
        log.info("serving", url=url)
        await asyncio.wait({serving, stop}, return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await serving
        log.info("served")
    finally:
        up.cancel()
        stop.cancel()
        bound.close()
        await _close(engine, tokens, pool)


async def _close(engine: Engine, tokens: Tokens, pool: database.Pool) -> None:
    try:
        async with asyncio.timeout(1.0):
            await tokens.aclose()
            await engine.aclose()
            await pool.close()
    except (TimeoutError, *database.LOST):
        pool.terminate()
