"""Deleting an account: closed at once, emptied step by step, its ledger kept without the person."""

import asyncio
import random
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.exc import DBAPIError

from db import ids
from db.models import Account, ApiKeyScope, Table, UserRole
from db.queries import deletion as queries
from db.queries import identity as identity_queries
from db.session import Database
from resolvers.context import Parts
from services import authentication, billing, deletion, keys
from services.actor import Actor
from services.device import Device
from services.errors import Invalid, InvalidCredentials, Required, Unauthenticated, WrongState
from services.identity.port import Grant
from services.worker import Worker
from tests import factories, locks
from tests.conftest import Raw

EMAIL, PASSWORD = "leaver@example.com", "correct horse battery"

# Tables of accounts whose rows stay: they tell of money or of deeds, and name nobody once the account is gone.
KEPT = {"audit_event", "credit_account", "credit_hold", "credit_lot", "credit_transaction", "purchase"}


@pytest.fixture
async def leaver(parts: Parts) -> Grant:
    """A person with a password and a session."""
    granted = await parts.identity.sign_up(
        EMAIL, PASSWORD, user_metadata={"name": "Lea Ver"}, device=Device("Firefox", "192.0.2.1"), now=datetime.now(UTC)
    )
    assert granted is not None
    return granted


async def test_who_knows_the_old_password_does_not_delete_past_a_change_of_it(
    db: Database, parts: Parts, leaver: Grant, raw: Raw
) -> None:
    async with db.transaction() as session:
        await identity_queries.set_password(session, leaver.account.id, "the hash of another", datetime.now(UTC))
        leaving = asyncio.create_task(leave(parts, leaver))
        await locks.waited_for(db, session)
    with pytest.raises(InvalidCredentials, match="meanwhile"):
        await leaving
    assert await raw("SELECT deleted_at FROM account WHERE id = :id", id=leaver.account.id) == [(None,)]


def caller(granted: Grant) -> Actor:
    return Actor(granted.account.id, UserRole.MEMBER, session_id=granted.session_id)


async def leave(parts: Parts, granted: Grant, password: str | None = PASSWORD, email: str = EMAIL) -> None:
    await deletion.delete_account(
        parts.db, parts.identity, caller(granted), current_password=password, confirm_email=email, now=datetime.now(UTC)
    )


async def is_gone(raw: Raw, account: Account) -> bool:
    return not await raw("SELECT 1 FROM account WHERE id = :id", id=account.id)


async def with_things(parts: Parts, raw: Raw, granted: Grant) -> list[str]:
    """Give a person credits, a key, a finished task and two that are open; the credentials of the person."""
    actor = Actor(granted.account.id, UserRole.ADMIN)
    for amount, note in ((100, "for Lea"), (3, "more for Lea")):
        await billing.add(
            parts.db,
            actor,
            account_id=None,
            amount=amount,
            note=note,
            idempotency_key=note,
            is_mock=True,
            now=datetime.now(UTC),
        )
    _, secret = await keys.create(
        parts.db,
        parts.credentials.pepper,
        account_id=granted.account.id,
        name="of Lea",
        scopes=list(ApiKeyScope),
        now=datetime.now(UTC),
    )
    await factories.finished_task(parts.db, granted.account, 5)
    for name in ("one", "two"):
        await factories.task(parts, granted.account, [f"{name}{n}@ok.mailverdict.test" for n in range(10)], name=name)
    return [granted.tokens.access_token, secret]


async def refused(parts: Parts, credential: str) -> None:
    with pytest.raises(Unauthenticated):
        await authentication.authenticate(parts.db, parts.credentials, authorization=f"Bearer {credential}")


async def test_the_person_is_gone_when_the_answer_comes(parts: Parts, leaver: Grant, raw: Raw) -> None:
    credentials = await with_things(parts, raw, leaver)
    await leave(parts, leaver)
    for credential in credentials:
        await refused(parts, credential)
    with pytest.raises(InvalidCredentials):
        await parts.identity.sign_in(EMAIL, PASSWORD, device=Device(), now=datetime.now(UTC))
    (row,) = await raw("SELECT email, deleted_at FROM account WHERE id = :id", id=leaver.account.id)
    assert "leaver" not in row.email
    assert row.deleted_at is not None
    for table in ("credential", "auth_session", "api_key", "one_time_token", "idempotency_key", "profile"):
        assert await raw(f"SELECT 1 FROM {table}") == [], table
    assert await raw("SELECT 1 FROM credit_transaction WHERE note IS NOT NULL") == []
    # The address is free again, and whoever takes it is somebody else.
    again = await parts.identity.sign_up(EMAIL, PASSWORD, user_metadata={}, device=Device(), now=datetime.now(UTC))
    assert again is not None
    assert again.account.id != leaver.account.id


async def test_the_rest_is_removed_and_the_ledger_stays(
    parts: Parts, leaver: Grant, account: Account, raw: Raw
) -> None:
    await with_things(parts, raw, leaver)
    bystander = await factories.task(parts, account)
    before = await raw("SELECT sum(amount) AS n FROM credit_transaction WHERE account_id = :id", id=leaver.account.id)
    await leave(parts, leaver)
    assert await deletion.remove_deleted(parts.db, datetime.now(UTC)) > 0
    assert await is_gone(raw, leaver.account)
    for table in ("task", "task_part"):
        assert len(await raw(f"SELECT 1 FROM {table}")) == 1  # the bystander's
    for table in ("task_row", "task_address", "task_day"):
        assert await raw(f"SELECT 1 FROM {table} WHERE task_id <> :id", id=bystander.id) == []
    (books,) = await raw("SELECT balance, held FROM credit_account WHERE account_id = :id", id=leaver.account.id)
    assert (books.balance, books.held) == (before[0].n, 0)
    assert (
        await raw("SELECT 1 FROM credit_hold WHERE account_id = :id AND closed_at IS NULL", id=leaver.account.id) == []
    )
    assert await deletion.remove_deleted(parts.db, datetime.now(UTC)) == 0


async def test_the_notes_of_a_long_ledger_are_forgotten_step_by_step(
    parts: Parts, leaver: Grant, raw: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    await with_things(parts, raw, leaver)
    noted = "SELECT 1 FROM credit_transaction WHERE note IS NOT NULL"
    count = len(await raw(noted))
    monkeypatch.setattr(queries, "_ROWS_A_STEP", 1)
    await leave(parts, leaver)
    assert len(await raw(noted)) == count - 1 > 0
    await deletion.remove_deleted(parts.db, datetime.now(UTC))
    assert await raw(noted) == []


async def test_many_repeat_safe_keys_go_step_by_step_and_before_their_account(
    parts: Parts, leaver: Grant, raw: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    await raw(
        "INSERT INTO idempotency_key (account_id, operation, key, request_hash, subject_id, answer, created_at)"
        " SELECT :id, 'verifyEmail', n::text, '\\x00', :id, '{}', now() FROM generate_series(1, 5) n RETURNING 1",
        id=leaver.account.id,
    )
    monkeypatch.setattr(queries, "_ROWS_A_STEP", 2)
    await leave(parts, leaver)
    assert len(await raw("SELECT 1 FROM idempotency_key")) == 3
    async with parts.db.transaction() as session:
        assert [await queries.forget_keys(session, leaver.account.id) for _ in range(3)] == [True, True, False]
    await deletion.remove_deleted(parts.db, datetime.now(UTC))
    assert await is_gone(raw, leaver.account)


async def test_many_deliveries_go_step_by_step_and_none_is_tried_any_more(
    parts: Parts, leaver: Grant, raw: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    await raw(
        "INSERT INTO webhook (id, account_id, url, event_names, is_enabled, created_at)"
        " VALUES (:id, :id, 'https://lea.example/hook', '{task.completed}', true, now()) RETURNING 1",
        id=leaver.account.id,
    )
    await raw(  # the first two are due: one of the webhook, one of a task's own address
        "INSERT INTO webhook_delivery (id, account_id, webhook_id, url, event, data, attempts, due_at, created_at)"
        " SELECT gen_random_uuid(), :id, CASE WHEN n % 2 = 0 THEN CAST(:id AS uuid) END, 'https://lea.example/hook',"
        " 'TASK_COMPLETED', '{}', 0, CASE WHEN n < 3 THEN now() END, now() FROM generate_series(1, 9) n RETURNING 1",
        id=leaver.account.id,
    )
    monkeypatch.setattr(queries, "_ROWS_A_STEP", 2)
    await leave(parts, leaver)
    assert await raw("SELECT count(*), count(due_at) FROM webhook_delivery") == [(5, 0)]
    assert await raw("SELECT url, is_enabled FROM webhook") == [("", False)]
    assert await parts.deliveries.tick(datetime.now(UTC)) == 0
    await deletion.remove_deleted(parts.db, datetime.now(UTC))
    assert await raw("SELECT 1 FROM webhook_delivery") == await raw("SELECT 1 FROM webhook") == []
    assert await is_gone(raw, leaver.account)


async def test_a_task_is_stopped_upstream_before_it_goes(parts: Parts, leaver: Grant, worker: Worker, raw: Raw) -> None:
    await with_things(parts, raw, leaver)
    now = datetime.now(UTC)
    await worker.tick(now)  # posts the two
    await leave(parts, leaver)
    await deletion.remove_deleted(parts.db, now)
    states = {row.state for row in await raw("SELECT state FROM task_part")}
    assert states == {"STOPPING"}
    assert not await is_gone(raw, leaver.account)
    await worker.tick(now + timedelta(minutes=1))
    await deletion.remove_deleted(parts.db, now)
    assert await is_gone(raw, leaver.account)


async def test_a_removal_that_is_cut_off_anywhere_is_taken_up_again(parts: Parts, leaver: Grant, raw: Raw) -> None:
    await with_things(parts, raw, leaver)
    await leave(parts, leaver)
    chance, longest = random.Random(7), 0.03
    async with asyncio.timeout(30):
        while not await is_gone(raw, leaver.account):
            workers = [asyncio.create_task(deletion.remove_deleted(parts.db, datetime.now(UTC))) for _ in range(2)]
            await asyncio.sleep(chance.uniform(0.001, longest))
            longest *= 1.1  # on a slow machine too, a step is done in the end
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
    assert await raw("SELECT 1 FROM task") == []
    assert await raw("SELECT 1 FROM credit_account WHERE held <> 0") == []


async def test_a_task_that_was_on_its_way_is_stopped_and_removed_too(parts: Parts, leaver: Grant, raw: Raw) -> None:
    await with_things(parts, raw, leaver)
    await leave(parts, leaver)
    await factories.task(parts, leaver.account, ["late@ok.mailverdict.test"])
    await deletion.remove_deleted(parts.db, datetime.now(UTC))
    assert await is_gone(raw, leaver.account)
    with pytest.raises(DBAPIError):  # the account is gone: nothing can be added to it any more
        await factories.task(parts, leaver.account, ["later@ok.mailverdict.test"])
    assert await raw("SELECT 1 FROM task") == []
    assert await raw("SELECT 1 FROM credit_account WHERE held <> 0") == []


async def test_big_tasks_go_in_pieces(parts: Parts, leaver: Grant, raw: Raw) -> None:
    await factories.finished_task(parts.db, leaver.account, 45_000)
    await leave(parts, leaver)
    steps = await deletion.remove_deleted(parts.db, datetime.now(UTC))
    assert steps == 4  # 20,000 rows at a time, then the account
    assert await is_gone(raw, leaver.account)


async def test_password_and_address_are_asked_for(parts: Parts, leaver: Grant) -> None:
    with pytest.raises(Required):
        await leave(parts, leaver, password=None)
    with pytest.raises(InvalidCredentials):
        await leave(parts, leaver, password="wrong horse")
    with pytest.raises(Invalid):
        await leave(parts, leaver, email="other@example.com")
    await leave(parts, leaver, email=" LEAVER@example.com ")


async def test_the_last_administrator_stays(parts: Parts, leaver: Grant, db: Database, raw: Raw) -> None:
    await raw("UPDATE account SET role = 'ADMIN' WHERE id = :id RETURNING id", id=leaver.account.id)
    with pytest.raises(WrongState, match="last administrator"):
        await leave(parts, leaver)
    await factories.account(db, email="chief@example.com", role=UserRole.ADMIN, balance=0)
    await leave(parts, leaver)


async def test_the_log_tells_that_it_was_deleted_and_not_from_where(parts: Parts, leaver: Grant, raw: Raw) -> None:
    await leave(parts, leaver)
    (event,) = await raw("SELECT * FROM audit_event")
    assert (event.action, event.subject_id) == ("account.delete", ids.global_id("user", leaver.account.id))
    assert (event.actor_id, event.ip_address, event.user_agent) == (None, None, None)


@pytest.mark.parametrize("change", ["note = 'other'", "note = NULL, amount = 1", "amount = amount + 1"])
async def test_of_the_ledger_nothing_but_a_note_can_be_forgotten(
    parts: Parts, leaver: Grant, raw: Raw, change: str
) -> None:
    await with_things(parts, raw, leaver)
    with pytest.raises(DBAPIError, match="append-only"):
        await raw(f"UPDATE credit_transaction SET {change}")


def test_every_table_of_accounts_goes_with_its_account_or_is_kept_for_a_reason() -> None:
    for table in Table.metadata.sorted_tables:
        keys_ = [key for key in table.foreign_keys if key.column.table.name == "account"]
        assert all(key.ondelete == "CASCADE" for key in keys_), table.name
        assert all(key.parent.name == "account_id" for key in keys_), table.name
        reaches_one = any(key.column.table.name != "account" for key in table.foreign_keys)
        if "account_id" in table.c and not keys_ and not reaches_one:
            assert table.name in KEPT, f"{table.name}: say whether it goes with its account"
