"""The ledger: an account's books read under its lock, and transactions posted in one statement."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from db.models import CreditTransaction, Ledger
from db.queries import credits
from db.session import Session


@dataclass(slots=True)
class Lot:
    """A lot as the books hold it. `is_changed`: it is to be written."""

    id: UUID
    amount: int
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
    lots: list[Lot] = field(default_factory=list)
    """Those with something left, in the order in which they are used up."""
    hold: Hold | None = None
    posted: list[CreditTransaction] = field(default_factory=list)
    """The transactions that have one of the keys or outside references already."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One side of a transaction."""

    ledger: Ledger
    lot_id: UUID | None
    amount: int


@dataclass(slots=True)
class Draft:
    """A transaction to be posted."""

    transaction: CreditTransaction
    entries: list[Entry]


class KeyTakenError(Exception):
    """Another account posted a transaction under the same key at the same moment; nothing was written."""


_UNIQUE_VIOLATION = "23505"

_LOCK = text("SELECT balance, held, debt FROM credit_account WHERE account_id = :account_id FOR NO KEY UPDATE")

# A statement of its own, after the lock: one statement would read what was there before it waited. Each key is looked
# up for itself: a plan for `key = ANY (…)` that was made while the table was small goes on reading all of it.
_READ = text("""
SELECT t.posted_ids, l.id, l.amount, l.remaining, l.held, l.priority, l.expires_at
FROM (
    SELECT ARRAY(
        SELECT (SELECT id FROM credit_transaction WHERE idempotency_key = key) FROM unnest(CAST(:keys AS text[])) key
        UNION ALL
        SELECT (SELECT id FROM credit_transaction WHERE external_ref = ref)
        FROM unnest(CAST(:external_refs AS text[])) ref
    ) AS posted_ids
) t
LEFT JOIN credit_lot l ON l.account_id = :account_id AND l.emptied_at IS NULL
ORDER BY l.priority, l.expires_at NULLS LAST, l.created_at, l.id
""")

_READ_HOLD = text("""
SELECT h.id, h.amount, h.settled, h.released, l.lot_id, l.amount AS in_lot
FROM credit_hold h LEFT JOIN credit_hold_lot l ON l.hold_id = h.id
WHERE h.task_id = :task_id AND h.closed_at IS NULL
""")

# The transactions of one account with all that belongs to them, in one statement.
_POST = text("""
WITH posted AS (
    INSERT INTO credit_transaction (id, account_id, kind, amount, reserved_amount, balance_after, note, actor_id,
        task_id, purchase_id, external_ref, idempotency_key, request_hash, created_at)
    SELECT b.id, CAST(:account_id AS uuid), b.kind, b.amount, b.reserved_amount, b.balance_after, b.note, b.actor_id,
        b.task_id, b.purchase_id, b.external_ref, b.idempotency_key, decode(b.request_hash, 'hex'), b.created_at
    FROM jsonb_to_recordset(CAST(:transactions AS jsonb)) AS b(id uuid, kind text, amount bigint,
        reserved_amount bigint, balance_after bigint, note text, actor_id uuid, task_id uuid, purchase_id uuid,
        external_ref text, idempotency_key text, request_hash text, created_at timestamptz)
    RETURNING id, seq
), account AS (
    UPDATE credit_account SET balance = :balance, held = :held, debt = :debt, updated_at = :now
    WHERE account_id = :account_id
), new_lot AS (
    INSERT INTO credit_lot (id, account_id, amount, remaining, held, priority, expires_at, created_at, emptied_at)
    SELECT b.id, CAST(:account_id AS uuid), b.amount, b.remaining, b.held, b.priority, b.expires_at,
        CAST(:now AS timestamptz), CASE WHEN b.remaining = 0 THEN CAST(:now AS timestamptz) END
    FROM jsonb_to_recordset(CAST(:new_lots AS jsonb))
        AS b(id uuid, amount bigint, remaining bigint, held bigint, priority smallint, expires_at timestamptz)
), lot AS (
    UPDATE credit_lot l SET remaining = b.remaining, held = b.held,
        emptied_at = CASE WHEN b.remaining = 0 THEN CAST(:now AS timestamptz) END
    FROM jsonb_to_recordset(CAST(:lots AS jsonb)) AS b(id uuid, remaining bigint, held bigint)
    WHERE l.id = b.id
), entry AS (
    INSERT INTO credit_entry (transaction_id, n, ledger, lot_id, amount)
    SELECT b.transaction_id, b.n, b.ledger, b.lot_id, b.amount
    FROM jsonb_to_recordset(CAST(:entries AS jsonb))
        AS b(transaction_id uuid, n smallint, ledger text, lot_id uuid, amount bigint)
)
SELECT id, seq FROM posted
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


async def lock(session: Session, account_id: UUID, now: datetime) -> Books:
    """Lock an account; its books are yet to be read. An account without a row is given one."""
    row = (await session.execute(_LOCK, {"account_id": account_id})).first()
    if row is None:
        await credits.add_account(session, account_id, now)
        row = (await session.execute(_LOCK, {"account_id": account_id})).one()
    return Books(account_id, row.balance, row.held, row.debt)


async def read(session: Session, books: Books, keys: Sequence[str], external_refs: Sequence[str] = ()) -> None:
    """Read the lots of a locked account, and what is posted already under one of these keys or references."""
    given = {"account_id": books.account_id, "keys": keys, "external_refs": external_refs}
    posted_ids: list[UUID] = []
    for found in await session.execute(_READ, given):
        posted_ids = [posted_id for posted_id in found.posted_ids if posted_id is not None]
        if found.id is not None:
            books.lots.append(
                Lot(found.id, found.amount, found.remaining, found.held, found.priority, found.expires_at)
            )
    if posted_ids:
        books.posted.extend((await credits.by_ids(session, posted_ids)).values())


async def open_books(
    session: Session,
    account_id: UUID,
    now: datetime,
    *,
    keys: Sequence[str] = (),
    external_refs: Sequence[str] = (),
    task_id: UUID | None = None,
) -> Books:
    """Lock an account and read its books, with the hold of a task."""
    books = await lock(session, account_id, now)
    await read(session, books, keys, external_refs)
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


async def post(session: Session, books: Books, drafts: Sequence[Draft], now: datetime) -> None:
    """Write transactions, in this order, and the books as they are after them.

    Raises:
        KeyTakenError: a key or outside reference among them has just been used for another account.

    """
    changed = [lot for lot in books.lots if lot.is_changed]
    values = {
        "account_id": books.account_id,
        "balance": books.balance,
        "held": books.held,
        "debt": books.debt,
        "now": now,
        "transactions": _json([_transaction(draft.transaction) for draft in drafts]),
        "new_lots": _json([_lot(lot) for lot in changed if lot.is_new]),
        "lots": _json([_lot(lot) for lot in changed if not lot.is_new]),
        "entries": _json([record for draft in drafts for record in _entries(draft)]),
    }
    try:
        posted = {row.id: row.seq for row in await session.execute(_POST, values)}
    except IntegrityError as error:
        if getattr(error.orig, "sqlstate", None) == _UNIQUE_VIOLATION:
            raise KeyTakenError from error
        raise
    for draft in drafts:
        draft.transaction.seq = posted[draft.transaction.id]
    for lot in changed:
        lot.is_changed = lot.is_new = False


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


def _transaction(t: CreditTransaction) -> dict[str, Any]:
    return {
        "id": t.id,
        "kind": t.kind,
        "amount": t.amount,
        "reserved_amount": t.reserved_amount,
        "balance_after": t.balance_after,
        "note": t.note,
        "actor_id": t.actor_id,
        "task_id": t.task_id,
        "purchase_id": t.purchase_id,
        "external_ref": t.external_ref,
        "idempotency_key": t.idempotency_key,
        "request_hash": t.request_hash.hex(),
        "created_at": t.created_at,
    }


def _entries(draft: Draft) -> Iterator[dict[str, Any]]:
    for n, entry in enumerate(draft.entries):
        yield {
            "transaction_id": draft.transaction.id,
            "n": n,
            "ledger": entry.ledger,
            "lot_id": entry.lot_id,
            "amount": entry.amount,
        }


def _lot(lot: Lot) -> dict[str, Any]:
    return {
        "id": lot.id,
        "amount": lot.amount,
        "remaining": lot.remaining,
        "held": lot.held,
        "priority": lot.priority,
        "expires_at": lot.expires_at,
    }


def _json(records: Sequence[dict[str, Any]]) -> str:
    return orjson.dumps(records, default=str).decode()  # default: the driver has UUIDs of its own
