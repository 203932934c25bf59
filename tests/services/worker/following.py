"""A list of every kind of address, and how a test follows what becomes of its task."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from db.models import Task, TaskStatus
from db.queries import tasks as task_queries
from db.session import Database
from services.worker import Worker

MIXED = [
    *(f"yes-{n}@example.com" for n in range(20)),
    *(f"no-{n}@example.com" for n in range(10)),
    *(f"any-{n}@example.com" for n in range(5)),
    *(f"grey-{n}@example.com" for n in range(3)),
    *(f"lost-{n}@example.com" for n in range(2)),
    "info@example.com",
    "bad-one@example.com",
    "no address",
]
"""43 addresses, 36 of which cost a credit."""
CHARGEABLE = 36


class Clock:
    """A clock that every tick moves on, so that all that is put off is due again."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def on(self, by: timedelta = timedelta(minutes=2)) -> datetime:
        self.now += by
        return self.now


async def row_of(db: Database, task_id: UUID) -> Task:
    """The task as it is stored, with counters that fit together."""
    async with db.read() as session:
        row = (await task_queries.by_ids(session, [task_id]))[task_id]
    states, verdicts = row.metrics.job_status, row.metrics.verification_status
    assert min(states.pending, states.processing, states.completed, states.failed) >= 0
    assert states.pending + states.processing + states.completed + states.failed == row.total_count
    done = verdicts.exists + verdicts.not_exists + verdicts.catchall + verdicts.invalid_syntax + verdicts.unknown
    assert done == states.completed + states.failed
    return row


async def worked(worker: Worker, clock: Clock, task: Task, ticks: int = 30, *, pause_seconds: float = 0) -> Task:
    """The task after as many ticks as it takes to end it."""
    for _ in range(ticks):
        await worker.tick(clock.on())
        await asyncio.sleep(pause_seconds)
        row = await row_of(worker.db, task.id)
        if not row.is_open:
            return row
    raise AssertionError(f"still open after {ticks} ticks")


async def held(raw: Any, task: Task) -> tuple[int, int]:
    """Addresses of a task that have a verdict, and those whose verdict costs a credit."""
    ((verdicts, chargeable),) = await raw(
        "SELECT count(verdict), count(*) FILTER (WHERE verdict IN ('EXISTS', 'NOT_EXISTS', 'CATCHALL'))"
        " FROM task_address WHERE task_id = :id",
        id=task.id,
    )
    return verdicts, chargeable


async def is_whole(raw: Any, row: Task) -> None:
    """A completed task of MIXED holds every verdict once."""
    assert (row.status, row.failure_reason) == (TaskStatus.COMPLETED, None)
    assert await held(raw, row) == (43, CHARGEABLE)
    assert row.chargeable_count == CHARGEABLE
    assert (row.exists_count, row.not_exists_count, row.catchall_count) == (21, 10, 5)
    assert (row.invalid_syntax_count, row.unknown_count, row.role_based_count) == (2, 5, 1)
    assert (row.processing_count, row.completed_count, row.failed_count) == (0, 41, 2)
    assert row.finished_at is not None


@contextlib.asynccontextmanager
async def at_work(worker: Worker) -> AsyncIterator[None]:
    """The worker by itself, as in life."""
    stop = asyncio.Event()
    working = asyncio.create_task(worker.run(stop))
    try:
        yield
    finally:
        stop.set()
        await working


async def status_when_over(db: Database, task: Task, seconds: float = 5.0) -> TaskStatus:
    async with asyncio.timeout(seconds):
        while (row := await row_of(db, task.id)).is_open:
            await asyncio.sleep(0.02)
    return row.status


async def failing(*_arguments: Any) -> None:
    raise ConnectionResetError("the worker was stopped here")
