"""Moves of credits under keys of their own, and the ledger as it stands after them."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from db import ids
from db.models import CreditTransaction, Task
from db.queries import credits as queries
from db.session import Database
from services import credits
from services.changes import Request

NOW = datetime(2026, 1, 31, tzinfo=UTC)
LATER = NOW + timedelta(days=2)


async def balance(db: Database, account_id: UUID) -> tuple[int, int, int]:
    """Balance, what is held of it, and debt."""
    async with db.read() as session:
        found = (await queries.by_accounts(session, [account_id]))[account_id]
    return found.balance, found.held, found.debt


async def added(db: Database, account_id: UUID, amount: int, **more: Any) -> CreditTransaction:
    """A grant under a key of its own."""
    request = Request(f"test:{ids.new_uuid()}", (amount,))
    async with db.transaction() as session:
        return await credits.grant(session, account_id, amount, request, NOW, **more)


async def taken(db: Database, account_id: UUID, amount: int, now: datetime = NOW) -> CreditTransaction:
    """A deduction under a key of its own."""
    request = Request(f"test:{ids.new_uuid()}", (amount,))
    async with db.transaction() as session:
        return await credits.deduct(session, account_id, amount, request, now)


async def held(db: Database, account_id: UUID, amount: int, now: datetime = NOW) -> Task:
    """A task with a hold, as far as the ledger looks at it."""
    task = Task(id=ids.new_uuid(), account_id=account_id, chargeable_count=0)
    async with db.transaction() as session:
        await credits.hold(session, task, amount, now)
    return task


async def settled(db: Database, task: Task, amount: int, now: datetime = NOW) -> None:
    async with db.transaction() as session:
        await credits.settle(session, task, amount, now)
    task.chargeable_count += amount


async def released(db: Database, task: Task, now: datetime = NOW) -> None:
    async with db.transaction() as session:
        await credits.release(session, task, now)


async def kinds(raw: Any, account_id: UUID) -> list[tuple[str, int, int, int]]:
    """The ledger of an account as people see it, oldest first."""
    rows = await raw(
        "SELECT kind, amount, reserved_amount, balance_after FROM credit_transaction"
        " WHERE account_id = :id ORDER BY seq",
        id=account_id,
    )
    return [tuple(row) for row in rows]
