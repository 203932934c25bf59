"""The ledger: an account's books read under its lock, one transaction posted in one statement, and lists of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Select, func, select, text
from sqlalchemy.dialects.postgresql import insert

from db.models import CreditAccount, CreditLot, CreditTransaction, CreditTransactionKind, Ledger
from db.queries import pages
from db.session import ReadSession, Session


@dataclass(slots=True)
class Lot:
    """A lot as the books hold it. `is_changed`: it is to be written."""

    id: UUID
    remaining: int
    held: int
    priority: int
    expires_at: datetime | None
    is_new: bool = False
    is_changed: bool = False


@dataclass(slots=True)
class Hold:
    """The hold of a task, with what of its rest lies in which lot."""

    id: UUID
    task_id: UUID
    amount: int
    settled: int
    released: int
    lots: dict[UUID, int]

    @property
    def rest(self) -> int:
        """Credits still set aside."""
        return self.amount - self.settled - self.released


@dataclass(slots=True)
class Books:
    """Everything of an account that a change of its credits can touch; nobody else changes it while this one does."""

    account_id: UUID
    balance: int
    held: int
    debt: int
    lots: list[Lot]
    """Those with something left, in the order in which they are used up."""
    hold: Hold | None
    posted: CreditTransaction | None
    """The transaction that has the key or the outside reference already."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One side of a transaction."""

    ledger: Ledger
    lot_id: UUID | None
    amount: int


@dataclass(frozen=True, slots=True)
class TransactionConditions:
    """Which transactions to list; all given conditions must hold."""

    kind: Sequence[CreditTransactionKind] | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


@dataclass(slots=True)
class Draft:
    """A transaction to be posted."""

    transaction: CreditTransaction
    entries: list[Entry] = field(default_factory=list)


_LOCK = text("SELECT balance, held, debt FROM credit_account WHERE account_id = :account_id FOR NO KEY UPDATE")

# A statement of its own, after the lock: one statement would read what was there before it waited.
_READ = text("""
SELECT t.posted_id, l.id, l.remaining, l.held, l.priority, l.expires_at
FROM (
    SELECT coalesce(
        (SELECT id FROM credit_transaction WHERE idempotency_key = :key),
        (SELECT id FROM credit_transaction WHERE external_ref = :external_ref)
    ) AS posted_id
) t
LEFT JOIN credit_lot l ON l.account_id = :account_id AND l.emptied_at IS NULL
ORDER BY l.priority, l.expires_at NULLS LAST, l.created_at, l.id
""")

_READ_HOLD = text("""
SELECT h.id, h.amount, h.settled, h.released, l.lot_id, l.amount AS in_lot
FROM credit_hold h LEFT JOIN credit_hold_lot l ON l.hold_id = h.id
WHERE h.task_id = :task_id AND h.closed_at IS NULL
""")

# All of a transaction in one statement; when its key is taken elsewhere nothing is written.
_POST = text("""
WITH posted AS (
    INSERT INTO credit_transaction (id, account_id, kind, amount, reserved_amount, balance_after, note, actor_id,
        task_id, external_ref, idempotency_key, request_hash, created_at)
    VALUES (:id, :account_id, :kind, :amount, :reserved_amount, :balance, CAST(:note AS text),
        CAST(:actor_id AS uuid), CAST(:task_id AS uuid), CAST(:external_ref AS text), :key, :request_hash, :now)
    ON CONFLICT DO NOTHING
    RETURNING id, seq
), account AS (
    UPDATE credit_account SET balance = :balance, held = :held, debt = :debt, updated_at = :now
    FROM posted WHERE account_id = :account_id
), new_lot AS (
    INSERT INTO credit_lot (id, account_id, amount, remaining, held, priority, expires_at, created_at)
    SELECT b.id, CAST(:account_id AS uuid), b.remaining, b.remaining, b.held, b.priority, b.expires_at,
        CAST(:now AS timestamptz)
    FROM posted, jsonb_to_recordset(CAST(:new_lots AS jsonb))
        AS b(id uuid, remaining bigint, held bigint, priority smallint, expires_at timestamptz)
), lot AS (
    UPDATE credit_lot l SET remaining = b.remaining, held = b.held,
        emptied_at = CASE WHEN b.remaining = 0 THEN CAST(:now AS timestamptz) END
    FROM posted, jsonb_to_recordset(CAST(:lots AS jsonb)) AS b(id uuid, remaining bigint, held bigint)
    WHERE l.id = b.id
), entry AS (
    INSERT INTO credit_entry (transaction_id, n, ledger, lot_id, amount)
    SELECT posted.id, b.n, b.ledger, b.lot_id, b.amount
    FROM posted, jsonb_to_recordset(CAST(:entries AS jsonb))
        AS b(n smallint, ledger text, lot_id uuid, amount bigint)
)
SELECT seq FROM posted
""")

_WRITE_HOLD = text("""
WITH hold AS (
    INSERT INTO credit_hold (id, account_id, task_id, amount, settled, released, created_at, closed_at)
    VALUES (:id, :account_id, :task_id, :amount, :settled, :released, :now,
        CASE WHEN CAST(:is_closed AS boolean) THEN CAST(:now AS timestamptz) END)
    ON CONFLICT (id) DO UPDATE
    SET settled = excluded.settled, released = excluded.released, closed_at = excluded.closed_at
)
INSERT INTO credit_hold_lot (hold_id, lot_id, amount)
SELECT CAST(:id AS uuid), b.lot_id, b.amount
FROM jsonb_to_recordset(CAST(:lots AS jsonb)) AS b(lot_id uuid, amount bigint)
ON CONFLICT (hold_id, lot_id) DO UPDATE SET amount = excluded.amount
""")


async def open_books(
    session: Session,
    account_id: UUID,
    now: datetime,
    *,
    key: str,
    external_ref: str | None = None,
    task_id: UUID | None = None,
) -> Books:
    """Lock an account and read its books, with the hold of a task. The first change of an account makes its row."""
    row = (await session.execute(_LOCK, {"account_id": account_id})).first()
    if row is None:
        values = {"account_id": account_id, "balance": 0, "held": 0, "debt": 0, "updated_at": now}
        await session.execute(insert(CreditAccount).values(values).on_conflict_do_nothing())
        row = (await session.execute(_LOCK, {"account_id": account_id})).one()
    books = Books(account_id, row.balance, row.held, row.debt, [], None, None)
    given = {"account_id": account_id, "key": key, "external_ref": external_ref}
    posted_id = None
    for found in await session.execute(_READ, given):
        posted_id = found.posted_id
        if found.id is not None:
            books.lots.append(Lot(found.id, found.remaining, found.held, found.priority, found.expires_at))
    if posted_id is not None:
        books.posted = await session.get(CreditTransaction, posted_id)
    if task_id is not None:
        books.hold = await _hold(session, task_id)
    return books


async def _hold(session: Session, task_id: UUID) -> Hold | None:
    rows = (await session.execute(_READ_HOLD, {"task_id": task_id})).all()
    if not rows:
        return None
    first = rows[0]
    lots = {row.lot_id: row.in_lot for row in rows if row.lot_id is not None}
    return Hold(first.id, task_id, first.amount, first.settled, first.released, lots)


async def post(session: Session, books: Books, draft: Draft) -> bool:
    """Write a transaction and the books as they are after it; False when its key belongs to another account's."""
    t = draft.transaction
    changed = [lot for lot in books.lots if lot.is_changed]
    entries = [
        {"n": n, "ledger": entry.ledger.value, "lot_id": entry.lot_id, "amount": entry.amount}
        for n, entry in enumerate(draft.entries)
    ]
    values = {
        "id": t.id,
        "account_id": books.account_id,
        "kind": t.kind.value,
        "amount": t.amount,
        "reserved_amount": t.reserved_amount,
        "balance": books.balance,
        "held": books.held,
        "debt": books.debt,
        "note": t.note,
        "actor_id": t.actor_id,
        "task_id": t.task_id,
        "external_ref": t.external_ref,
        "key": t.idempotency_key,
        "request_hash": t.request_hash,
        "now": t.created_at,
        "new_lots": _json([_lot(lot) for lot in changed if lot.is_new]),
        "lots": _json([_lot(lot) for lot in changed if not lot.is_new]),
        "entries": _json(entries),
    }
    seq = await session.scalar(_POST, values)
    if seq is None:
        return False
    t.seq = seq
    for lot in changed:
        lot.is_changed = lot.is_new = False
    return True


async def write_hold(session: Session, books: Books, hold: Hold, now: datetime) -> None:
    """Write a hold as it is after a change."""
    values = {
        "id": hold.id,
        "account_id": books.account_id,
        "task_id": hold.task_id,
        "amount": hold.amount,
        "settled": hold.settled,
        "released": hold.released,
        "is_closed": hold.rest == 0,
        "now": now,
        "lots": _json([{"lot_id": lot_id, "amount": amount} for lot_id, amount in hold.lots.items()]),
    }
    await session.execute(_WRITE_HOLD, values)


def _lot(lot: Lot) -> dict[str, Any]:
    return {
        "id": lot.id,
        "remaining": lot.remaining,
        "held": lot.held,
        "priority": lot.priority,
        "expires_at": lot.expires_at,
    }


def _json(records: Sequence[dict[str, Any]]) -> str:
    return orjson.dumps(records, default=str).decode()  # default: the driver has UUIDs of its own


async def by_accounts(session: ReadSession, account_ids: Sequence[UUID]) -> dict[UUID, CreditAccount]:
    """Balances by account; those that never had a credit are left out."""
    rows = await session.scalars(select(CreditAccount).where(CreditAccount.account_id.in_(account_ids)))
    return {row.account_id: row for row in rows}


async def by_ids(session: ReadSession, transaction_ids: Sequence[UUID]) -> dict[UUID, CreditTransaction]:
    """Transactions by id; those not found are left out."""
    rows = await session.scalars(select(CreditTransaction).where(CreditTransaction.id.in_(transaction_ids)))
    return {row.id: row for row in rows}


async def with_expired_lots(session: ReadSession, now: datetime, *, limit: int) -> Sequence[UUID]:
    """Accounts that own free credits past their date."""
    lot = CreditLot
    statement = (
        select(lot.account_id)
        .where(lot.emptied_at.is_(None), lot.remaining > lot.held, lot.expires_at <= now)
        .distinct()
        .limit(limit)
    )
    return (await session.scalars(statement)).all()


def _matching(account_id: UUID, conditions: TransactionConditions, statement: Select[Any]) -> Select[Any]:
    t = CreditTransaction
    statement = statement.where(t.account_id == account_id)
    if conditions.kind is not None:
        statement = statement.where(t.kind.in_(conditions.kind))
    if conditions.created_after is not None:
        statement = statement.where(t.created_at >= conditions.created_after)
    if conditions.created_before is not None:
        statement = statement.where(t.created_at < conditions.created_before)
    return statement


async def page(
    session: ReadSession, account_id: UUID, conditions: TransactionConditions, window: pages.Window
) -> pages.Slice[Any]:
    """One window of an account's transactions, newest first; each row holds one."""
    statement = _matching(account_id, conditions, select(CreditTransaction))
    return await pages.read(session, statement, (CreditTransaction.seq,), window, is_descending=True)  # type: ignore[arg-type]


async def count(session: ReadSession, account_id: UUID, conditions: TransactionConditions) -> int:
    """How many transactions match."""
    statement = _matching(account_id, conditions, select(func.count()).select_from(CreditTransaction))
    return await session.scalar(statement) or 0
