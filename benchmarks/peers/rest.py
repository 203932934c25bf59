"""A hand-written REST service on the same tables: Starlette, asyncpg rows, orjson; the cheapest that we know to write.

It does what the GraphQL service does around a read: checks the token and that its session lives, takes points of a
rate, bounds page sizes, and writes one line to the log.

`python -m benchmarks.peers.rest PORT`, with DATABASE_URL and SECRET_KEY set.
"""

import asyncio
import gc
import os
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import jwt
import orjson
import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app import logs
from db.session import Database
from services import signing
from services.rates import WINDOW_SECONDS, Rates
from services.sealing import Box
from services.signing import SigningKeys

log = structlog.get_logger(__name__)

AUDIENCE = "authenticated"
PAGE_MAX = 100
POINTS = 1_000_000_000
KEYS_KEPT = 1000
COUNTS = (
    "total_count, total_count - processing_count - completed_count - failed_count AS pending, processing_count, "
    "completed_count, failed_count, exists_count, not_exists_count, catchall_count, invalid_syntax_count, "
    "unknown_count, role_based_count, disposable_count, last_verification_requested_at, last_verification_completed_at"
)
TASK = f"id, name, status, source, email_count, created_at, updated_at, finished_at, {COUNTS}"
TASKS = f"SELECT {TASK} FROM task WHERE account_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2"  # noqa: S608 - names of ours
ONE = f"SELECT {TASK} FROM task WHERE id = $1 AND account_id = $2"  # noqa: S608 - names of ours
ACCOUNT = (
    "SELECT id, role, suspended_at, EXISTS (SELECT 1 FROM auth_session s WHERE s.id = $2 AND s.account_id = account.id "
    "AND s.expires_at > $3) AS lives FROM account WHERE id = $1"
)
PROFILE = "SELECT display_name, version, updated_at FROM profile WHERE account_id = $1"
USE = (
    "SELECT day, sum(request_count)::bigint, sum(verification_count)::bigint, sum(credits_spent)::bigint "
    "FROM usage_day WHERE account_id = $1 AND day BETWEEN $2 AND $3 GROUP BY day"
)
SUMMED = (
    "total_count", "processing_count", "completed_count", "failed_count", "exists_count", "not_exists_count",
    "catchall_count", "invalid_syntax_count", "unknown_count", "role_based_count", "disposable_count",
)  # fmt: skip
LATEST = ("last_verification_requested_at", "last_verification_completed_at")
ADDED_UP = (
    "SELECT status, sum(n)::bigint AS n, "  # noqa: S608 - names of ours
    + ", ".join(
        [*(f"sum({name})::bigint AS {name}" for name in SUMMED), *(f"max({name}) AS {name}" for name in LATEST)]
    )
    + f" FROM (SELECT status, task_count AS n, {', '.join((*SUMMED, *LATEST))} FROM account_day "  # noqa: S608 - names of ours
    f"WHERE account_id = $1 AND date BETWEEN $2 AND $3 UNION ALL SELECT status, 1, {', '.join((*SUMMED, *LATEST))} "
    "FROM task WHERE account_id = $1 AND created_at >= $2::date AND created_at < $3::date + 1 "
    "AND status IN ('DRAFT', 'QUEUED', 'RUNNING')) AS found GROUP BY status"
)
STATUSES = ("DRAFT", "QUEUED", "RUNNING", "COMPLETED", "FAILED", "CANCELED")
CREDITS = "SELECT balance, held, updated_at FROM credit_account WHERE account_id = $1"


class Refused(Exception):
    """Nobody is let in."""


class Service:
    """The three answers, and who may have them."""

    def __init__(self, pool: asyncpg.Pool, keys: SigningKeys) -> None:
        """`keys` verify tokens."""
        self._pool, self._keys = pool, keys
        self._claims: dict[str, tuple[uuid.UUID, uuid.UUID, float]] = {}
        self._rates = Rates()

    async def caller(self, request: Request) -> uuid.UUID:
        """The account of a valid token whose session lives. Raises Refused."""
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        account_id, session_id, expires_at = self._claims.get(token) or self._read(token)
        if expires_at <= time.time():
            raise Refused
        row = await self._pool.fetchrow(ACCOUNT, account_id, session_id, datetime.now(UTC))
        if row is None or not row["lives"] or row["suspended_at"] is not None:
            raise Refused
        spent, _ends_at = await self._rates.spend("points", f"account:{account_id}", seconds=WINDOW_SECONDS, amount=1)
        if spent > POINTS:
            raise Refused
        return account_id

    def _read(self, token: str) -> tuple[uuid.UUID, uuid.UUID, float]:
        try:
            found = self._keys.public(jwt.get_unverified_header(token)["kid"])
            if found is None:
                raise Refused
            claims = jwt.decode(token, found.public, algorithms=[signing.ALGORITHM], audience=AUDIENCE)
        except (jwt.PyJWTError, KeyError, TypeError):
            raise Refused from None
        read = uuid.UUID(claims["sub"]), uuid.UUID(claims["session_id"]), float(claims["exp"])
        if len(self._claims) >= KEYS_KEPT:
            self._claims.clear()
        self._claims[token] = read
        return read

    async def overview(self, _request: Request, account_id: uuid.UUID) -> dict[str, Any]:
        """Give A."""
        last = datetime.now(UTC).date()
        first = last - timedelta(days=29)
        profile, credit, use, added_up, tasks = await asyncio.gather(
            self._pool.fetchrow(PROFILE, account_id),
            self._pool.fetchrow(CREDITS, account_id),
            self._pool.fetch(USE, account_id, first, last),
            self._pool.fetch(ADDED_UP, account_id, first, last),
            self._pool.fetch(TASKS, account_id, 5),
        )
        counted = {row["status"]: row["n"] for row in added_up}
        sums: dict[str, Any] = {name: sum(row[name] for row in added_up) for name in SUMMED}
        sums |= {name: max((row[name] for row in added_up if row[name]), default=None) for name in LATEST}
        sums["pending"] = (
            sums["total_count"] - sums["processing_count"] - sums["completed_count"] - sums["failed_count"]
        )
        return {
            "profile": {
                "displayName": profile["display_name"],
                "version": profile["version"],
                "updatedAt": profile["updated_at"],
            },
            "credits": {
                "balance": credit["balance"],
                "reserved": credit["held"],
                "available": credit["balance"] - credit["held"],
                "updatedAt": credit["updated_at"],
            },
            "usage": usage(use, first),
            "taskCounts": [{"status": status, "count": counted.get(status, 0)} for status in STATUSES],
            "metrics": metrics(sums),
            "recentTasks": [picture(row) for row in tasks],
        }

    async def tasks(self, request: Request, account_id: uuid.UUID) -> dict[str, Any]:
        """Give B."""
        size = min(int(request.query_params.get("first", "20")), PAGE_MAX)
        return page(await self._pool.fetch(TASKS, account_id, size + 1), size)

    async def task(self, request: Request, account_id: uuid.UUID) -> dict[str, Any] | None:
        """Give C."""
        row = await self._pool.fetchrow(ONE, uuid.UUID(request.path_params["id"]), account_id)
        return None if row is None else picture(row)


def page(rows: list[Any], size: int) -> dict[str, Any]:
    """Give rows as a page."""
    nodes = [picture(row) for row in rows[:size]]
    return {
        "nodes": nodes,
        "pageInfo": {"hasNextPage": len(rows) > size, "endCursor": nodes[-1]["id"] if nodes else None},
    }


def usage(rows: list[Any], first: date) -> dict[str, Any]:
    """Give use as it is shown: a point a day, and the points added up."""
    by_day = {row[0]: tuple(row)[1:] for row in rows}
    days = [first + timedelta(days=n) for n in range(30)]
    points = [by_day.get(day, (0, 0, 0)) for day in days]
    names = ("requestCount", "verificationCount", "creditsSpent")
    return {
        "total": dict(zip(names, map(sum, zip(*points, strict=True)), strict=True)),
        "points": [
            {"date": day, **dict(zip(names, point, strict=True))} for day, point in zip(days, points, strict=True)
        ],
    }


def picture(row: Any) -> dict[str, Any]:  # noqa: ANN401 - asyncpg has no types
    """Give a task as it is shown."""
    return {
        "id": str(row["id"]),
        "name": row["name"],
        "status": row["status"],
        "source": row["source"],
        "emailCount": row["email_count"],
        "createdAt": row["created_at"],
        "updatedAt": row["updated_at"],
        "finishedAt": row["finished_at"],
        "metrics": metrics(row),
    }


def metrics(row: Any) -> dict[str, Any]:  # noqa: ANN401 - asyncpg has no types
    """Give counts as they are shown."""
    total, finished = row["total_count"], row["completed_count"] + row["failed_count"]
    return {
        "totalEmailAddresses": total,
        "jobStatus": {
            "pending": row["pending"],
            "processing": row["processing_count"],
            "completed": row["completed_count"],
            "failed": row["failed_count"],
        },
        "progress": finished / total if total else 1.0,
        "progressPercent": finished * 100 // total if total else 100,
        "verificationStatus": {
            "exists": row["exists_count"],
            "notExists": row["not_exists_count"],
            "catchall": row["catchall_count"],
            "invalidSyntax": row["invalid_syntax_count"],
            "unknown": row["unknown_count"],
            "roleBased": row["role_based_count"],
            "disposableDomainEmails": row["disposable_count"],
        },
        "lastVerificationRequestedAt": row["last_verification_requested_at"],
        "lastVerificationCompletedAt": row["last_verification_completed_at"],
    }


async def nothing(_connection: asyncpg.Connection) -> None:
    """Reset a connection that single statements leave as it was."""


Work = Callable[[Request, uuid.UUID], Awaitable[Any]]


def endpoint(service: Service, name: str, work: Work) -> Callable[[Request], Awaitable[Response]]:
    """Put the check of the token before `work`, and the log line behind it."""

    async def answer(request: Request) -> Response:
        started = time.perf_counter()
        request_id = uuid.uuid4().hex
        try:
            account_id = await service.caller(request)
            body, status = orjson.dumps(await work(request, account_id), option=orjson.OPT_UTC_Z), 200
        except Refused:
            account_id, body, status = None, b'{"error":"unauthenticated"}', 401
        except ValueError:
            account_id, body, status = None, b'{"error":"bad request"}', 400
        log.info(
            "request",
            operation_name=name,
            outcome=status,
            duration_ms=round((time.perf_counter() - started) * 1000, 1),
            request_id=request_id,
            account_id=account_id,
        )
        return Response(
            body, status, {"cache-control": "no-store", "x-request-id": request_id}, media_type="application/json"
        )

    return answer


async def main(port: int) -> None:
    """Serve until the process is ended."""
    logs.configure("json", "info")
    url = os.environ["DATABASE_URL"]
    db = await Database.open(url, pool_size=1)
    keys = SigningKeys(db, Box(os.environ["SECRET_KEY"]))
    await keys.prepare()
    pool = await asyncpg.create_pool(url, min_size=10, max_size=10, reset=nothing)
    service = Service(pool, keys)
    app = Starlette(
        routes=[
            Route("/overview", endpoint(service, "overview", service.overview)),
            Route("/tasks", endpoint(service, "tasks", service.tasks)),
            Route("/tasks/{id}", endpoint(service, "task", service.task)),
        ]
    )
    config = uvicorn.Config(
        app, port=port, loop="uvloop", http="httptools", lifespan="off", log_config=None, access_log=False
    )
    gc.collect()
    gc.freeze()
    await uvicorn.Server(config).serve()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main(int(sys.argv[1])))
