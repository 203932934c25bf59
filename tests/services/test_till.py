"""Spends that share a transaction: each has its own answer, key and entry, and none takes another down."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from db import ids
from db.models import Account, CreditTransaction
from db.queries import credits as queries
from db.session import Database
from services import changes, credits
from services.changes import Request
from services.errors import IdempotencyConflict, InsufficientCredits
from services.till import Till
from tests import factories
from tests.conftest import Statements

NOW = datetime(2026, 1, 31, tzinfo=UTC)


@pytest.fixture
def till(db: Database) -> Till:
    return Till(db)


@pytest.fixture
async def poor(db: Database) -> Account:
    """An account with ten credits."""
    return await factories.account(db, "poor@example.com", balance=10)


def one(amount: int = 1, key: str | None = None) -> changes.Change:
    """A spend, under a key of its own unless one is given."""
    return credits.deduction(amount, Request(key or f"test:{ids.new_uuid()}", (amount,)), NOW)


async def balance(db: Database, account: Account) -> int:
    async with db.read() as session:
        return (await queries.by_accounts(session, [account.id]))[account.id].balance


async def test_security_05_fifty_spends_at_once_of_ten_credits_are_ten(db: Database, till: Till, poor: Account) -> None:
    tills = [till, Till(db)]  # two processes
    spends = (tills[n % 2].take(poor.id, one()) for n in range(50))
    outcomes = await asyncio.gather(*spends, return_exceptions=True)
    assert sum(isinstance(outcome, CreditTransaction) for outcome in outcomes) == 10
    assert sum(isinstance(outcome, InsufficientCredits) for outcome in outcomes) == 40
    assert await balance(db, poor) == 0


async def test_security_06_one_key_twenty_times_at_once_is_one_transaction(
    db: Database, till: Till, poor: Account, raw: Any
) -> None:
    tills = [till, Till(db)]
    given = await asyncio.gather(*(tills[n % 2].take(poor.id, one(3, "k")) for n in range(20)))
    assert len({(each.id, each.seq, each.amount, each.balance_after, each.created_at) for each in given}) == 1
    assert await raw("SELECT count(*) FROM credit_transaction WHERE idempotency_key = 'k'") == [(1,)]
    assert await balance(db, poor) == 7


async def test_security_07_one_key_with_two_amounts_at_once_is_paid_once_and_refused_once(
    db: Database, till: Till, poor: Account
) -> None:
    first, second = await asyncio.gather(
        till.take(poor.id, one(3, "k")), till.take(poor.id, one(4, "k")), return_exceptions=True
    )
    assert isinstance(first, CreditTransaction)
    assert isinstance(second, IdempotencyConflict)
    assert await balance(db, poor) == 7


async def test_those_who_wait_share_a_transaction(till: Till, poor: Account, statements: Statements, raw: Any) -> None:
    await till.take(poor.id, one())
    with statements.counted() as alone:
        await till.take(poor.id, one())
    with statements.counted() as together:
        given = await asyncio.gather(*(till.take(poor.id, one()) for _ in range(8)))
    assert len(together) == len(alone)
    assert [each.balance_after for each in given] == [7, 6, 5, 4, 3, 2, 1, 0]
    told = await raw("SELECT balance_after FROM credit_transaction WHERE kind = 'DEDUCTED' ORDER BY seq")
    assert [row[0] for row in told] == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]


async def test_one_that_is_refused_takes_nobody_down(db: Database, till: Till, poor: Account) -> None:
    amounts = [4, 11, 5, 2, 1]
    outcomes = await asyncio.gather(*(till.take(poor.id, one(n)) for n in amounts), return_exceptions=True)
    assert [isinstance(outcome, InsufficientCredits) for outcome in outcomes] == [False, True, False, True, False]
    assert await balance(db, poor) == 0


async def test_a_key_that_is_used_for_another_account_at_the_same_moment_is_refused_alone(
    db: Database, till: Till, poor: Account
) -> None:
    other = await factories.account(db, "other@example.com", balance=10)
    async with db.transaction() as session:
        await credits.deduct(session, other.id, 1, Request("k", (other.id,)), NOW)
        spends = [asyncio.create_task(till.take(poor.id, one(1, key))) for key in ("a", "k", "b")]
        done, _ = await asyncio.wait(spends, timeout=0.1)
        assert not done  # the key is neither free nor taken before that transaction has ended
    outcomes = await asyncio.gather(*spends, return_exceptions=True)
    assert [isinstance(outcome, IdempotencyConflict) for outcome in outcomes] == [False, True, False]
    assert (await balance(db, poor), await balance(db, other)) == (8, 9)


async def test_whoever_goes_away_leaves_the_others_their_turn(db: Database, till: Till, poor: Account) -> None:
    async with db.transaction() as session:
        await credits.deduct(session, poor.id, 1, Request("first", ()), NOW)  # holds the account's row
        spends = [asyncio.create_task(till.take(poor.id, one())) for _ in range(4)]
        await asyncio.wait(spends, timeout=0.1)
        spends[0].cancel()  # it is the one that asks for all of them
        spends[2].cancel()
        await asyncio.wait((spends[0], spends[2]))
    outcomes = await asyncio.gather(*spends, return_exceptions=True)
    assert [isinstance(outcome, CreditTransaction) for outcome in outcomes] == [False, True, False, True]
    assert await balance(db, poor) == 7
    assert not till._lines
