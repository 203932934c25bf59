"""The ledger adds up whatever happens at once, and what was changed by hand is refused by the database."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from db import ids
from db.models import Account, Task
from db.session import Database
from resolvers.context import Parts
from services import credits, ingest, tasks
from services.changes import Request
from services.errors import InsufficientCredits
from tests import factories
from tests.services.ledger import LATER, NOW, added, balance, taken


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE credit_entry SET amount = amount + 1",
        "DELETE FROM credit_entry",
        "TRUNCATE credit_entry",
        "TRUNCATE credit_account CASCADE",
        "UPDATE credit_transaction SET amount = 1000",
        "DELETE FROM credit_transaction",
        "TRUNCATE credit_transaction CASCADE",
        "INSERT INTO credit_entry SELECT id, 9, 'USER', NULL, 5 FROM credit_transaction RETURNING 1",
        "UPDATE credit_account SET held = balance + 1",
        "UPDATE credit_account SET balance = -1, held = -1",
        "UPDATE credit_lot SET remaining = amount + 1",
    ],
)
async def test_security_14_a_ledger_changed_by_hand_is_refused_by_the_database(
    db: Database, poor: Account, raw: Any, statement: str
) -> None:
    await added(db, poor.id, 10)
    with pytest.raises(DBAPIError, match=r"append-only|do not add up|violates check"):
        await raw(statement)
    assert await balance(db, poor.id) == (10, 0, 0)


async def test_security_14_a_transaction_without_entries_shows_among_the_violations(
    db: Database, poor: Account
) -> None:
    await added(db, poor.id, 10)
    async with db.transaction() as session:
        await session.execute(
            text(
                "INSERT INTO credit_transaction (id, account_id, kind, amount, reserved_amount, balance_after,"
                " idempotency_key, request_hash, created_at)"
                " SELECT gen_random_uuid(), account_id, kind, 1, 0, 11, 'by hand', '', now() FROM credit_transaction"
            )
        )
        found = await session.execute(text("SELECT invariant FROM credit_violation"))
        assert {row[0] for row in found} == {1}
        await session.rollback()


async def test_a_wrong_balance_shows_among_the_violations(db: Database, poor: Account, raw: Any) -> None:
    await added(db, poor.id, 10)
    await raw("UPDATE credit_account SET balance = balance + 1 RETURNING 1")
    found = await raw("SELECT invariant FROM credit_violation ORDER BY problem")
    assert [row[0] for row in found] == [2, 2]
    await raw("UPDATE credit_account SET balance = balance - 1 RETURNING 1")


async def rebuilt(raw: Any) -> tuple[list[Any], list[Any]]:
    """Balances of accounts, and lots, as the entries alone tell them."""
    totals = (
        "coalesce(sum(e.amount) FILTER (WHERE ledger IN ('USER', 'HELD')), 0),"
        " coalesce(sum(e.amount) FILTER (WHERE ledger = 'HELD'), 0),"
        " -coalesce(sum(e.amount) FILTER (WHERE ledger = 'DEBT'), 0)"
    )
    accounts = await raw(
        f"SELECT t.account_id, {totals} FROM credit_transaction t JOIN credit_entry e ON e.transaction_id = t.id"
        " GROUP BY 1 ORDER BY 1"
    )
    lots = await raw(f"SELECT lot_id, {totals} FROM credit_entry e WHERE lot_id IS NOT NULL GROUP BY 1 ORDER BY 1")
    return accounts, lots


async def test_security_13_balances_rebuilt_from_the_entries_of_a_thousand_operations_at_once_are_the_same(
    db: Database, parts: Parts, raw: Any
) -> None:
    chance = random.Random(4)
    owners = [await factories.account(db, f"owner-{n}@example.com", balance=200) for n in range(3)]
    running: list[Task] = []
    gate = asyncio.Semaphore(20)

    async def grant() -> None:
        expires_at = chance.choice([None, NOW, LATER])
        await added(db, chance.choice(owners).id, chance.randint(1, 30), expires_at=expires_at)

    async def spend() -> None:
        await taken(db, chance.choice(owners).id, chance.randint(1, 10))

    async def begin() -> None:
        emails = [f"p{n}@example.com" for n in range(chance.randint(1, 5))]
        running.append(await factories.task(parts, chance.choice(owners), emails))

    async def end() -> None:
        if running:
            task = running.pop(chance.randrange(len(running)))
            if chance.random() < 0.5:
                await ingest.fail(db, task.id, "test", datetime.now(UTC))
            else:
                owner = next(one for one in owners if one.id == task.account_id)
                await tasks.cancel(db, parts.announcer, factories.actor(owner), task.id, datetime.now(UTC))

    async def expire() -> None:
        await credits.expire_due(db, NOW + timedelta(days=1))

    async def take_back() -> None:
        request = Request(f"back:{ids.new_uuid()}", ())
        async with db.transaction() as session:
            await credits.charge_back(session, chance.choice(owners).id, chance.randint(1, 20), request, NOW)

    async def one(operation: Callable[[], Awaitable[None]]) -> None:
        async with gate:
            try:
                await operation()
            except InsufficientCredits:
                return

    operations = chance.choices([grant, spend, begin, end, expire, take_back], [3, 5, 4, 4, 1, 1], k=1000)
    async with asyncio.timeout(60):
        await asyncio.gather(*map(one, operations))
    assert await raw("SELECT * FROM credit_violation") == []
    accounts = await raw("SELECT account_id, balance, held, debt FROM credit_account ORDER BY 1")
    lots = await raw("SELECT id, remaining, held, 0 FROM credit_lot ORDER BY 1")
    assert await rebuilt(raw) == (accounts, lots)


async def test_an_error_of_the_database_does_not_name_the_values_of_its_statement(raw: Any) -> None:
    with pytest.raises(DBAPIError) as refused:
        await raw("SELECT CAST(1 / 0 AS text) || :note", note="for Lea, +41 44 000 00 00")
    assert "Lea" not in str(refused.value)
