"""Tasks over time: those of the caller, those of everybody, and the days of one."""

import datetime as dt
from uuid import UUID

from db import models
from db.models import ApiKeyScope, JobStatusCounts, TaskMetrics, TaskSeries, TaskSeriesPoint, VerificationStatusCounts
from db.queries import series as queries
from db.queries.tasks import TaskConditions
from resolvers import ranges, tasks
from resolvers.context import Context, Info
from resolvers.ranges import Range
from services.ranges import Days

_NOTHING = TaskMetrics(0, JobStatusCounts(0, 0, 0, 0), VerificationStatusCounts(), None, None)


async def own(info: Info, range: Range, filter: tasks.Filter | None = None) -> TaskSeries:
    """The caller's tasks."""
    account_id = info.context.require(ApiKeyScope.TASKS_READ).account_id
    days = ranges.days(range, info.context.parts.now())
    return await of_account(info.context, account_id, days, tasks.conditions(filter))


async def everybody(info: Info, range: Range) -> TaskSeries:
    """The tasks of every account, for administrators."""
    return await of_account(info.context, None, ranges.days(range, info.context.parts.now()), TaskConditions())


async def of_account(context: Context, account_id: UUID | None, days: Days, conditions: TaskConditions) -> TaskSeries:
    """A point for every day: the tasks of an account (of everybody when None) that were made on it."""
    async with context.parts.db.read() as session:
        found = await queries.tasks_by_day(
            session, account_id, conditions, starts_at=days.starts_at, ends_at=days.ends_at
        )
    return TaskSeries([found.get(day) or TaskSeriesPoint(day, 0, _NOTHING) for day in days])


async def of_task(info: Info, root: models.Task, range: Range | None = None) -> list[models.TaskDay]:
    """A point for every day: the verdicts of a task that were found on it."""
    days = ranges.days(range, info.context.parts.now())
    found = await info.context.load.task_days.load((root.id, days.first, days.last)) or []
    by_date = {row.date: row for row in found}
    return [_day(root, by_date.get(day), day) for day in days]


def _day(task: models.Task, found: models.TaskDay | None, day: dt.date) -> models.TaskDay:
    """A point of a task. What is malformed has its verdict from the moment that the task was made."""
    counts = {name: getattr(found, name, 0) for name in _COUNTS}
    last_verified_at = found.last_verified_at if found is not None else None
    if task.malformed_count and day == task.created_at.astimezone(dt.UTC).date():
        counts["invalid_syntax_count"] += task.malformed_count
        last_verified_at = last_verified_at or task.created_at
    return models.TaskDay(task_id=task.id, date=day, last_verified_at=last_verified_at, **counts)


_COUNTS = [c.key for c in models.TaskDay.__table__.columns if c.key.endswith("_count")]
