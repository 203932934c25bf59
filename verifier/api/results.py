"""Results over REST: pages while the task runs, and the whole as a file."""

import csv
import io
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from verifier.api import answers, errors, parameters, parts, pictures
from verifier.api import tasks as task_routes
from verifier.store.queries import results

LIMIT_MAX = 5000
LIMIT_DEFAULT = 1000
CSV_COLUMNS = (
    "email", "status", "reason", "role_based", "disposable", "free_provider", "suggestion", "checked_at",
)  # fmt: skip


async def page(request: Request) -> Response:
    """GET /tasks/{id}/results."""
    task = await task_routes.visible(request, malformed=errors.NotFound)
    after = parameters.number(request, "after", default=0, least=0)
    limit = parameters.number(request, "limit", default=LIMIT_DEFAULT, least=1, most=LIMIT_MAX)
    rows = await results.page(parts.of(request).pool, task.id, after=after, limit=limit)
    next_after = rows[-1]["seq"] if rows else after
    return answers.json({"results": [pictures.stored_result(row) for row in rows], "next_after": next_after})


async def download(request: Request) -> Response:
    """GET /tasks/{id}/download."""
    task = await task_routes.visible(request)
    format = request.query_params.get("format", "csv")
    if format == "csv":
        media_type, head, render = "text/csv", ",".join(CSV_COLUMNS) + "\r\n", _csv
    elif format == "txt":
        media_type, head, render = "text/plain", "", _txt
    else:
        raise errors.BadRequest("must be csv or txt; xlsx is not made yet", field="format")
    return StreamingResponse(
        _stream(request, task.id, head, render),
        media_type=media_type,
        headers={
            "Content-Disposition": f'attachment; filename="task-{task.id}.{format}"',
            "X-Content-Type-Options": "nosniff",
        },
    )


Render = Callable[[Sequence[Mapping[str, Any]]], str]


async def _stream(request: Request, task_id: UUID, head: str, render: Render) -> AsyncIterator[bytes]:
    if head:
        yield head.encode()
    async for rows in results.in_input_order(parts.of(request).pool, task_id):
        yield render(rows).encode()


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    page = io.StringIO()
    writer = csv.writer(page)
    for row in rows:
        writer.writerow([results.email_of(row), *(_cell(row[name]) for name in CSV_COLUMNS[1:])])
    return page.getvalue()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return str(value)


def _txt(rows: Sequence[Mapping[str, Any]]) -> str:
    """Render lines; a malformed address may hold tabs and line ends, which become blanks."""
    return "".join(f"{' '.join(_words(row))}\t{row['status']}\n" for row in rows)


def _words(row: Mapping[str, Any]) -> list[str]:
    return results.email_of(row).replace("\t", "\n").splitlines() or [""]
