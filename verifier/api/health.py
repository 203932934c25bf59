"""Whether the process can work: the one answer that needs no credential. The service is told more."""

import asyncio
import time

import structlog
from starlette.requests import Request
from starlette.responses import Response

from verifier.api import answers, authentication, parts
from verifier.store import database, revision
from verifier.store.queries import backlog

PATIENCE_SECONDS = 3.0

log = structlog.get_logger()


async def health(request: Request) -> Response:
    """GET /health: 200 with the database's round trip in milliseconds, 503 where it does not answer.

    With the service's credential also what is waiting and how the connections to the database are used.
    """
    pool = parts.of(request).pool
    began = time.perf_counter()
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await database.probe(pool)
            latency_ms = round((time.perf_counter() - began) * 1000, 1)
            details = await _details(request) if "authorization" in request.headers else {}
    except database.LOST as error:
        log.warning("database does not answer", problem=str(error))
        return answers.json({"status": "database_unreachable"}, 503)
    return answers.json({"status": "ok", "database_latency_ms": latency_ms, **details})


async def _details(request: Request) -> dict[str, object]:
    await authentication.service_of(request)
    pool = parts.of(request).pool
    return {
        "waiting": dict(await backlog.read(pool)),
        "database_connections": {"open": pool.get_size(), "idle": pool.get_idle_size(), "most": pool.get_max_size()},
        "tables_revision": revision.head(),
    }
