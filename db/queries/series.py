"""Numbers by UTC day, from counters that are kept in columns: no verdict is counted here."""

import datetime as dt
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Date, bindparam, cast, func, literal_column, select, text, union_all

from db import hot
from db.models import (
    AccountDay,
    JobStatusCounts,
    Task,
    TaskDay,
    TaskMetrics,
    TaskSeriesPoint,
    TaskStatus,
    VerificationStatusCounts,
)
from db.models.tasks import UNENDED
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
_SUMS: list[Any] = [cast(func.sum(column), BigInteger).label(column.key) for column in _SUMMED]
_LATEST_OF: list[Any] = [func.max(column).label(column.key) for column in _LATEST]

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
    statement = tasks.matching(
        account_id, conditions, select(day.label("day"), func.count().label("n"), *_SUMS, *_LATEST_OF)
    )
    if account_id is None:
        statement = statement.where(made_at >= starts_at.replace(tzinfo=None), made_at < ends_at.replace(tzinfo=None))
    else:
        statement = statement.where(Task.created_at >= starts_at, Task.created_at < ends_at)
    points = {}
    for row in await session.execute(statement.group_by(day)):
        points[row.day] = TaskSeriesPoint(row.day, row.n, _added_up([row[2:]]))
    return points


def _by_status() -> hot.Read[tuple[Any, ...]]:
    """What has ended is added up by the day already; the rest is few."""
    a, columns = AccountDay, [column.key for column in (*_SUMMED, *_LATEST)]
    ended = select(a.status, a.task_count, *(getattr(a, name) for name in columns)).where(
        a.account_id == bindparam("account_id"), a.date.between(bindparam("first"), bindparam("last"))
    )
    others = select(Task.status, literal_column("1"), *(getattr(Task, name) for name in columns)).where(
        Task.account_id == bindparam("account_id"),
        Task.created_at >= bindparam("starts_at"),
        Task.created_at < bindparam("ends_at"),
        text(f"task.{UNENDED}"),
    )
    found = union_all(ended, others).subquery().c
    sums = [cast(func.sum(found[name]), BigInteger) for name in ("task_count", *columns[: len(_SUMMED)])]
    latest = [func.max(found[name]) for name in columns[len(_SUMMED) :]]
    return hot.Read(select(found.status, *sums, *latest).group_by(found.status))


_BY_STATUS = _by_status()


async def tasks_by_status(
    reads: hot.Reads,
    account_id: UUID,
    *,
    first: dt.date,
    last: dt.date,
    starts_at: dt.datetime,
    ends_at: dt.datetime,
) -> tuple[dict[TaskStatus, int], TaskMetrics]:
    """How many tasks of an account made in a span have each status that any has, and their counters added up.

    `starts_at` and `ends_at` are the ends of the days from `first` to `last`.
    """
    found = await reads.fetch(
        _BY_STATUS, account_id=account_id, first=first, last=last, starts_at=starts_at, ends_at=ends_at
    )
    return {TaskStatus(row[0]): row[1] for row in found}, _added_up([row[2:] for row in found])


def _added_up(rows: Sequence[Sequence[Any]]) -> TaskMetrics:
    """Add up rows of `_SUMS` and `_LATEST_OF`."""
    columns = list(zip(*rows, strict=True)) or [()] * (len(_SUMMED) + len(_LATEST))
    sums = [sum(values) for values in columns[: len(_SUMMED)]]
    latest = [max((v for v in values if v is not None), default=None) for values in columns[len(_SUMMED) :]]
    total, processing, completed, failed, *verdicts = sums
    pending = total - processing - completed - failed
    return TaskMetrics(
        total, JobStatusCounts(pending, processing, completed, failed), VerificationStatusCounts(*verdicts), *latest
    )


async def of_tasks(session: ReadSession, spans: Sequence[TaskDays]) -> dict[TaskDays, list[TaskDay]]:
    """What was found out for each task, by the day of the verdict; days without one are left out."""
    first, last = min(span[1] for span in spans), max(span[2] for span in spans)
    task_ids = {span[0] for span in spans}
    statement = select(TaskDay).where(TaskDay.task_id.in_(task_ids), TaskDay.date.between(first, last))
    rows = (await session.scalars(statement)).all()
    return {span: [r for r in rows if r.task_id == span[0] and span[1] <= r.date <= span[2]] for span in spans}
