"""A task followed live."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID
from weakref import WeakKeyDictionary

from aiodataloader import DataLoader

from db import ids, models
from db.models import ApiKeyScope
from db.queries import tasks as queries
from db.session import Database
from resolvers.context import Info
from services.errors import NotFound

_GAP = timedelta(seconds=0.5)
"""At most two updates a second."""
_BATCH_MAX = 500


@dataclass(frozen=True, slots=True)
class TaskProgress:
    """A step of a task."""

    task: models.Task
    occurred_at: datetime


# Many follow, and one notice wakes them together: they share a loader, which remembers nothing.
_latest_rows: WeakKeyDictionary[Database, DataLoader[UUID, models.Task | None]] = WeakKeyDictionary()


def _latest(db: Database) -> DataLoader[UUID, models.Task | None]:
    if db not in _latest_rows:
        reads = db.hot

        async def batch(task_ids: list[UUID]) -> list[models.Task | None]:
            found = await queries.hot_by_ids(reads, task_ids)
            return [found.get(task_id) for task_id in task_ids]

        _latest_rows[db] = DataLoader(batch, cache=False, max_batch_size=_BATCH_MAX)
    return _latest_rows[db]


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
            row = await _latest(parts.db).load(uuid)
            if row is None or not actor.reaches(row.account_id):
                if last is not None:  # deleted while it was followed
                    return
                raise NotFound
            if last is None or row.metrics != last.metrics or row.status != last.status:
                yield TaskProgress(row, parts.now())
            if row.status in models.FINAL_STATUSES:
                return
            last = row
    finally:
        await changes.aclose()
