"""Tasks: making, listing, moving them on."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Select,
    SQLColumnExpression,
    Uuid,
    any_,
    bindparam,
    delete,
    func,
    literal,
    literal_column,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from db import hot
from db.models import (
    OPEN_STATUSES,
    EvidenceStep,
    IdempotencyKey,
    Task,
    TaskAddress,
    TaskOrderField,
    TaskPart,
    TaskRow,
    TaskStatus,
    Verdict,
    VerdictReason,
)
from db.queries import pages
from db.session import ReadSession, Session

SORT_COLUMNS: dict[TaskOrderField, SQLColumnExpression[Any]] = {
    TaskOrderField.CREATED_AT: Task.created_at,
    TaskOrderField.NAME: func.lower(Task.name),
    TaskOrderField.TOTAL: Task.total_count,
}


CREATED_AT_UTC: ColumnElement[datetime] = func.timezone(literal_column("'UTC'"), Task.created_at)
"""What the tasks of everybody are ordered by: it has an index of its own."""


@dataclass(frozen=True, slots=True)
class TaskConditions:
    """Which tasks to list; all given conditions must hold."""

    created_after: datetime | None = None
    created_before: datetime | None = None
    status: Sequence[TaskStatus] | None = None
    integration: Sequence[str] | None = None
    name_contains: str | None = None


async def by_ids(session: ReadSession, task_ids: Sequence[UUID]) -> dict[UUID, Task]:
    """Tasks by id; those not found are left out."""
    rows = await session.scalars(select(Task).where(Task.id.in_(task_ids)))
    return {row.id: row for row in rows}


_BY_IDS = hot.Read[Task](select(Task).where(Task.id == any_(bindparam("ids", type_=ARRAY(Uuid())))), Task)


async def hot_by_ids(reads: hot.Reads, task_ids: Sequence[UUID], acting_for: UUID | None = None) -> dict[UUID, Task]:
    """`by_ids`, as a hot read."""
    return {row.id: row for row in await reads.fetch(_BY_IDS, acting_for, ids=task_ids)}


def _newest(*conditions: ColumnElement[bool]) -> hot.Read[Task]:
    statement = select(Task).where(Task.account_id == bindparam("account_id"), *conditions)
    return hot.Read(
        statement.order_by(Task.created_at.desc(), Task.id.desc()).limit(bindparam("size")),
        Task,
    )


_NEWEST = _newest()
_NEWEST_AFTER = _newest(
    tuple_(Task.created_at, Task.id)
    < tuple_(bindparam("at", type_=Task.created_at.type), bindparam("id", type_=Task.id.type))
)


async def newest(reads: hot.Reads, account_id: UUID, window: pages.Window) -> pages.Slice[tuple[Task, Any]]:
    """`page` of all tasks of an account, the newest first, forwards: as a hot read."""
    if window.after is None:
        found = await reads.fetch(_NEWEST, account_id=account_id, size=window.size + 1)
    else:
        at, task_id = window.after
        found = await reads.fetch(_NEWEST_AFTER, account_id=account_id, at=at, id=task_id, size=window.size + 1)
    rows = [(row, row.created_at) for row in found[: window.size]]
    return pages.Slice(rows, has_next=len(found) > window.size, has_previous=window.after is not None)


def matching(account_id: UUID | None, conditions: TaskConditions, statement: Select[Any]) -> Select[Any]:
    """The statement, for tasks of an account (of everybody's when None) that match."""
    if account_id is not None:
        statement = statement.where(Task.account_id == account_id)
    if conditions.created_after is not None:
        statement = statement.where(Task.created_at >= conditions.created_after)
    if conditions.created_before is not None:
        statement = statement.where(Task.created_at < conditions.created_before)
    if conditions.status is not None:
        statement = statement.where(Task.status.in_(conditions.status))
    if conditions.integration is not None:
        statement = statement.where(Task.integration.in_(conditions.integration))
    if conditions.name_contains is not None:
        statement = statement.where(func.lower(Task.name).contains(conditions.name_contains.lower(), autoescape=True))
    return statement


async def page(
    session: ReadSession,
    account_id: UUID | None,
    conditions: TaskConditions,
    window: pages.Window,
    *,
    order: TaskOrderField,
    is_descending: bool,
) -> pages.Slice[tuple[Task, Any]]:
    """One window of an account's tasks (of everybody's when None), each with its sort value."""
    is_everybodys_newest = account_id is None and order is TaskOrderField.CREATED_AT
    column = CREATED_AT_UTC if is_everybodys_newest else SORT_COLUMNS[order]
    statement = matching(account_id, conditions, select(Task, column))
    return await pages.read(session, statement, (column, Task.id), window, is_descending=is_descending)


async def count(session: ReadSession, account_id: UUID | None, conditions: TaskConditions) -> int:
    """How many tasks match."""
    return await session.scalar(matching(account_id, conditions, select(func.count()).select_from(Task))) or 0


async def add(session: Session, task: Task, parts: Iterable[TaskPart]) -> None:
    """Store a new task with its parts; its addresses and rows follow by `copy_addresses` and `copy_rows`."""
    session.add(task)
    await session.flush()
    session.add_all(parts)
    await session.flush()


async def copy_addresses(
    session: Session,
    task_id: UUID,
    addresses: Iterable[tuple[int, int | None, str | None, str | None, str | None]],
    now: datetime,
) -> None:
    """COPY distinct addresses in: (n, part, email, domain, problem). What has a problem is none: it has its verdict."""

    def verdict(problem: str | None) -> tuple[Any, ...]:
        if problem is None:
            return None, None, None, None
        evidence = json.dumps([EvidenceStep.of_syntax(problem, now).to_json()])
        return Verdict.INVALID_SYNTAX.value, VerdictReason.SYNTAX.value, now, evidence

    await _copy(
        session,
        TaskAddress.__tablename__,
        ("task_id", "n", "part", "email", "domain", "verdict", "reason", "verified_at", "evidence"),
        ((task_id, *address, *verdict(problem)) for *address, problem in addresses),
    )


async def copy_rows(
    session: Session, task_id: UUID, rows: Iterable[tuple[int, int, str, str | None, list[str] | None]]
) -> None:
    """COPY input rows in: (row number, n of its address, input, reference, cells)."""
    columns = ("task_id", "row_number", "address_n", "input", "reference", "cells")
    await _copy(session, TaskRow.__tablename__, columns, ((task_id, *row) for row in rows))


async def _copy(session: Session, table: str, columns: Sequence[str], records: Iterable[tuple[Any, ...]]) -> None:
    connection = await (await session.connection()).get_raw_connection()
    driver: Any = connection.driver_connection
    await driver.copy_records_to_table(table, records=records, columns=columns)


async def forget_addresses(session: Session, task_id: UUID) -> None:
    """Delete a task's addresses, to find them anew in its rows."""
    await session.execute(delete(TaskAddress).where(TaskAddress.task_id == task_id))


async def count_adopted(session: Session, task_id: UUID) -> None:
    """Set the counts of a task that was made elsewhere to what came of it."""
    a = TaskAddress
    counts = select(func.count(), func.count(func.distinct(a.domain))).where(a.task_id == task_id)
    total, domains = (await session.execute(counts)).one()
    values = {"email_count": total, "total_count": total, "domain_count": domains}
    statement = update(Task).where(Task.id == task_id).values(values)
    await session.execute(statement.execution_options(synchronize_session=False))


async def remove(session: Session, task_id: UUID) -> None:
    """Delete a task with all that belongs to it; what it cost stays in the ledger. May take long for a long list."""
    await session.execute(text("SET LOCAL statement_timeout = 0"))
    await session.execute(delete(Task).where(Task.id == task_id).execution_options(synchronize_session=False))


async def lock(session: Session, task_id: UUID) -> Task | None:
    """The task's row, locked until the transaction ends: whoever changes a task holds this first."""
    return await session.scalar(
        select(Task).where(Task.id == task_id).with_for_update(key_share=True).execution_options(populate_existing=True)
    )


async def remember(session: Session, key: IdempotencyKey) -> IdempotencyKey | None:
    """Store a repeat-safe key; None when it is new, else the row that was there before."""
    values = {c.key: getattr(key, c.key) for c in IdempotencyKey.__table__.columns}
    statement = insert(IdempotencyKey).values(values).on_conflict_do_nothing().returning(IdempotencyKey.key)
    if await session.scalar(statement) is not None:
        return None
    return await remembered(session, key)


async def remembered(session: ReadSession, key: IdempotencyKey) -> IdempotencyKey | None:
    """The row that a repeat-safe key has; None when it is new."""
    return await session.get(IdempotencyKey, (key.account_id, key.operation, key.key))


async def move_counters(session: Session, task_id: UUID, now: datetime) -> None:
    """Set a running task's counters to what its parts were last told, plus its malformed addresses."""
    p = TaskPart
    verdict = {name: func.coalesce(func.sum(p.verdicts[name].as_integer()), 0) for name in _VERDICT_COLUMNS}
    sums = (
        select(
            p.task_id,
            func.sum(p.processing).label("processing"),
            func.sum(p.completed).label("completed"),
            func.sum(p.failed).label("failed"),
            func.max(p.requested_at).label("requested_at"),
            func.max(p.completed_at).label("completed_at"),
            *(total.label(name) for name, total in verdict.items()),
        )
        .where(p.task_id == task_id)
        .group_by(p.task_id)
        .subquery()
    )
    values: dict[str, Any] = {_VERDICT_COLUMNS[name]: sums.c[name] for name in verdict}
    values["invalid_syntax_count"] = Task.malformed_count + sums.c.invalid_syntax
    await session.execute(
        update(Task)
        .where(Task.id == task_id, Task.id == sums.c.task_id, Task.status.in_(OPEN_STATUSES))
        .values(
            processing_count=sums.c.processing,
            completed_count=Task.malformed_count + sums.c.completed,
            failed_count=sums.c.failed,
            last_verification_requested_at=sums.c.requested_at,
            last_verification_completed_at=sums.c.completed_at,
            updated_at=now,
            refreshed_at=now,
            **values,
        )
        .execution_options(synchronize_session=False)
    )


_VERDICT_COLUMNS = {
    "exists": "exists_count",
    "not_exists": "not_exists_count",
    "catchall": "catchall_count",
    "invalid_syntax": "invalid_syntax_count",
    "unknown": "unknown_count",
    "role_based": "role_based_count",
    "disposable_domain_emails": "disposable_count",
}


async def changed_after(
    session: ReadSession, account_id: UUID, place: tuple[datetime, UUID], *, limit: int
) -> Sequence[Task]:
    """An account's tasks that changed after a moment, the earliest change first; those of one moment by their ids."""
    order = (Task.updated_at, Task.id)
    statement = select(Task).where(Task.account_id == account_id, tuple_(*order) > tuple_(*place))
    return (await session.scalars(statement.order_by(*order).limit(limit))).all()


async def finish(
    session: Session, task_id: UUID, status: TaskStatus, now: datetime, failure_reason: str | None = None
) -> None:
    """Put an open task into its final state, its counters counted from the verdicts that it really holds."""
    a = TaskAddress
    of_verdict = {v: func.count().filter(a.verdict == v) for v in Verdict}
    # One row even of none: a task that was made elsewhere has no addresses before its first results.
    counts = (
        select(
            literal(task_id, Uuid()).label("task_id"),
            func.count(a.verdict).label("done"),
            func.count().filter(a.is_role.is_(True)).label("role"),
            func.count().filter(a.is_disposable.is_(True)).label("disposable"),
            *(n.label(v.value.lower()) for v, n in of_verdict.items()),
        )
        .where(a.task_id == task_id)
        .subquery()
    )
    failed = select(func.coalesce(func.sum(TaskPart.failed), 0)).where(TaskPart.task_id == task_id).scalar_subquery()
    await session.execute(
        update(Task)
        .where(Task.id == counts.c.task_id, Task.status.in_(OPEN_STATUSES))
        .values(
            status=status,
            failure_reason=failure_reason,
            processing_count=0,
            completed_count=counts.c.done - func.least(failed, counts.c.unknown),
            failed_count=func.least(failed, counts.c.unknown),
            exists_count=counts.c.exists,
            not_exists_count=counts.c.not_exists,
            catchall_count=counts.c.catchall,
            invalid_syntax_count=counts.c.invalid_syntax,
            unknown_count=counts.c.unknown,
            role_based_count=counts.c.role,
            disposable_count=counts.c.disposable,
            updated_at=now,
            refreshed_at=now,
            finished_at=now,
        )
        .execution_options(synchronize_session=False)
    )
