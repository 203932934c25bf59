"""Balances, lists of transactions, and accounts with something past its date."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Select, Uuid, any_, bindparam, select, text
from sqlalchemy.dialects.postgresql import insert

from db import hot
from db.models import CreditAccount, CreditLot, CreditTransaction, CreditTransactionKind
from db.queries import pages
from db.session import ReadSession, Session


@dataclass(frozen=True, slots=True)
class TransactionConditions:
    """Which transactions to list; all given conditions must hold."""

    kind: tuple[CreditTransactionKind, ...] | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


async def add_account(session: Session, account_id: UUID, now: datetime) -> None:
    """Make the empty credit account of an account unless it has one."""
    values = {"account_id": account_id, "balance": 0, "held": 0, "debt": 0, "updated_at": now}
    await session.execute(insert(CreditAccount).values(values).on_conflict_do_nothing())


async def by_accounts(session: ReadSession, account_ids: Sequence[UUID]) -> dict[UUID, CreditAccount]:
    """Balances by account; those that never had a credit are left out."""
    rows = await session.scalars(select(CreditAccount).where(CreditAccount.account_id.in_(account_ids)))
    return {row.account_id: row for row in rows}


_BY_ACCOUNTS = hot.Read[CreditAccount](
    select(CreditAccount).where(CreditAccount.account_id == any_(bindparam("ids", type_=ARRAY(Uuid())))), CreditAccount
)


async def hot_by_accounts(
    reads: hot.Reads, account_ids: Sequence[UUID], acting_for: UUID | None
) -> dict[UUID, CreditAccount]:
    """`by_accounts`, as a hot read."""
    return {row.account_id: row for row in await reads.fetch(_BY_ACCOUNTS, acting_for, ids=account_ids)}


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


def _matching(conditions: TransactionConditions, statement: Select[Any]) -> Select[Any]:
    t = CreditTransaction
    if conditions.kind is not None:
        statement = statement.where(t.kind.in_(conditions.kind))
    if conditions.created_after is not None:
        statement = statement.where(t.created_at >= conditions.created_after)
    if conditions.created_before is not None:
        statement = statement.where(t.created_at < conditions.created_before)
    return statement


async def by_owners(
    session: ReadSession, account_ids: Sequence[UUID], conditions: TransactionConditions, window: pages.Window
) -> dict[UUID, pages.Slice[tuple[UUID, CreditTransaction]]]:
    """The same window of each account's transactions, newest first. One statement."""
    statement, row = _matching(conditions, select(CreditTransaction)), CreditTransaction.__table__.c
    return await pages.read_below(
        session, statement, [row.seq], window, row.account_id, account_ids, is_descending=True
    )


async def counts(
    session: ReadSession, account_ids: Sequence[UUID], conditions: TransactionConditions
) -> dict[UUID, int]:
    """How many transactions of each account match. One statement."""
    statement = _matching(conditions, select().select_from(CreditTransaction))
    return await pages.count_below(session, statement, CreditTransaction.__table__.c.account_id, account_ids)


async def violations(session: ReadSession) -> Sequence[tuple[int, str, UUID]]:
    """Every broken invariant of the whole ledger: its number, the problem, and whose it is. Reads all of the ledger."""
    rows = await session.execute(text("SELECT invariant, problem, subject_id FROM credit_violation ORDER BY 1, 2, 3"))
    return [(row.invariant, row.problem, row.subject_id) for row in rows]
