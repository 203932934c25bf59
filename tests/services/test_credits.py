"""Credits: every operation once, alone and among many, and what a task takes of them."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from db.models import Account, CreditTransaction, CreditTransactionKind
from db.session import Database
from resolvers.context import Parts
from services import billing, credits, tasks
from services.changes import Request
from services.errors import IdempotencyConflict, InsufficientCredits, Invalid
from services.worker import Worker
from tests import factories
from tests.services.faulty_upstream import FaultyUpstream
from tests.services.ledger import LATER, NOW, added, balance, held, kinds, released, settled, taken


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
