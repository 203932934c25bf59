"""A hosted-style upstream: takes files and never tells an id for one, has none of the contract's extensions."""

import contextlib
import csv
import io
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tests.services.faulty_upstream import FaultyUpstream, KnownTask

KEY = "the-key-of-the-tests"
_SANDBOX = {
    "nobody@ok.mailverdict.test": ("not_exists", "no_such_user"),
    "alice@catchall.mailverdict.test": ("catchall", "accept_all"),
    "alice@ok.mailverdict.test": ("exists", "accepted"),
}
_COLUMNS = ("email", "status", "reason", "role_based", "disposable", "free_provider", "suggestion", "checked_at")


class HostedFake(FaultyUpstream):
    """Tasks appear in the list some time after the upload; with their callback URLs where `is_echoing`."""

    is_echoing = False
    appears_after = timedelta(0)

    def _app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/health", self._answering("health", self._health)),
                Route("/api/v1/verify", self._answering("verify", self._verify), methods=["POST"]),
                Route("/api/v1/tasks/batch/upload", self._answering("upload", self._upload), methods=["POST"]),
                Route("/api/v1/tasks", self._answering("list", self._list)),
                Route("/api/v1/tasks/{id:uuid}", self._answering("task", self._task)),
                Route("/api/v1/tasks/{id:uuid}/download", self._answering("download", self._download)),
            ]
        )

    async def _upload(self, request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return JSONResponse({"error": {"code": "UNAUTHENTICATED", "message": "Who are you?"}}, 401)
        async with request.form() as form:
            file, url = form["file"], form.get("webhook_url")
            assert isinstance(file, UploadFile)
            rows = list(csv.DictReader(io.StringIO((await file.read()).decode(), newline="")))
        if not rows:
            return JSONResponse({"error": {"code": "BAD_REQUEST", "message": "No addresses."}}, 400)
        task = KnownTask(uuid.uuid4(), [row["email"] for row in rows])
        if self.is_echoing and isinstance(url, str):
            task.callback_url = url
        self.tasks[task.id] = task
        return JSONResponse({"message": "Your file is being processed."}, 202)

    async def _list(self, request: Request) -> Response:
        shown = [t for t in self.tasks.values() if datetime.now(UTC) - t.created_at >= self.appears_after]
        newest = sorted(shown, key=lambda task: task.created_at, reverse=True)
        offset, limit = int(request.query_params["offset"]), int(request.query_params["limit"])
        page = [self._summary(task) for task in newest[offset : offset + limit]]
        return JSONResponse({"tasks": page, "count": len(page), "limit": limit, "offset": offset})

    async def _task(self, request: Request) -> Response:
        task = self.tasks.get(request.path_params["id"])
        if task is None:
            return JSONResponse({"error": {"code": "NOT_FOUND", "message": "No such task."}}, 404)
        step = len(task.emails) if self.settled_a_look is None else self.settled_a_look
        task.done = min(task.done + step, len(task.emails))
        return JSONResponse({**self._summary(task), "started_at": None, "finished_at": None})

    async def _download(self, request: Request) -> Response:
        task = self.tasks[request.path_params["id"]]
        text = io.StringIO()
        writer = csv.DictWriter(text, _COLUMNS, extrasaction="ignore")
        writer.writeheader()
        for email in task.emails[: task.done]:
            result = self._result(email)
            writer.writerow({n: str(v).lower() if isinstance(v, bool) else v for n, v in result.items()})
        return PlainTextResponse(text.getvalue(), media_type="text/csv")

    def _result(self, email: str) -> dict[str, Any]:
        result = super()._result(email)
        if email in _SANDBOX:
            result["status"], result["reason"] = _SANDBOX[email]
        elif "@" not in email:
            result["status"], result["reason"] = "invalid_syntax", "syntax"
        return result


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[HostedFake]:
    """An upstream that answers until the block ends."""
    upstream = HostedFake()
    await upstream.start()
    try:
        yield upstream
    finally:
        await upstream.stop()
