"""The second wall: whoever acts for an account meets no row of another, whatever the statement says."""

import asyncio
import json
import random
from datetime import UTC, datetime
from functools import partial
from typing import Any

import asyncpg
import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError

from db import ids
from db.acting import ROLE as ACTING_ROLE
from db.models import Account, CreditTransactionKind, Ledger, Table
from db.queries import credits as queries
from db.queries.credits import TransactionConditions
from db.queries.pages import Window
from db.session import Database
from services import billing
from services.till import Till
from tests import factories
from tests.db.walls import TOLD, WALLED, counts, owners

WHO = text("SELECT current_user::text, current_setting('request.jwt.claims', true)")


@pytest.fixture
async def other(db: Database) -> Account:
    return await factories.account(db, email="other@example.com")


async def identity(db: Database) -> tuple[str, str]:
    """Role and claims of whichever connection the pool gives next."""
    async with db.read() as session:
        role, claims = (await session.execute(WHO)).one()
    return role, claims or ""


async def test_security_24_without_a_where_only_ones_own_rows_are_there(
    db: Database, account: Account, other: Account
) -> None:
    assert await counts(db, None) == dict.fromkeys(WALLED, 2) | {"credit_entry": 4}
    for one in (account, other):
        assert await counts(db, one.id) == dict.fromkeys(WALLED, 1) | {"credit_entry": 2}
        assert await owners(db, one.id) == {one.id}
    assert await counts(db, ids.new_uuid()) == dict.fromkeys(WALLED, 0)


async def test_what_was_not_granted_is_closed_to_who_acts_for_an_account(db: Database, account: Account) -> None:
    for table in set(Table.metadata.tables) - {*WALLED, "webhook"}:
        with pytest.raises(DBAPIError, match="permission denied"):
            async with db.read(account.id) as session:
                await session.execute(text(f"SELECT * FROM {table}"))


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("INSERT INTO profile (account_id) VALUES (:other) ON CONFLICT DO NOTHING", "row-level security"),
        ("INSERT INTO credit_account VALUES (:new, 5, 0, 0, now())", "row-level security"),
        (
            """INSERT INTO credit_lot (id, account_id, amount, remaining, held, priority, created_at)
               VALUES (:new, :other, 5, 5, 0, 1, now())""",
            "row-level security",
        ),
        (
            """INSERT INTO credit_transaction (id, account_id, kind, amount, reserved_amount, balance_after,
               idempotency_key, request_hash, created_at) VALUES (:new, :other, 'GRANTED', 5, 0, 5, 'k', '', now())""",
            "row-level security",
        ),
        (
            """INSERT INTO credit_entry (transaction_id, n, ledger, amount)
               VALUES (:posted, 8, 'USER', 5), (:posted, 9, 'REVENUE', -5)""",
            "do not add up",
        ),
        (
            """INSERT INTO webhook_delivery (id, account_id, url, event, data, attempts, created_at)
               VALUES (:new, :other, 'https://example.com/', 'CREDITS_LOW', '{}', 0, now())""",
            "row-level security",
        ),
        ("UPDATE webhook SET url = 'https://example.com/'", "permission denied"),
        ("UPDATE profile SET account_id = :other", "permission denied"),
        ("UPDATE profile SET version = 1", "permission denied"),
        ("UPDATE credit_lot SET account_id = :other", "permission denied"),
        ("DELETE FROM profile", "permission denied"),
        ("DELETE FROM credit_transaction", "permission denied"),
    ],
)
async def test_a_row_of_another_is_not_written(
    db: Database, account: Account, other: Account, statement: str, problem: str
) -> None:
    async with db.read() as session:
        posted = await session.scalar(
            text("SELECT id FROM credit_transaction WHERE account_id = :id"), {"id": other.id}
        )
    everything = {"other": other.id, "new": ids.new_uuid(), "posted": posted}
    given = {name: value for name, value in everything.items() if f":{name}" in statement}
    with pytest.raises((DBAPIError, asyncpg.PostgresError), match=problem):
        async with db.transaction(account.id) as session:
            await session.execute(text(statement), given)


async def test_security_24_a_change_without_a_where_leaves_the_rows_of_others(
    db: Database, account: Account, other: Account
) -> None:
    async with db.transaction(account.id) as session:
        connection = await session.connection()
        for statement in (
            "UPDATE profile SET display_name = 'mine'",
            "UPDATE credit_account SET debt = 1",
            "UPDATE credit_lot SET held = 0",
        ):
            assert (await connection.execute(text(statement))).rowcount == 1
        await session.execute(text("UPDATE credit_account SET debt = 0"))
    async with db.read() as session:
        query = "SELECT display_name, version FROM profile ORDER BY account_id = :id"
        assert list(await session.execute(text(query), {"id": account.id})) == [(None, 1), ("mine", 2)]


async def test_a_read_for_an_account_writes_nothing(db: Database, account: Account) -> None:
    with pytest.raises(DBAPIError, match="read-only transaction"):
        async with db.read(account.id) as session:
            await session.execute(text("UPDATE profile SET display_name = 'x'"))


async def test_role_and_claims_end_with_the_transaction(service_database_url: str, db: Database) -> None:
    account = await factories.account(db)
    single = await Database.open(service_database_url, pool_size=1)
    before = await identity(single)
    async with single.transaction(account.id) as session:
        role, claims = (await session.execute(WHO)).one()
        assert (role, json.loads(claims)) == (ACTING_ROLE, {"sub": str(account.id), "role": ACTING_ROLE})
    assert await identity(single) == before
    with pytest.raises(ZeroDivisionError):
        async with single.transaction(account.id):
            raise ZeroDivisionError
    assert await identity(single) == before
    with pytest.raises(DBAPIError):
        async with single.read(account.id) as session:
            await session.execute(text("SELECT 1 / 0"))
    assert await identity(single) == before
    await single.close()


async def test_what_failed_or_was_cancelled_is_rolled_back(service_database_url: str, db: Database) -> None:
    account = await factories.account(db)
    single = await Database.open(service_database_url, pool_size=1)
    is_written = asyncio.Event()

    async def rename_and_wait() -> None:
        async with single.transaction(account.id) as session:
            await session.execute(text("UPDATE profile SET display_name = 'x'"))
            is_written.set()
            await asyncio.Event().wait()

    async def rename_and_fail() -> None:
        async with single.transaction(account.id) as session:
            await session.execute(text("UPDATE profile SET display_name = 'x'"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await rename_and_fail()
    renaming = asyncio.create_task(rename_and_wait())
    await is_written.wait()
    renaming.cancel()
    await asyncio.wait((renaming,))
    async with single.transaction() as session:
        # Takes the row's lock: the connection that held it is gone, or this would wait for ever.
        query = text("SELECT display_name, version FROM profile FOR UPDATE")
        assert list(await session.execute(query)) == [(None, 1)]
    await single.close()


async def test_security_24_cancelled_requests_leave_no_identity_behind(
    service_database_url: str, db: Database, account: Account, other: Account
) -> None:
    small = await Database.open(service_database_url, pool_size=2)
    outside = await identity(small)
    chance = random.Random(24)
    leaks: list[Any] = []
    cancellations = 0

    async def ask(one: Account) -> None:
        async with small.read(one.id) as session:
            for _ in range(3):
                found = set(await session.scalars(text("SELECT account_id::text FROM credit_transaction")))
                if found != {str(one.id)}:
                    leaks.append(found)

    async def cancelled(n: int) -> bool:
        asking = asyncio.create_task(ask((account, other)[n % 2]))
        for _ in range(chance.randrange(40)):
            await asyncio.sleep(0)
        await asyncio.wait((asking,), timeout=chance.random() * 0.002)
        asking.cancel()
        await asyncio.wait((asking,))
        if asking.cancelled():
            return True
        asking.result()
        return False

    while cancellations < 50 and not leaks:  # the others were quicker
        cancellations += sum(await asyncio.gather(*(cancelled(n) for n in range(3))))
        seen = [await identity(small) for _ in range(2)]
        leaks += [found for found in seen if found != outside]
    await small.close()
    assert leaks == []


async def test_a_credit_is_moved_by_who_acts_for_its_owner(db: Database, account: Account, other: Account) -> None:
    now = datetime.now(UTC)
    take = partial(billing.take, db, Till(db), account_id=None, amount=7, note="n", idempotency_key="k", now=now)
    first, again = [await take(factories.actor(account)) for _ in range(2)]
    assert (first.id, first.kind) == (again.id, CreditTransactionKind.DEDUCTED)
    assert (await take(factories.actor(other))).id != first.id
    async with db.read(account.id) as session:
        entries = list(await session.execute(text("SELECT ledger FROM credit_entry ORDER BY transaction_id, n")))
    assert [entry.ledger for entry in entries][-2:] == [Ledger.USER, Ledger.REVENUE]


async def test_an_entry_that_unbalances_ones_own_transaction_is_refused(db: Database, account: Account) -> None:
    with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="do not add up"):
        async with db.transaction(account.id) as session:
            await session.execute(
                text(
                    "INSERT INTO credit_entry (transaction_id, n, ledger, amount) "
                    "SELECT id, 9, 'USER', 5 FROM credit_transaction"
                )
            )


async def test_the_ledger_of_one_account_is_read_from_its_index(db: Database, account: Account) -> None:
    seen: list[tuple[str, Any]] = []
    async with db.read(account.id) as session:
        await session.execute(text("SET LOCAL enable_seqscan = off"))
        connection = await session.connection()
        event.listen(
            connection.sync_connection,
            "before_cursor_execute",
            lambda _c, _k, sql, values, *_: seen.append((sql, values)),
        )
        await queries.by_owners(session, [account.id], TransactionConditions(), Window(20))
        driver: Any = (await connection.get_raw_connection()).driver_connection
        sql, values = seen[-1]
        plan = await driver.fetch(f"EXPLAIN {sql}", *values)
    lines = [row[0] for row in plan]
    assert any("ix_credit_transaction_account_id" in line for line in lines)
    assert sum(line.strip().startswith("InitPlan") for line in lines) == 1  # auth.uid() is asked once, not for each row


async def test_every_table_is_closed_and_the_walled_ones_to_their_owner_too(db: Database) -> None:
    query = """SELECT relname, relrowsecurity, relforcerowsecurity,
        (SELECT count(*) FROM pg_policy WHERE polrelid = c.oid) FROM pg_class c
        WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"""
    async with db.read() as session:
        found = {row[0]: row[1:] for row in await session.execute(text(query))}
    assert set(found) == {*Table.metadata.tables, "alembic_version"}
    for table, facts in found.items():
        assert facts == ((True, True, 2) if table in (*WALLED, *TOLD) else (True, False, 0)), table


async def test_entries_are_checked_by_their_transaction_not_by_all_of_the_account(
    db: Database, account: Account
) -> None:
    """The trigger's own question, as it is planned for good once there is a ledger."""
    many = """
    WITH posted AS (
        INSERT INTO credit_transaction (id, account_id, kind, amount, reserved_amount, balance_after, idempotency_key,
            request_hash, created_at)
        SELECT gen_random_uuid(), account_id, 'GRANTED', 0, 0, balance, n::text, '', now()
        FROM credit_account, generate_series(1, 3000) n WHERE account_id = :id RETURNING id
    )
    INSERT INTO credit_entry (transaction_id, n, ledger, amount)
    SELECT id, side, 'USER', 2 * side - 1 FROM posted, generate_series(0, 1) side
    """
    async with db.transaction() as session:
        await session.execute(text(many), {"id": account.id})
    async with db.transaction(account.id) as session:
        await session.execute(text("SET LOCAL plan_cache_mode = force_generic_plan"))
        asked = "SELECT sum(amount) FROM credit_entry WHERE transaction_id = $1"
        await session.execute(text(f"PREPARE balance_of (uuid) AS {asked}"))
        explained = await session.scalars(text(f"EXPLAIN EXECUTE balance_of ('{account.id}')"))
        plan = "\n".join(explained)
        await session.execute(text("DEALLOCATE balance_of"))
    assert "credit_transaction_pkey" in plan or "pk_credit_transaction" in plan, plan
    assert "hashed" not in plan
    assert "Seq Scan" not in plan
