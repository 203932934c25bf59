"""A task's results as a file, over REST."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import IO, Any, ParamSpec, TypeVar
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from verifier.api import errors, negotiation, parts
from verifier.api import tasks as task_routes
from verifier.files import writing
from verifier.store.database import Pool
from verifier.store.queries import results

P = ParamSpec("P")
T = TypeVar("T")

PIECE_BYTES = 64 * 1024
MEDIA_TYPES = {
    "csv": "text/csv",
    "txt": "text/plain",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


async def download(request: Request) -> Response:
    """GET /tasks/{id}/download: what is there by now, in the order of the list that was sent."""
    task = await task_routes.visible(request)
    format = request.query_params.get("format", "csv")
    if format not in MEDIA_TYPES:
        raise errors.BadRequest(f"must be one of {', '.join(MEDIA_TYPES)}", field="format")
    negotiation.require_accepted(request, MEDIA_TYPES[format])
    pool = parts.of(request).pool
    if format == "xlsx":
        content = _pieces(await _spreadsheet(pool, task.id))
    else:
        head, page = (writing.csv_head(), writing.csv_page) if format == "csv" else (b"", writing.txt_page)
        content = _pages(pool, task.id, head, page)
    headers = {
        "Content-Disposition": f'attachment; filename="task-{task.id}.{format}"',
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return StreamingResponse(content, media_type=MEDIA_TYPES[format], headers=headers)


async def _rows(pool: Pool, task_id: UUID) -> AsyncIterator[list[dict[str, Any]]]:
    async for page in results.in_input_order(pool, task_id):
        yield [{**row, "email": results.email_of(row)} for row in page]


async def _pages(
    pool: Pool, task_id: UUID, head: bytes, render: Callable[[Sequence[writing.Row]], bytes]
) -> AsyncIterator[bytes]:
    if head:
        yield head
    async for rows in _rows(pool, task_id):
        yield render(rows)


async def _spreadsheet(pool: Pool, task_id: UUID) -> IO[bytes]:
    """Write the whole file first: its directory stands at its end, and faults are told before anything was sent."""
    sheet = await asyncio.to_thread(writing.Spreadsheet)
    try:
        async for rows in _rows(pool, task_id):
            await _to_the_end(sheet.add, rows)
        return await _to_the_end(sheet.close)
    except BaseException:
        sheet.close().close()
        raise


async def _to_the_end(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Work in a thread. It cannot be stopped: whoever is cancelled waits for it, so as to close nothing under it."""
    working = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(working)
    finally:
        await asyncio.wait((working,))


async def _pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    with file:
        while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
            yield piece
