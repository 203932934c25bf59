"""Rows as they were sent: what a quote shows of them, and what a draft is mapped anew from."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import delete, select

from db.models import TaskRow
from db.session import ReadSession, Session

SAMPLE_ROWS = 5
_CELL_CHARACTERS_MAX = 200


async def samples(session: ReadSession, task_ids: Sequence[UUID]) -> dict[UUID, list[list[str]]]:
    """The first rows of tasks, long cells cut off."""
    r = TaskRow
    statement = (
        select(r.task_id, r.input, r.cells)
        .where(r.task_id.in_(task_ids), r.row_number <= SAMPLE_ROWS)
        .order_by(r.task_id, r.row_number)
    )
    found: dict[UUID, list[list[str]]] = {task_id: [] for task_id in task_ids}
    for row in await session.execute(statement):
        cells = row.cells if row.cells is not None else [row.input]
        found[row.task_id].append([cell[:_CELL_CHARACTERS_MAX] for cell in cells])
    return found


async def cells(session: ReadSession, task_id: UUID, *, after: int, limit: int) -> Sequence[tuple[int, list[str]]]:
    """The next rows of a file: their numbers and cells."""
    r = TaskRow
    statement = select(r.row_number, r.cells).where(r.task_id == task_id, r.row_number > after)
    rows = await session.execute(statement.order_by(r.row_number).limit(limit))
    return [(row.row_number, row.cells or []) for row in rows]


async def forget(session: Session, task_id: UUID, *, after: int, until: int) -> None:
    """Delete the rows of a span, to write them anew."""
    r = TaskRow
    await session.execute(delete(r).where(r.task_id == task_id, r.row_number > after, r.row_number <= until))
