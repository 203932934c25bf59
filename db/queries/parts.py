"""Parts of tasks: what the worker has to post, ask for and stop upstream. The table is its own outbox."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Update, delete, func, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.orm import aliased

from db.models import (
    OPEN_STATUSES,
    LetGoUpstreamTask,
    PartState,
    Task,
    TaskAddress,
    TaskPart,
    TaskStatus,
    Verdict,
    WorkerHeartbeat,
)
from db.session import ReadSession, Session

PartKey = tuple[UUID, int]
_SENDING = 5_201
"""Advisory lock of those who send parts to an upstream without ids."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What upstream told of one part: addresses by state, and by verdict in upstream's words."""

    processing: int
    completed: int
    failed: int
    verdicts: Mapping[str, int]
    requested_at: datetime | None
    completed_at: datetime | None


async def lease_due(
    session: Session, now: datetime, states: Sequence[PartState], *, limit: int, lease: timedelta
) -> Sequence[TaskPart]:
    """Take parts that are due, so that no other worker acts on them until the lease runs out. One statement.

    One that waits to be posted may be upstream from now on, whatever becomes of who has it.
    """
    due = (
        select(TaskPart.task_id, TaskPart.n)
        .where(TaskPart.state != PartState.ENDED, TaskPart.state.in_(states), TaskPart.due_at <= now)
        .order_by(TaskPart.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    statement = (
        update(TaskPart)
        .where(tuple_(TaskPart.task_id, TaskPart.n).in_(due))
        .values(due_at=now + lease, sent_at=func.coalesce(TaskPart.sent_at, now))
        .returning(TaskPart)
        .execution_options(synchronize_session=False)
    )
    return (await session.scalars(statement)).all()


async def next_due_at(session: ReadSession) -> datetime | None:
    """When the next part is due; None when nothing is open."""
    return await session.scalar(select(func.min(TaskPart.due_at)).where(TaskPart.state != PartState.ENDED))


async def open_count(session: ReadSession) -> int:
    """How many parts are not over: the depth of the service's queue."""
    statement = select(func.count()).select_from(TaskPart).where(TaskPart.state != PartState.ENDED)
    return await session.scalar(statement) or 0


async def addresses(session: ReadSession, key: PartKey) -> Sequence[str]:
    """The addresses of a part that still wait for a verdict, in the order of the input."""
    task_id, n = key
    a = TaskAddress
    statement = select(a.email).where(a.task_id == task_id, a.part == n, a.verdict.is_(None)).order_by(a.n)
    return [email for email in await session.scalars(statement) if email is not None]


async def has_waiting(session: ReadSession, key: PartKey) -> bool:
    """Some address of a part still waits for a verdict."""
    task_id, n = key
    a = TaskAddress
    statement = select(a.n).where(a.task_id == task_id, a.part == n, a.verdict.is_(None)).limit(1)
    return await session.scalar(statement) is not None


async def change(session: Session, key: PartKey, **values: Any) -> None:  # noqa: ANN401 - columns of the part
    """Set columns of one part."""
    await session.execute(_update(key).values(**values))


def _update(key: PartKey) -> Update:
    """An update of one part, which parts that a session holds do not follow."""
    task_id, n = key
    statement = update(TaskPart).where(TaskPart.task_id == task_id, TaskPart.n == n)
    return statement.execution_options(synchronize_session=False)


async def postpone(session: Session, part: TaskPart, due_at: datetime, failing_since: datetime) -> bool:
    """Note that one more call for a leased part failed; False when another has worked since it was leased."""
    statement = (
        _update(part.key)
        .where(TaskPart.attempt == part.attempt)
        .values(due_at=due_at, attempt=part.attempt + 1, failing_since=failing_since)
        .returning(TaskPart.n)
    )
    return await session.scalar(statement) is not None


async def advance(session: Session, key: PartKey, *, seen: int, cursor: int) -> bool:
    """Move a part's cursor from `seen`; False when another worker has moved it since."""
    statement = _update(key).where(TaskPart.cursor == seen, TaskPart.state == PartState.RUNNING)
    statement = statement.values(cursor=cursor).returning(TaskPart.n)
    return await session.scalar(statement) is not None


async def write_snapshot(session: Session, key: PartKey, snapshot: Snapshot) -> None:
    """Keep what upstream told; a late answer never turns the counters back.

    Of a part that was made again, upstream knows only the rest: what it holds is counted.
    """
    statement = (
        _update(key)
        .where(TaskPart.state == PartState.RUNNING)
        .where(TaskPart.completed + TaskPart.failed <= snapshot.completed + snapshot.failed, TaskPart.remade_count == 0)
        .values(
            processing=snapshot.processing,
            completed=snapshot.completed,
            failed=snapshot.failed,
            verdicts=dict(snapshot.verdicts),
            requested_at=snapshot.requested_at,
            completed_at=snapshot.completed_at,
        )
        .returning(TaskPart.n)
    )
    if await session.scalar(statement) is None:
        await _count_remade(session, key, snapshot)


async def _count_remade(session: Session, key: PartKey, snapshot: Snapshot) -> None:
    task_id, n = key
    a = TaskAddress
    counts = select(a.task_id, func.count(a.verdict).label("done"), _verdicts().label("verdicts"))
    found = counts.where(a.task_id == task_id, a.part == n).group_by(a.task_id).subquery()
    unknown = found.c.verdicts["unknown"].as_integer()
    failed = func.least(func.greatest(TaskPart.failed, snapshot.failed), unknown)
    statement = (
        _update(key)
        .where(TaskPart.task_id == found.c.task_id, TaskPart.remade_count > 0, TaskPart.state == PartState.RUNNING)
        .values(
            processing=func.least(snapshot.processing, TaskPart.total - found.c.done),
            completed=found.c.done - failed,
            failed=failed,
            verdicts=found.c.verdicts,
            requested_at=snapshot.requested_at,
            completed_at=snapshot.completed_at,
        )
    )
    await session.execute(statement)


def _verdicts() -> ColumnElement[Any]:
    """Counts of a group's addresses in upstream's words."""
    a = TaskAddress
    counts: list[Any] = []
    for verdict in Verdict:
        counts += [verdict.value.lower(), func.count().filter(a.verdict == verdict)]
    for name, flag in (("role_based", a.is_role), ("disposable_domain_emails", a.is_disposable)):
        counts += [name, func.count().filter(flag.is_(True))]
    return func.jsonb_build_object(*counts, type_=JSONB)


async def mark_running(session: Session, key: PartKey, upstream_id: UUID, now: datetime, poll: timedelta) -> bool:
    """Note that a part was posted; False when its task was stopped meanwhile, so that the part is to be stopped too."""
    task_id, _ = key
    started = (
        update(Task)
        .where(Task.id == task_id, Task.status.in_(OPEN_STATUSES))
        .values(status=TaskStatus.RUNNING, started_at=func.coalesce(Task.started_at, now), updated_at=now)
        .returning(Task.id)
        .execution_options(synchronize_session=False)
    )
    is_open = await session.scalar(started) is not None
    # In an open task only a waiting part is to be moved: another worker may have posted it too, and gone on.
    awaited = [PartState.WAITING, PartState.SENT] + ([] if is_open else [PartState.STOPPING, PartState.ENDED])
    statement = (
        _update(key)
        .where(TaskPart.state.in_(awaited))
        .values(
            state=PartState.RUNNING if is_open else PartState.STOPPING,
            upstream_id=upstream_id,
            attempt=0,
            due_at=now + poll if is_open else now,
            poll_seconds=poll.total_seconds(),
        )
    )
    await session.execute(statement)
    await _await_upstream(session, task_id)
    return is_open


async def mark_sent(session: Session, part: TaskPart, now: datetime, look: timedelta) -> bool:
    """Note that a part is about to be sent to an upstream that gives no id; False when it must not be now.

    One of the same size that is looked for must be found first: the two could not be told apart.
    """
    await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SENDING})
    if not await _is_open(session, part.task_id):
        return False
    alike = select(TaskPart.n).where(TaskPart.state == PartState.SENT, TaskPart.total == part.total).limit(1)
    if await session.scalar(alike) is not None:
        return False
    statement = _update(part.key).where(TaskPart.state == PartState.WAITING)
    statement = statement.values(state=PartState.SENT, sent_at=now, due_at=now + look)
    if await session.scalar(statement.returning(TaskPart.n)) is None:
        return False
    await _await_upstream(session, part.task_id)
    return True


async def mark_unsent(session: Session, key: PartKey) -> None:
    """Put a part back in line that surely did not reach upstream; with a task that was stopped meanwhile it is over."""
    state = PartState.WAITING if await _is_open(session, key[0]) else PartState.ENDED
    await change(session, key, state=state, sent_at=None)
    await _await_upstream(session, key[0])


async def mark_lost(session: Session, key: PartKey) -> None:
    """End a part that was sent and is looked for no more."""
    await _is_open(session, key[0])
    await change(session, key, state=PartState.ENDED)
    await _await_upstream(session, key[0])


async def _is_open(session: Session, task_id: UUID) -> bool:
    """Whether a task is open, its row locked: the task before its parts, as everyone locks them."""
    status = await session.scalar(select(Task.status).where(Task.id == task_id).with_for_update(key_share=True))
    return status in OPEN_STATUSES


async def sent(session: ReadSession) -> dict[PartKey, tuple[TaskPart, int]]:
    """Parts that were sent and are looked for, with the number of addresses that were in them."""
    a, p = TaskAddress, TaskPart
    is_in = (a.task_id == p.task_id) & (a.part == p.n) & a.verdict.is_(None)
    counts = select(p.task_id, p.n, func.count(a.n).label("count")).outerjoin(a, is_in)
    counts = counts.where(p.state == PartState.SENT).group_by(p.task_id, p.n)
    found = counts.subquery()
    statement = select(p, found.c.count).join(found, (found.c.task_id == p.task_id) & (found.c.n == p.n))
    return {part.key: (part, count) for part, count in await session.execute(statement)}


async def _await_upstream(session: Session, task_id: UUID) -> None:
    is_sent = select(TaskPart.n).where(TaskPart.task_id == task_id, TaskPart.state == PartState.SENT).exists()
    statement = update(Task).where(Task.id == task_id).values(is_awaiting_upstream=is_sent)
    await session.execute(statement.execution_options(synchronize_session=False))


async def has_open(session: Session, task_id: UUID) -> bool:
    """Some part of the task is not over."""
    statement = select(TaskPart.n).where(TaskPart.task_id == task_id, TaskPart.state != PartState.ENDED).limit(1)
    return await session.scalar(statement) is not None


async def stop_all(session: Session, task_id: UUID, now: datetime) -> None:
    """Stop the parts of a task: those that are upstream, or may be, are to be stopped there, the others are over.

    One that was sent to an upstream without ids is still looked for, and stopped when it is found.
    """
    part = TaskPart
    is_unsent = part.sent_at.is_(None) & part.upstream_id.is_(None)
    for condition, state in ((is_unsent, PartState.ENDED), (part.state != PartState.SENT, PartState.STOPPING)):
        statement = update(part).where(part.task_id == task_id, part.state != PartState.ENDED, condition)
        await session.execute(statement.values(state=state, due_at=now).execution_options(synchronize_session=False))
    await _await_upstream(session, task_id)


async def running_of(session: ReadSession, task_ids: Sequence[UUID]) -> Sequence[TaskPart]:
    """The parts of these tasks that run upstream."""
    statement = select(TaskPart).where(TaskPart.task_id.in_(task_ids), TaskPart.state == PartState.RUNNING)
    return (await session.scalars(statement)).all()


async def by_upstream_ids(session: ReadSession, upstream_ids: Sequence[UUID]) -> dict[UUID, TaskPart]:
    """Parts by their ids upstream, of whatever account; those not known are left out."""
    rows = await session.scalars(select(TaskPart).where(TaskPart.upstream_id.in_(upstream_ids)))
    return {row.upstream_id: row for row in rows if row.upstream_id is not None}


async def let_go(session: Session, task_id: UUID) -> None:
    """Remember what upstream has of a task, before its parts are gone or made again."""
    p = TaskPart
    named = select(p.upstream_id, p.account_id).where(p.task_id == task_id, p.upstream_id.is_not(None))
    statement = insert(LetGoUpstreamTask).from_select(["upstream_id", "account_id"], named)
    await session.execute(statement.on_conflict_do_nothing())


async def were_ours(session: ReadSession, upstream_ids: Sequence[UUID]) -> set[UUID]:
    """Which of these ids upstream were of a part here, and are no more."""
    gone = LetGoUpstreamTask.upstream_id
    return set(await session.scalars(select(gone).where(gone.in_(upstream_ids))))


async def unknown_since(session: ReadSession, account_id: UUID) -> datetime | None:
    """When the oldest task was made of which some part has no id upstream, and may get one; None without such."""
    part_of_it = TaskPart.task_id == Task.id
    is_unknown = TaskPart.upstream_id.is_(None) & (TaskPart.state != PartState.ENDED)
    statement = select(func.min(Task.created_at)).join(TaskPart, part_of_it)
    return await session.scalar(statement.where(TaskPart.account_id == account_id, is_unknown))


async def last_number(session: ReadSession, task_id: UUID) -> int:
    """The number of a task's last part; 0 without one."""
    return await session.scalar(select(func.max(TaskPart.n)).where(TaskPart.task_id == task_id)) or 0


async def recount(session: Session, task_id: UUID) -> None:
    """Set the counts of a task's parts to what their addresses hold, once some were moved to others."""
    a, p = TaskAddress, aliased(TaskPart)
    is_its = (a.task_id == p.task_id) & (a.part == p.n)
    counts = (
        select(p.n, func.count(a.n).label("total"), func.count(a.verdict).label("done"), _verdicts().label("verdicts"))
        .outerjoin(a, is_its)
        .where(p.task_id == task_id)
        .group_by(p.n)
        .subquery()
    )
    statement = (
        update(TaskPart)
        .where(TaskPart.task_id == task_id, TaskPart.n == counts.c.n)
        .values(total=counts.c.total, completed=counts.c.done, processing=0, failed=0, verdicts=counts.c.verdicts)
    )
    await session.execute(statement.execution_options(synchronize_session=False))


async def beat(session: Session, worker_id: UUID, started_at: datetime, now: datetime) -> None:
    """Note that a worker is alive, and forget those silent for an hour."""
    values = {"id": worker_id, "started_at": started_at, "beat_at": now}
    statement = insert(WorkerHeartbeat).values(values)
    await session.execute(statement.on_conflict_do_update(index_elements=["id"], set_={"beat_at": now}))
    gone = delete(WorkerHeartbeat).where(WorkerHeartbeat.beat_at < now - timedelta(hours=1))
    await session.execute(gone.execution_options(synchronize_session=False))


async def last_beat_at(session: ReadSession) -> datetime | None:
    """When any worker was last alive."""
    return await session.scalar(select(func.max(WorkerHeartbeat.beat_at)))
