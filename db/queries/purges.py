"""Tasks of which something is past its time, and its removal. The task's row is locked first, as everywhere."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select, text, update

from db.models import FINAL_STATUSES, Task, TaskAddress, TaskRow, TaskStatus
from db.queries import tasks
from db.session import ReadSession, Session

_TASKS_AT_A_TIME = 1000


async def expired_drafts(session: ReadSession, made_before: datetime) -> Sequence[UUID]:
    """Drafts that nobody has started, the oldest first."""
    statement = select(Task.id).where(Task.status == TaskStatus.DRAFT, Task.created_at < made_before)
    return (await session.scalars(statement.order_by(Task.created_at).limit(_TASKS_AT_A_TIME))).all()


async def expired_lists(session: ReadSession, ended_before: datetime) -> dict[UUID, int]:
    """Tasks that ended long ago and still have their rows, and how many those are; the oldest first."""
    has_ended = Task.status.in_(FINAL_STATUSES) & (Task.finished_at < ended_before)
    statement = select(Task.id, Task.email_count).where(has_ended, Task.results_purged_at.is_(None))
    rows = await session.execute(statement.order_by(Task.finished_at).limit(_TASKS_AT_A_TIME))
    return {row.id: row.email_count for row in rows}


async def remove_draft(session: Session, task_id: UUID) -> int:
    """Delete a draft; 0 when it was started or deleted meanwhile."""
    task = await tasks.lock(session, task_id)
    if task is None or task.status is not TaskStatus.DRAFT:
        return 0
    await tasks.remove(session, task_id)
    return 1


async def remove_list(session: Session, task_id: UUID, now: datetime) -> int:
    """Delete the rows and verdicts of a task that has ended, and note when; 0 when it runs again meanwhile."""
    task = await tasks.lock(session, task_id)
    if task is None or task.status not in FINAL_STATUSES or task.results_purged_at is not None:
        return 0
    await session.execute(text("SET LOCAL statement_timeout = 0"))
    for table in (TaskRow, TaskAddress):
        await session.execute(delete(table).where(table.task_id == task_id))
    await session.execute(update(Task).where(Task.id == task_id).values(results_purged_at=now))
    return task.email_count
