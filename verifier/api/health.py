"""Whether the process can work: the one answer that needs no credential."""

import asyncio
import time

import structlog
from starlette.requests import Request
from starlette.responses import Response

from verifier.api import answers, parts
from verifier.store import database

PATIENCE_SECONDS = 3.0

log = structlog.get_logger()


async def health(request: Request) -> Response:
    """GET /health: 200 with the database's round trip in milliseconds, 503 where it does not answer."""
    began = time.perf_counter()
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await database.probe(parts.of(request).pool)
    except database.LOST as error:
        log.warning("database does not answer", problem=str(error))
        return answers.json({"status": "database_unreachable"}, 503)
    latency_ms = round((time.perf_counter() - began) * 1000, 1)
    return answers.json({"status": "ok", "database_latency_ms": latency_ms})
