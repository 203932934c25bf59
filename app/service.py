"""The API and the worker as things that run for the time of a `with` block."""

import asyncio
import contextlib
import datetime as dt
import socket
from collections.abc import AsyncIterator

import structlog

from app import server, serving
from app.health import Readiness
from app.serving import Api
from app.settings import Settings
from resolvers.context import Parts
from services import accounts
from services.worker import Worker

DEVELOPMENT_TOKEN_LIFETIME = dt.timedelta(days=30)
RESTART_SECONDS = 1.0
WORKER_STOP_SECONDS = 3.0

log = structlog.get_logger(__name__)


@contextlib.asynccontextmanager
async def api(
    parts: Parts, settings: Settings, listener: socket.socket, *, drain_seconds: int = serving.DRAIN_SECONDS
) -> AsyncIterator[Api]:
    """Answer requests on a bound socket; at the end readiness goes red first, then running requests are drained."""
    readiness = Readiness(parts.db, parts.upstream)
    running = Api(server.create_app(parts, settings, readiness), listener, drain_seconds=drain_seconds)
    await running.wait_ready()
    try:
        yield running
    finally:
        readiness.is_draining = True
        await running.stop()


async def development_account(parts: Parts) -> tuple[str, str]:
    """Give the address of the account that development has, and a bearer token for it; both are made at need."""
    now = parts.now()
    account = await accounts.ensure_development_account(parts.db, now)
    tokens = parts.credentials.tokens
    return account.email, tokens.issue(account.id, account.email, now=now, lifetime=DEVELOPMENT_TOKEN_LIFETIME)


@contextlib.asynccontextmanager
async def worker(parts: Parts, settings: Settings) -> AsyncIterator[None]:
    """Run the service's worker beside whatever the block does; a part in hand is finished before the end."""
    stop = asyncio.Event()
    task = asyncio.create_task(_keep_working(parts, settings, stop), name="worker")
    try:
        yield
    finally:
        stop.set()
        _, late = await asyncio.wait((task,), timeout=WORKER_STOP_SECONDS)
        if late:
            task.cancel()  # its lease runs out, and another worker goes on from there
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _keep_working(parts: Parts, settings: Settings, stop: asyncio.Event) -> None:
    while not stop.is_set():
        try:
            await Worker(
                db=parts.db,
                upstream=parts.upstream,
                keys=parts.upstream_keys,
                hub=parts.hub,
                announcer=parts.announcer,
                concurrency=settings.worker_concurrency,
            ).run(stop)
        except Exception:  # PostgreSQL is away, perhaps: a worker that waits is better than none
            log.exception("the worker stopped and is started again")
            await asyncio.sleep(RESTART_SECONDS)
