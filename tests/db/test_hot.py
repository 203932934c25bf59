"""Hot reads: the same rows as through a session, nobody's identity left behind, and a lost connection replaced."""

import asyncio

import pytest
from sqlalchemy import inspect, literal_column, select
from sqlalchemy.exc import InvalidRequestError

from db import hot
from db.models import Account, Task
from db.queries import accounts, credits, tasks
from db.session import Database
from tests import factories
from tests.conftest import Raw

WHO = hot.Read[tuple[str, str]](
    select(
        literal_column("current_user::text").label("role"),
        literal_column("current_setting('request.jwt.claims', true)").label("claims"),
    )
)


async def test_a_hot_row_is_the_row_that_a_session_reads(db: Database, account: Account) -> None:
    task = await factories.finished_task(db, account, rows=3)
    found = (await tasks.hot_by_ids(db.hot, [task.id]))[task.id]
    async with db.read() as session:
        same = (await tasks.by_ids(session, [task.id]))[task.id]
    assert isinstance(found, Task)
    names = [attribute.key for attribute in inspect(Task).column_attrs]
    assert [getattr(found, name) for name in names] == [getattr(same, name) for name in names]
    assert found.metrics == same.metrics
    with pytest.raises(InvalidRequestError):
        async with db.transaction() as session:
            session.add(found)


async def test_a_hot_read_for_an_account_shows_its_rows_alone_and_leaves_no_identity(
    db: Database, account: Account
) -> None:
    other = await factories.account(db, email="other@example.com")
    ((before, _),) = await db.hot.fetch(WHO)
    for steps in range(20):
        assert set(await credits.hot_by_accounts(db.hot, [account.id, other.id], account.id)) == {account.id}
        asking = asyncio.create_task(credits.hot_by_accounts(db.hot, [account.id], account.id))
        for _ in range(steps):
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait((asking,))
        ((role, claims),) = await db.hot.fetch(WHO)
        assert (role, claims or None) == (before, None)


async def test_a_connection_that_was_lost_is_replaced(db: Database, account: Account, raw: Raw) -> None:
    for _ in range(3):
        assert account.id in await accounts.hot_by_ids(db.hot, [account.id])
        await raw(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'mailverdict' AND datname = current_database() AND pid <> pg_backend_pid()"
        )
