"""The ledger: every operation once, alone and among many; what was changed by hand is refused by the database."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from db import ids
from db.models import Account, CreditTransaction, CreditTransactionKind, Task
from db.queries import credits as queries
from db.session import Database
from resolvers.context import Parts
from services import billing, credits, ingest, tasks
from services.credits import Request
from services.errors import IdempotencyConflict, InsufficientCredits, Invalid
from services.worker import Worker
from tests import factories
from tests.services.faulty_upstream import FaultyUpstream

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


@pytest.fixture
async def poor(db: Database) -> Account:
    """An account without credits."""
    return await factories.account(db, "poor@example.com", balance=0)


async def test_a_hold_is_paid_in_parts_and_the_rest_comes_back(db: Database, poor: Account, raw: Any) -> None:
    await added(db, poor.id, 10)
    task = await held(db, poor.id, 7)
    assert await balance(db, poor.id) == (10, 7, 0)
    await settled(db, task, 2)
    await settled(db, task, 3)
    await released(db, task)
    await released(db, task)
    assert await balance(db, poor.id) == (5, 0, 0)
    assert await kinds(raw, poor.id) == [
        ("GRANTED", 10, 0, 10),
        ("RESERVED", 0, 7, 10),
        ("SPENT", -2, -2, 8),
        ("SPENT", -3, -3, 5),
        ("RELEASED", 0, -2, 5),
    ]


async def test_a_settlement_that_comes_again_is_paid_once(db: Database, poor: Account) -> None:
    await added(db, poor.id, 10)
    task = await held(db, poor.id, 7)
    for _ in range(3):
        async with db.transaction() as session:
            await credits.settle(session, task, 4, NOW)  # its count of verdicts has not moved: the same batch
    assert await balance(db, poor.id) == (6, 3, 0)


async def test_a_settlement_of_all_that_is_held_may_come_again(db: Database, poor: Account) -> None:
    await added(db, poor.id, 10)
    task = await held(db, poor.id, 4)
    for _ in range(2):
        async with db.transaction() as session:
            await credits.settle(session, task, 4, NOW)
    assert await balance(db, poor.id) == (6, 0, 0)
    task.chargeable_count = 4
    with pytest.raises(ValueError, match="no hold"):
        await settled(db, task, 1)


async def test_no_more_than_the_hold_can_be_paid(db: Database, poor: Account) -> None:
    await added(db, poor.id, 10)
    task = await held(db, poor.id, 3)
    with pytest.raises(ValueError, match="3 left"):
        await settled(db, task, 4)
    assert await balance(db, poor.id) == (10, 3, 0)


async def test_what_is_held_cannot_be_spent(db: Database, poor: Account) -> None:
    await added(db, poor.id, 10)
    await held(db, poor.id, 8)
    with pytest.raises(InsufficientCredits, match=r"This takes 3 credits; 2 are available\."):
        await taken(db, poor.id, 3)
    with pytest.raises(InsufficientCredits):
        await held(db, poor.id, 3)
    assert await balance(db, poor.id) == (10, 8, 0)


async def test_lots_are_used_by_priority_then_expiry_then_age(db: Database, poor: Account, raw: Any) -> None:
    await added(db, poor.id, 1)  # 4th: never expires
    await added(db, poor.id, 2, expires_at=NOW + timedelta(days=9))  # 3rd
    await added(db, poor.id, 3, expires_at=NOW + timedelta(days=3))  # 2nd
    await added(db, poor.id, 4, priority=10)  # 1st
    await taken(db, poor.id, 8)
    rows = await raw("SELECT remaining FROM credit_lot ORDER BY amount")
    assert [row[0] for row in rows] == [1, 1, 0, 0]


async def test_security_12_what_is_past_its_date_is_gone_and_what_is_held_stays_good(
    db: Database, poor: Account, raw: Any
) -> None:
    await added(db, poor.id, 10, expires_at=NOW + timedelta(days=1))
    task = await held(db, poor.id, 6)
    with pytest.raises(InsufficientCredits):
        await taken(db, poor.id, 1, LATER)
    assert await credits.expire_due(db, LATER) == 1
    assert await credits.expire_due(db, LATER) == 0
    assert await balance(db, poor.id) == (6, 6, 0)
    await settled(db, task, 4, LATER)
    await released(db, task, LATER)
    assert await balance(db, poor.id) == (0, 0, 0)
    assert [row[:3] for row in await kinds(raw, poor.id)] == [
        ("GRANTED", 10, 0),
        ("RESERVED", 0, 6),
        ("EXPIRED", -4, 0),
        ("SPENT", -4, -4),
        ("RELEASED", 0, -2),
        ("EXPIRED", -2, 0),
    ]


async def test_security_11_a_chargeback_after_spending_is_a_debt_that_the_next_credits_pay(
    db: Database, poor: Account
) -> None:
    await added(db, poor.id, 10, kind=CreditTransactionKind.PURCHASED)
    await taken(db, poor.id, 7)
    async with db.transaction() as session:
        await credits.charge_back(session, poor.id, 10, Request("back", (10,)), NOW)
    assert await balance(db, poor.id) == (0, 0, 7)
    await added(db, poor.id, 5)
    assert await balance(db, poor.id) == (0, 0, 2)
    await added(db, poor.id, 5)
    assert await balance(db, poor.id) == (3, 0, 0)


async def test_one_payment_told_under_two_keys_is_one_grant(db: Database, poor: Account) -> None:
    for key in ("event-1", "event-2"):
        async with db.transaction() as session:
            await credits.grant(session, poor.id, 10, Request(key, (10,), external_ref="stripe:pi_1"), NOW)
    assert await balance(db, poor.id) == (10, 0, 0)


async def test_security_11_credits_held_during_a_chargeback_pay_for_it_when_they_come_back(
    db: Database, poor: Account, raw: Any
) -> None:
    await added(db, poor.id, 10)
    task = await held(db, poor.id, 8)
    async with db.transaction() as session:
        await credits.charge_back(session, poor.id, 10, Request("back", (10,)), NOW)
    assert await balance(db, poor.id) == (8, 8, 8)
    await settled(db, task, 3)
    for _ in range(2):
        await released(db, task)
    assert await balance(db, poor.id) == (0, 0, 3)
    assert (await kinds(raw, poor.id))[-2:] == [("RELEASED", 0, -5, 5), ("CHARGED_BACK", -5, 0, 0)]


async def test_a_balance_that_no_answer_could_tell_is_refused(db: Database, poor: Account) -> None:
    await added(db, poor.id, 2_147_483_647)
    with pytest.raises(Invalid):
        await added(db, poor.id, 1)


async def test_security_05_fifty_spends_at_once_of_ten_credits_are_ten(db: Database, poor: Account) -> None:
    await added(db, poor.id, 10)
    outcomes = await asyncio.gather(*(taken(db, poor.id, 1) for _ in range(50)), return_exceptions=True)
    assert sum(isinstance(one, CreditTransaction) for one in outcomes) == 10
    assert sum(isinstance(one, InsufficientCredits) for one in outcomes) == 40
    assert await balance(db, poor.id) == (0, 0, 0)


async def test_security_06_one_key_twenty_times_at_once_is_one_transaction(
    db: Database, poor: Account, raw: Any
) -> None:
    async def add(amount: int = 5) -> CreditTransaction:
        return await billing.add(
            db,
            factories.actor(poor),
            account_id=None,
            amount=amount,
            note="test",
            idempotency_key="k",
            is_mock=True,
            now=NOW,
        )

    given = await asyncio.gather(*(add() for _ in range(20)))
    assert len({(one.id, one.amount, one.balance_after, one.created_at) for one in given}) == 1
    assert await raw("SELECT count(*) FROM credit_transaction") == [(1,)]
    with pytest.raises(IdempotencyConflict):
        await add(6)
    assert await balance(db, poor.id) == (5, 0, 0)


async def test_security_07_a_key_that_moved_one_account_does_not_move_another(db: Database, poor: Account) -> None:
    other = await factories.account(db, "other@example.com", balance=0)
    request = Request("addTokens:someone:k", (poor.id, 5))
    async with db.transaction() as session:
        await credits.grant(session, poor.id, 5, request, NOW)
    with pytest.raises(IdempotencyConflict):
        async with db.transaction() as session:
            await credits.grant(session, other.id, 5, Request("addTokens:someone:k", (other.id, 5)), NOW)
    assert await balance(db, poor.id) == (5, 0, 0)


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


async def test_a_task_pays_for_what_it_found_and_frees_the_rest(
    worker: Worker, parts: Parts, poor: Account, faulty: FaultyUpstream, raw: Any
) -> None:
    await added(parts.db, poor.id, 10)
    faulty.settled_a_look = 2
    emails = ["yes-1@example.com", "no-1@example.com", "any-1@example.com", "grey-1@example.com", "no address"]
    task = await factories.task(parts, poor, emails)
    assert (task.credits_reserved, task.credits_spent) == (4, 0)
    assert await balance(parts.db, poor.id) == (10, 4, 0)
    now = datetime.now(UTC)
    for minutes in range(1, 40, 2):
        await worker.tick(now + timedelta(minutes=minutes))
    (spent,) = await raw("SELECT status, chargeable_count FROM task WHERE id = :id", id=task.id)
    assert tuple(spent) == ("COMPLETED", 3)
    assert await balance(parts.db, poor.id) == (7, 0, 0)
    found = [row[0] for row in await kinds(raw, poor.id)]
    assert (found[:2], found[-1]) == (["GRANTED", "RESERVED"], "RELEASED")
    assert set(found[2:-1]) == {"SPENT"}


async def test_a_task_without_cover_is_not_made(parts: Parts, poor: Account, raw: Any) -> None:
    await added(parts.db, poor.id, 1)
    with pytest.raises(InsufficientCredits):
        await factories.task(parts, poor, ["a@example.com", "b@example.com"])
    assert await raw("SELECT count(*) FROM task") == [(0,)]
    await factories.task(parts, poor, ["a@example.com", " a@EXAMPLE.com", "nonsense"])
    assert await balance(parts.db, poor.id) == (1, 1, 0)


async def test_a_cancelled_task_frees_what_it_held(parts: Parts, account: Account) -> None:
    before = await balance(parts.db, account.id)
    task = await factories.task(parts, account, ["a@example.com", "b@example.com"])
    await tasks.cancel(parts.db, parts.announcer, factories.actor(account), task.id, datetime.now(UTC))
    assert await balance(parts.db, account.id) == before


async def test_an_error_of_the_database_does_not_name_the_values_of_its_statement(raw: Any) -> None:
    with pytest.raises(DBAPIError) as refused:
        await raw("SELECT CAST(1 / 0 AS text) || :note", note="for Lea, +41 44 000 00 00")
    assert "Lea" not in str(refused.value)
