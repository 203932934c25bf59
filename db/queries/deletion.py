"""What is left of deleted accounts, removed step by step."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Table as FromTable
from sqlalchemy import TextClause, delete, exists, select, text, update

from db.models import (
    OPEN_STATUSES,
    Account,
    CreditTransaction,
    PartState,
    Table,
    Task,
    TaskAddress,
    TaskPart,
    TaskRow,
    Webhook,
    WebhookDelivery,
)
from db.session import ReadSession, Session

_ROWS_A_STEP = 20_000
_STOPPED_FIRST = ("task", "upstream_key")
"""Tables whose rows are needed until the account's last task has been stopped upstream."""
_LONG = ("idempotency_key", "webhook_delivery")
"""Tables of which an account may have millions of rows: they go step by step."""
_ABOVE_LONG = ("webhook",)
"""Tables whose rows would take those of a long table with them: emptied at once, they go with the account."""

# Bounded by a range of the key, not by a list of keys: whatever the statistics say, the work is that of the rows.
_DELETE_ROWS = text("""
DELETE FROM task_row WHERE task_id = :task_id AND row_number < :size + (
    SELECT min(row_number) FROM task_row WHERE task_id = :task_id)
""")
_DELETE_ADDRESSES = text("""
DELETE FROM task_address WHERE task_id = :task_id AND n < :size + (
    SELECT min(n) FROM task_address WHERE task_id = :task_id)
""")
_DELETE_KEYS = text("""
DELETE FROM idempotency_key WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM idempotency_key WHERE account_id = :account_id LIMIT :size))
""")


_DELETE_DELIVERIES = text("""
DELETE FROM webhook_delivery WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM webhook_delivery WHERE account_id = :account_id LIMIT :size))
""")


async def close(session: Session, account_id: UUID, now: datetime) -> None:
    """Take the person out of an account: nobody can sign in to it, and nothing in it tells whose it was."""
    for table in _of_the_person():
        await session.execute(delete(table).where(table.c.account_id == account_id))
    nowhere = {"url": "", "is_enabled": False}  # before its deliveries, as everyone locks them
    await session.execute(update(Webhook).where(Webhook.account_id == account_id).values(nowhere))
    d = WebhookDelivery  # nobody is told anything from now on
    await session.execute(delete(d).where(d.account_id == account_id, d.due_at.is_not(None)))
    gone = {"email": f"{account_id}@deleted.invalid", "email_confirmed_at": None, "deleted_at": now}
    await session.execute(update(Account).where(Account.id == account_id).values(gone))


def _of_the_person() -> list[FromTable]:
    """Every table whose rows hang on an account, but for what cannot go at once."""
    return [
        table
        for table in Table.metadata.sorted_tables
        if table.name not in (*_STOPPED_FIRST, *_LONG, *_ABOVE_LONG)
        and any(key.column.table.name == "account" for key in table.foreign_keys)
    ]


async def forget_notes(session: Session, account_id: UUID) -> bool:
    """Empty some notes of an account's ledger: they may tell of the person; False when there are none.

    Nothing else of it can be changed.
    """
    t = CreditTransaction
    noted = select(t.id).where(t.account_id == account_id, t.note.is_not(None)).limit(_ROWS_A_STEP)
    connection = await session.connection()
    return bool((await connection.execute(update(t).where(t.id.in_(noted)).values(note=None))).rowcount)


async def forget_keys(session: Session, account_id: UUID) -> bool:
    """Delete some of an account's repeat-safe keys, with the answers that they keep; False when there are none."""
    return await _take_step(session, _DELETE_KEYS, account_id)


async def forget_deliveries(session: Session, account_id: UUID) -> bool:
    """Delete some of what an account's webhooks were told; False when there is none."""
    return await _take_step(session, _DELETE_DELIVERIES, account_id)


async def _take_step(session: Session, statement: TextClause, account_id: UUID) -> bool:
    connection = await session.connection()
    return bool((await connection.execute(statement, {"account_id": account_id, "size": _ROWS_A_STEP})).rowcount)


async def waiting(session: ReadSession) -> list[UUID]:
    """Accounts that are being deleted, the oldest first."""
    statement = select(Account.id).where(Account.deleted_at.is_not(None)).order_by(Account.deleted_at)
    return list(await session.scalars(statement))


async def claim(session: Session, account_id: UUID) -> bool:
    """Hold a deleted account until the transaction ends; False when another worker does, or it is gone."""
    statement = select(Account.id).where(Account.id == account_id, Account.deleted_at.is_not(None))
    return await session.scalar(statement.with_for_update(key_share=True, skip_locked=True)) is not None


async def ended_task(session: ReadSession, account_id: UUID) -> UUID | None:
    """A task of an account that upstream has not to be told to stop any more."""
    is_open = exists().where(TaskPart.task_id == Task.id, TaskPart.state != PartState.ENDED)
    return await session.scalar(select(Task.id).where(Task.account_id == account_id, ~is_open).limit(1))


async def open_task(session: ReadSession, account_id: UUID) -> UUID | None:
    """A task of an account that still waits for verdicts."""
    statement = select(Task.id).where(Task.account_id == account_id, Task.status.in_(OPEN_STATUSES))
    return await session.scalar(statement.limit(1))


async def shrink_task(session: Session, task_id: UUID) -> bool:
    """Delete some of a task's rows and addresses; True when none are left."""
    values = {"task_id": task_id, "size": _ROWS_A_STEP}
    for statement in (_DELETE_ROWS, _DELETE_ADDRESSES):
        await session.execute(statement, values)
    for table in (TaskRow, TaskAddress):
        if await session.scalar(select(exists().where(table.task_id == task_id))):
            return False
    return True


async def delete_account(session: Session, account_id: UUID) -> bool:
    """Delete an account without tasks, and what else hangs on it; False when something is being added to it just now.

    The stronger lock waits for nobody: a task that is being stored holds its account, and is to be ended first.
    """
    statement = select(Account.id).where(Account.id == account_id).with_for_update(skip_locked=True)
    if await session.scalar(statement) is None or await session.scalar(
        select(exists().where(Task.account_id == account_id))
    ):
        return False
    await session.execute(delete(Account).where(Account.id == account_id))
    return True
