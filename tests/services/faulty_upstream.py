"""An upstream with faults: it speaks the contract over real HTTP, keeps its tasks in memory, and errs when told to."""

import asyncio
import contextlib
import dataclasses
import uuid
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app import serving

VERDICTS = {"no": "not_exists", "any": "catchall", "grey": "unknown", "bad": "invalid_syntax", "lost": "unknown"}
"""The verdict on an address by the first word of its local part; every other exists."""


@dataclasses.dataclass(frozen=True)
class Fault:
    """How one call goes wrong."""

    status: int = 500
    body: bytes = b'{"error": {"code": "X", "message": "It broke."}}'
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    hang_seconds: float = 0.0


@dataclasses.dataclass
class KnownTask:
    """A task upstream: `done` addresses have their verdict."""

    id: UUID
    emails: list[str]
    done: int = 0
    is_canceled: bool = False
    created_at: datetime = dataclasses.field(default_factory=lambda: datetime.now(UTC))
    callback_url: str | None = None


class FaultyUpstream:
    """The state of the upstream, which a test reads and changes."""

    def __init__(self) -> None:
        self.tasks: dict[UUID, KnownTask] = {}
        self.by_key: dict[str, UUID] = {}
        self.calls: Counter[str] = Counter()
        self.credentials_of: defaultdict[str, set[str | None]] = defaultdict(set)
        self.settled_a_look: int | None = None
        """Addresses of each task that get their verdict before every list call; all when None."""
        self.page_size = 1000
        self.result_changes: dict[str, Any] = {}
        self.keys: dict[str, str] = {}
        """Keys that were made, with their users. Any other credential is taken for the service's."""
        self.refused: set[str] = set()
        """Credentials that every call refuses."""
        self.before: dict[str, Callable[[], Awaitable[Any]]] = {}
        """What happens once before an operation is answered."""
        self.hanging_word = ""
        """Creating a task with this in an address hangs."""
        self._faults: defaultdict[str, list[Fault]] = defaultdict(list)
        self._always: dict[str, Fault] = {}
        self._listener = serving.bind("127.0.0.1", 0)
        self._port = self._listener.getsockname()[1]
        self._api: serving.Api | None = None

    @property
    def credentials(self) -> set[str | None]:
        """Every credential that was shown."""
        return set().union(*self.credentials_of.values())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/api/v1"

    def err(self, operation: str, *faults: Fault) -> None:
        """Answer the next calls with these faults."""
        self._faults[operation] += faults

    def err_always(self, operation: str, fault: Fault | None) -> None:
        """Answer every call with a fault; None mends it."""
        self._always.pop(operation, None)
        if fault is not None:
            self._always[operation] = fault

    def forget(self) -> None:
        """Lose every task, with the keys under which they were made."""
        self.tasks.clear()

    async def start(self) -> None:
        """Answer, on the same port as before."""
        if self._listener.fileno() < 0:
            self._listener = serving.bind("127.0.0.1", self._port)
        self._api = serving.Api(self._app(), self._listener, drain_seconds=0)
        await self._api.wait_ready()

    async def stop(self) -> None:
        """Refuse connections."""
        if self._api is not None:
            await self._api.stop()
        self._api = None
        self._listener.close()

    def _app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/health", self._answering("health", self._health)),
                Route("/api/v1/verify", self._answering("verify", self._verify), methods=["POST"]),
                Route("/api/v1/keys", self._answering("key", self._make_key), methods=["POST"]),
                Route("/api/v1/tasks", self._answering("create", self._create), methods=["POST"]),
                Route("/api/v1/tasks", self._answering("list", self._list)),
                Route("/api/v1/tasks/{id:uuid}/results", self._answering("results", self._results)),
                Route("/api/v1/tasks/{id:uuid}/cancel", self._answering("cancel", self._cancel), methods=["POST"]),
            ]
        )

    def _answering(
        self, operation: str, answer: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            self.calls[operation] += 1
            self.credentials_of[operation].add(request.headers.get("authorization"))
            event = self.before.pop(operation, None)
            if event is not None:
                await event()
            fault = self._faults[operation].pop(0) if self._faults[operation] else self._always.get(operation)
            if request.headers.get("authorization", "").removeprefix("Bearer ") in self.refused:
                fault = Fault(401)
            if fault is None:
                return await answer(request)
            await asyncio.sleep(fault.hang_seconds)
            return Response(fault.body, fault.status, fault.headers, "application/json")

        return endpoint

    async def _health(self, _request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def _make_key(self, request: Request) -> Response:
        user_id = (await request.json())["user_id"]
        secret = f"mvk_{uuid.uuid4().hex}"
        self.keys[secret] = user_id
        return JSONResponse({"id": str(uuid.uuid4()), "key": secret}, 201)

    async def _verify(self, request: Request) -> Response:
        return JSONResponse(self._result((await request.json())["email"]))

    async def _create(self, request: Request) -> Response:
        emails = (await request.json())["emails"]
        if not emails:
            return JSONResponse({"error": {"code": "BAD_REQUEST", "message": "No addresses."}}, 400)
        if self.hanging_word and any(self.hanging_word in email for email in emails):
            await asyncio.sleep(30)
        key = request.headers["idempotency-key"]
        if key not in self.by_key:
            task = KnownTask(uuid.uuid4(), emails)
            self.tasks[task.id] = task
            self.by_key[key] = task.id
        return JSONResponse({"id": str(self.by_key[key])}, 201)

    async def _list(self, request: Request) -> Response:
        if (ids := request.query_params.get("ids")) is not None:
            found = [self.tasks[i] for i in map(UUID, ids.split(",")) if i in self.tasks]
        else:
            newest = sorted(self.tasks.values(), key=lambda task: task.created_at, reverse=True)
            offset, limit = int(request.query_params["offset"]), int(request.query_params["limit"])
            found = newest[offset : offset + limit]
        for task in found:
            step = len(task.emails) if self.settled_a_look is None else self.settled_a_look
            if not task.is_canceled:
                task.done = min(task.done + step, len(task.emails))
        return JSONResponse({"tasks": [self._summary(task) for task in found], "count": len(found)})

    async def _results(self, request: Request) -> Response:
        task = self.tasks.get(request.path_params["id"])
        if task is None:
            return JSONResponse({"error": {"code": "NOT_FOUND", "message": "No such task."}}, 404)
        after = int(request.query_params["after"])
        page = task.emails[: task.done][after : after + self.page_size]
        results = [{"seq": after + n, **self._result(email)} for n, email in enumerate(page, 1)]
        return JSONResponse({"results": results, "next_after": after + len(results)})

    async def _cancel(self, request: Request) -> Response:
        task = self.tasks.get(request.path_params["id"])
        if task is None:
            return JSONResponse({"error": {"code": "NOT_FOUND", "message": "No such task."}}, 404)
        task.is_canceled = True
        return Response(status_code=202)

    def _result(self, email: str) -> dict[str, Any]:
        now = datetime.now(UTC).isoformat()
        return {
            "email": email,
            "status": verdict(email),
            "reason": "accepted" if verdict(email) == "exists" else "whatever_a_newer_verifier_says",
            "role_based": email.startswith("info"),
            "checked_at": now,
            "evidence": [
                {"stage": "rcpt", "host": "mx.test", "code": 250, "text": "ok", "occurred_at": now},
                {"stage": "a_stage_of_the_future", "occurred_at": now},
            ],
            **self.result_changes,
        }

    def _summary(self, task: KnownTask) -> dict[str, Any]:
        done = task.emails[: task.done]
        verdicts = Counter(verdict(email) for email in done)
        given_up = sum(email.startswith("lost") for email in done)
        rest = len(task.emails) - task.done
        processing = 0 if task.is_canceled else min(rest, 3)
        return {
            "id": str(task.id),
            "created_at": task.created_at.isoformat(),
            "webhook_url": task.callback_url,
            "metrics": {
                "total_email_addresses": len(task.emails),
                "job_status": {
                    "pending": rest - processing,
                    "processing": processing,
                    "completed": task.done - given_up,
                    "failed": given_up,
                },
                "verification_status": {
                    **{
                        name: verdicts[name]
                        for name in ("exists", "not_exists", "catchall", "invalid_syntax", "unknown")
                    },
                    "role_based": sum(email.startswith("info") for email in done),
                    "disposable_domain_emails": 0,
                },
                "last_verification_requested_at": datetime.now(UTC).isoformat(),
                "last_verification_completed_at": None,
            },
        }


def verdict(email: str) -> str:
    """The verdict that this upstream gives."""
    return VERDICTS.get(email.partition("-")[0], "exists")


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[FaultyUpstream]:
    """An upstream that answers until the block ends."""
    upstream = FaultyUpstream()
    await upstream.start()
    try:
        yield upstream
    finally:
        await upstream.stop()
