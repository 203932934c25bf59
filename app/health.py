"""Is the process alive, and is it ready: PostgreSQL, the verifier and the worker, each with its milliseconds."""

import asyncio
import dataclasses
import datetime as dt
import time
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from db.queries import parts, payments
from db.session import Database
from services.errors import ServiceError
from services.upstream.contract import Upstream

CHECK_SECONDS = 2.0
SILENT_SECONDS = 30.0
"""A worker beats every 5 seconds; after this long without a beat there is none."""
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
