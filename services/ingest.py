"""Upstream's answers become our verdicts: one transaction a batch, replayable at any point."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from db.models import EmailVerification, PartState, Task, TaskSource, TaskStatus
from db.queries import parts as part_queries
from db.queries import results as result_queries
from db.queries import tasks as task_queries
from db.queries.parts import PartKey, Snapshot
from db.session import Database, Session
from services import credits, webhooks


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a batch changed: verdicts that are new, and those among them that cost a credit."""

    new_count: int
    chargeable_count: int
    task: Task

    @property
    def spent_count(self) -> int:
        """Credits that were paid for it: none where the task costs nothing."""
        return self.chargeable_count if self.task.charge_policy is not None else 0


_NOTHING = Snapshot(processing=0, completed=0, failed=0, verdicts={}, requested_at=None, completed_at=None)


async def record_batch(
    session: Session, key: PartKey, batch: Sequence[EmailVerification], *, seen: int, cursor: int, now: datetime
) -> Recorded | None:
    """Write a batch of verdicts, move the part's cursor from `seen`, and pay for what is new: all or nothing.

    None when the batch is not to be counted: its task has ended (results that come later are dropped), or another
    worker has recorded it.
    """
    task = await _open_task(session, key[0])
    if task is None or not await part_queries.advance(session, key, seen=seen, cursor=cursor):
        return None
    if task.source is TaskSource.UPSTREAM:
        await result_queries.adopt(session, task.id, key[1], batch)
    chargeable = credits.chargeable(task.charge_policy)
    new_count, chargeable_count = await result_queries.write(session, key[0], batch, chargeable)
    await credits.settle(session, task, chargeable_count, now)
    return Recorded(new_count, chargeable_count, task)


async def record_snapshot(db: Database, key: PartKey, snapshot: Snapshot, now: datetime) -> None:
    """Keep what upstream told of a part, and move the task's counters."""
    async with db.transaction() as session:
        task = await _open_task(session, key[0])
        if task is None:
            return
        await part_queries.write_snapshot(session, key, snapshot)
        await task_queries.move_counters(session, key[0], now)


async def end_part(db: Database, key: PartKey, snapshot: Snapshot, now: datetime) -> bool:
    """Note that a part is over and drained; True when with it the task is COMPLETED."""
    async with db.transaction() as session:
        task = await _open_task(session, key[0])
        if task is None:
            return False
        return await _end(session, task, key, snapshot, now)


async def send_again(db: Database, key: PartKey, remade_count: int, now: datetime) -> bool:
    """Put a part that upstream has lost back in line, with what still lacks a verdict.

    When nothing lacks one there is nothing to send and the part is over; True when with it the task is COMPLETED.
    """
    async with db.transaction() as session:
        task = await _open_task(session, key[0])
        if task is None:
            return False
        await part_queries.change(session, key, remade_count=remade_count, processing=0)
        if not await part_queries.has_waiting(session, key):
            return await _end(session, task, key, _NOTHING, now)
        await part_queries.let_go(session, task.id)
        unsent = {"state": PartState.WAITING, "upstream_id": None, "sent_at": None, "cursor": 0, "attempt": 0}
        await part_queries.change(session, key, due_at=now, **unsent)
        await task_queries.move_counters(session, key[0], now)
        return False


async def _end(session: Session, task: Task, key: PartKey, snapshot: Snapshot, now: datetime) -> bool:
    await part_queries.write_snapshot(session, key, snapshot)
    await part_queries.change(session, key, state=PartState.ENDED)
    await task_queries.move_counters(session, key[0], now)
    if await part_queries.has_open(session, key[0]):
        return False
    if task.source is TaskSource.UPSTREAM:
        await task_queries.count_adopted(session, task.id)
    await task_queries.finish(session, key[0], TaskStatus.COMPLETED, now)
    await credits.release(session, task, now)
    await _tell(session, task, now)
    return True


async def fail(db: Database, task_id: UUID, reason: str, now: datetime) -> None:
    """Stop a task by a fault that will not mend itself; its verdicts so far are kept."""
    async with db.transaction() as session:
        task = await _open_task(session, task_id)
        if task is None:
            return
        await part_queries.stop_all(session, task_id, now)
        await task_queries.finish(session, task_id, TaskStatus.FAILED, now, reason)
        await credits.release(session, task, now)
        await _tell(session, task, now)


async def _open_task(session: Session, task_id: UUID) -> Task | None:
    """The task, locked, while it still waits for verdicts. Before its parts: the other way round two would wait."""
    task = await task_queries.lock(session, task_id)
    return task if task is not None and task.is_open else None


async def _tell(session: Session, task: Task, now: datetime) -> None:
    await session.refresh(task)  # its counters were moved by statements of their own
    await webhooks.task_ended(session, task, now)
