"""Is the process alive, and is it ready: PostgreSQL, the verifier and the worker, each with its milliseconds."""

import asyncio
import dataclasses
import datetime as dt
import time
from collections.abc import Awaitable, Callable

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from db.queries import credits, parts, payments
from db.session import Database
from services.errors import ServiceError
from services.upstream.contract import Upstream

CHECK_SECONDS = 2.0
LEDGER_SECONDS = 3600.0
"""How often the whole ledger is looked at, by each process for itself."""
SILENT_SECONDS = 30.0
"""A worker beats every 5 seconds; after this long without a beat there is none."""
log = structlog.get_logger(__name__)

_NO_STORE = {"cache-control": "no-store"}

Facts = dict[str, object]


class Unready(Exception):
    """A part is not as it should be; the sentence says what is wrong."""


@dataclasses.dataclass
class Readiness:
    """Looks at the parts that a request needs. `is_draining` is set when the process begins to stop."""

    db: Database
    upstream: Upstream
    is_draining: bool = False
    _counting: asyncio.Task[None] | None = dataclasses.field(init=False, default=None)
    _counted_at: float = 0.0
    _violations: int | None = None
    _looking: asyncio.Task[dict[str, Facts]] | None = dataclasses.field(init=False, default=None)

    async def report(self) -> tuple[bool, dict[str, Facts]]:
        """Whether all is well, and what was found. Who asks while somebody looks is told the same: anybody may ask."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(), name="look at readiness")
        found = dict(await asyncio.shield(self._looking))
        found["process"] = _facts("the process is stopping" if self.is_draining else None)
        return all(facts["ok"] for facts in found.values()), found

    async def _look(self) -> dict[str, Facts]:
        """Look at everything at once, each for at most CHECK_SECONDS."""
        checks = {
            "postgresql": self._postgresql,
            "verifier": self._verifier,
            "worker": self._worker,
            "payments": self._payments,
            "credits": self._credits,
        }
        return dict(zip(checks, await asyncio.gather(*map(_measured, checks.values())), strict=True))

    async def _postgresql(self) -> Facts:
        async with self.db.read() as session:
            return {"open_parts": await parts.open_count(session)}

    async def _verifier(self) -> Facts:
        try:
            await self.upstream.ping()
        except ServiceError as error:
            raise Unready(str(error)) from error
        return {}

    async def _payments(self) -> Facts:
        """What could not be booked: never a reason to take the service away."""
        async with self.db.read() as session:
            found = await payments.unsettled(session)
        return {"late_events": found.late, "refused_events": found.refused}

    async def _credits(self) -> Facts:
        """Broken invariants of the ledger when it was last looked at, None before: never a reason to go away."""
        is_due = self._counting is None or time.monotonic() - self._counted_at > LEDGER_SECONDS
        if is_due and (self._counting is None or self._counting.done()):
            self._counting = asyncio.create_task(self._look_at_ledger(), name="look at the ledger")
        return {"violations": self._violations}

    async def _look_at_ledger(self) -> None:
        """Take as long as it takes: nobody waits for it."""
        self._counted_at = time.monotonic()
        try:
            async with self.db.read() as session:
                self._violations = len(await credits.violations(session))
        except Exception as error:  # noqa: BLE001 - the next time may go better
            log.warning("ledger_not_looked_at", error=type(error).__name__)
        else:
            if self._violations:
                log.error("ledger_violated", violations=self._violations)

    async def _worker(self) -> Facts:
        async with self.db.read() as session:
            beat_at = await parts.last_beat_at(session)
        if beat_at is None:
            raise Unready("no worker has ever been seen")
        silent_seconds = (dt.datetime.now(dt.UTC) - beat_at).total_seconds()
        if silent_seconds > SILENT_SECONDS:
            raise Unready(f"no worker has been seen for {silent_seconds:.0f} s")
        return {"beat_seconds_ago": round(max(silent_seconds, 0.0), 1)}


def routes(readiness: Readiness) -> list[BaseRoute]:
    """Give /health/live, which looks at nothing, and /health/ready, which answers 503 when something is wrong."""

    async def live(_: Request) -> Response:
        return JSONResponse({"status": "ok"}, headers=_NO_STORE)

    async def ready(_: Request) -> Response:
        is_ready, found = await readiness.report()
        body = {"status": "ready" if is_ready else "not ready", "checks": found}
        return JSONResponse(body, status_code=200 if is_ready else 503, headers=_NO_STORE)

    return [Route("/health/live", live), Route("/health/ready", ready)]


async def _measured(check: Callable[[], Awaitable[Facts]]) -> Facts:
    began = time.perf_counter()
    problem, more = None, {}
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            more = await check()
    except TimeoutError:
        problem = f"no answer within {CHECK_SECONDS:.0f} s"
    except Unready as error:
        problem = str(error)
    except Exception as error:  # noqa: BLE001 - whatever a part throws, readiness tells of it
        problem = f"cannot be reached ({type(error).__name__})"
    return _facts(problem) | more | {"milliseconds": round((time.perf_counter() - began) * 1000, 1)}


def _facts(problem: str | None) -> Facts:
    return {"ok": True} if problem is None else {"ok": False, "problem": problem}
