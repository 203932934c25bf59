"""Numbers by UTC day, from counters that are kept in columns: no verdict is counted here."""

import datetime as dt
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Date, cast, func, select

from db.models import Task, TaskDay, TaskSeriesPoint
from db.queries import tasks
from db.queries.tasks import TaskConditions
from db.session import ReadSession

_SUMMED = (
    Task.total_count,
    Task.processing_count,
    Task.completed_count,
    Task.failed_count,
    Task.exists_count,
    Task.not_exists_count,
    Task.catchall_count,
    Task.invalid_syntax_count,
    Task.unknown_count,
    Task.role_based_count,
    Task.disposable_count,
)
_LATEST = (Task.last_verification_requested_at, Task.last_verification_completed_at)

TaskDays = tuple[UUID, dt.date, dt.date]
"""A task with the first and the last day of a span."""


async def tasks_by_day(
    session: ReadSession,
    account_id: UUID | None,
    conditions: TaskConditions,
    *,
    starts_at: dt.datetime,
    ends_at: dt.datetime,
) -> dict[dt.date, TaskSeriesPoint]:
    """Tasks of an account (of everybody when None) by the day on which they were made, and their counters added up.

    Days without a task are left out.
    """
    made_at = tasks.CREATED_AT_UTC
    day = cast(made_at, Date)
    sums: list[Any] = [cast(func.sum(column), BigInteger).label(column.key) for column in _SUMMED]
    latest = [func.max(column).label(column.key) for column in _LATEST]
    statement = tasks.matching(
        account_id, conditions, select(day.label("day"), func.count().label("n"), *sums, *latest)
    )
    if account_id is None:
        statement = statement.where(made_at >= starts_at.replace(tzinfo=None), made_at < ends_at.replace(tzinfo=None))
    else:
        statement = statement.where(Task.created_at >= starts_at, Task.created_at < ends_at)
    points = {}
    for row in await session.execute(statement.group_by(day)):
        added_up = Task(**{column.key: getattr(row, column.key) for column in (*_SUMMED, *_LATEST)})
        points[row.day] = TaskSeriesPoint(row.day, row.n, added_up.metrics)
    return points


async def of_tasks(session: ReadSession, spans: Sequence[TaskDays]) -> dict[TaskDays, list[TaskDay]]:
    """What was found out for each task, by the day of the verdict; days without one are left out."""
    first, last = min(span[1] for span in spans), max(span[2] for span in spans)
    task_ids = {span[0] for span in spans}
    statement = select(TaskDay).where(TaskDay.task_id.in_(task_ids), TaskDay.date.between(first, last))
    rows = (await session.scalars(statement)).all()
    return {span: [r for r in rows if r.task_id == span[0] and span[1] <= r.date <= span[2]] for span in spans}
