"""A task followed live."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime, timedelta

from db import ids, models
from db.models import ApiKeyScope
from db.queries import tasks as queries
from resolvers.context import Info
from services.errors import NotFound

_GAP = timedelta(seconds=0.5)
"""At most two updates a second."""


@dataclass(frozen=True, slots=True)
class TaskProgress:
    """A step of a task."""

    task: models.Task
    occurred_at: datetime


async def task_progress(info: Info, task_id: str) -> AsyncGenerator[TaskProgress, None]:
    """The task as it is, then every change of it, until its final state.

    Raises:
        NotFound: no such task, or another's.

    """
    actor = info.context.require(ApiKeyScope.TASKS_READ)
    parts, uuid = info.context.parts, ids.parse("task", task_id)
    last: models.Task | None = None
    changes = parts.hub.changes(uuid, gap=_GAP) if uuid is not None else None
    if uuid is None or changes is None:
        raise NotFound
    try:
        async for _ in changes:
            async with parts.db.read() as session:
                row = (await queries.by_ids(session, [uuid])).get(uuid)
            if row is None or not actor.reaches(row.account_id):
                if last is not None:  # deleted while it was followed
                    return
                raise NotFound
            if last is None or row.metrics != last.metrics or row.status != last.status:
                yield TaskProgress(row, parts.now())
            if not row.is_open:
                return
            last = row
    finally:
        await changes.aclose()
