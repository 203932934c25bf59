"""The API and the worker as things that run for the time of a `with` block."""

import asyncio
import contextlib
import dataclasses
import datetime as dt
import socket
import time
from collections.abc import AsyncIterator

import structlog

from app import server, serving
from app.health import Readiness
from app.settings import Settings
from app.supervise import StartFailed
from resolvers.context import Parts
from services import accounts
from services.worker import Worker

DEVELOPMENT_TOKEN_LIFETIME = dt.timedelta(days=30)
READY_LOOK_SECONDS = 0.05
RESTART_SECONDS = 1.0
WORKER_STOP_SECONDS = 3.0

log = structlog.get_logger(__name__)


@dataclasses.dataclass(frozen=True)
class RunningApi:
    """The API while it answers."""

    readiness: Readiness
    _api: serving.Api

    async def wait_ready(self, timeout_seconds: float) -> None:
        """Wait until every part that a request needs is as it should be; raises StartFailed, which says what is not."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            is_ready, found = await self.readiness.report()
            if is_ready:
                return
            if time.monotonic() > deadline:
                wrong = ", ".join(f"{name}: {facts['problem']}" for name, facts in found.items() if not facts["ok"])
                raise StartFailed(f"not ready after {timeout_seconds:.0f} s: {wrong}")
            await asyncio.sleep(READY_LOOK_SECONDS)

    async def wait_ended(self) -> None:
        """Wait until the server ends by itself, which it does only by a fault; raises it."""
        await self._api.wait_ended()


@contextlib.asynccontextmanager
async def api(
    parts: Parts, settings: Settings, listener: socket.socket, *, drain_seconds: int = serving.DRAIN_SECONDS
) -> AsyncIterator[RunningApi]:
    """Answer requests on a bound socket; at the end readiness goes red first, then running requests are drained."""
    readiness = Readiness(parts.db, parts.upstream)
    running = serving.Api(
        server.create_app(parts, settings, readiness),
        listener,
        trusted_proxies=settings.trusted_proxies,
        drain_seconds=drain_seconds,
    )
    await running.wait_ready()
    try:
        yield RunningApi(readiness, running)
    finally:
        readiness.is_draining = True
        await running.stop()


async def development_account(parts: Parts, settings: Settings) -> tuple[str, str]:
    """Give the address of the account that development has, and a bearer token for it; both are made at need."""
    if settings.supabase_url:
        return f"sign in by signIn: {settings.supabase_url} keeps the passwords", ""
    now = parts.now()
    account = await accounts.ensure_development_account(parts.db, now, welcome_credits=settings.welcome_credits)
    tokens = parts.credentials.tokens
    return account.email, tokens.issue(account.id, account.email, now=now, lifetime=DEVELOPMENT_TOKEN_LIFETIME)


@contextlib.asynccontextmanager
async def worker(parts: Parts, settings: Settings) -> AsyncIterator[None]:
    """Run the service's worker beside whatever the block does; a part in hand is finished before the end."""
    stop = asyncio.Event()
    task = asyncio.create_task(_keep_working(parts, settings, stop), name="worker")
    delivering = asyncio.create_task(parts.deliveries.run(stop), name="webhooks")
    try:
        yield
    finally:
        stop.set()
        _, late = await asyncio.wait((task,), timeout=WORKER_STOP_SECONDS)
        if late:
            task.cancel()  # its lease runs out, and another worker goes on from there
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await delivering


async def _keep_working(parts: Parts, settings: Settings, stop: asyncio.Event) -> None:
    while not stop.is_set():
        try:
            await Worker(
                db=parts.db,
                upstream=parts.upstream,
                keys=parts.upstream_keys,
                hub=parts.hub,
                announcer=parts.announcer,
                usage=parts.usage,
                concurrency=settings.worker_concurrency,
                payments=parts.payments,
            ).run(stop)
        except Exception:  # PostgreSQL is away, perhaps: a worker that waits is better than none
            log.exception("the worker stopped and is started again")
            await asyncio.sleep(RESTART_SECONDS)
