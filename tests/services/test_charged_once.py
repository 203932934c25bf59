"""A process killed between upstream's answer and its own commit: what was asked for is charged once, or not at all."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from db.models import Account
from db.session import Database
from resolvers.context import Parts
from services.worker import Worker
from tests import factories
from tests.client import Client
from tests.conftest import token
from tests.services.faulty_upstream import FaultyUpstream
from tests.services.processes import running

SECONDS = 30.0
DEDUCT = """mutation { deductTokens(input: {amount: 3, note: "n", idempotencyKey: "k"}) {
  transaction { amount balanceAfter } userErrors { code } } }"""
VERIFY = 'mutation { verifyEmail(input: {email: "yes-1@example.com"}) { verification { verdict } } }'


@pytest.fixture
async def account(db: Database) -> Account:
    return await factories.account(db, balance=100)


@contextlib.asynccontextmanager
async def commits_held_up(db: Database, account: Account) -> AsyncIterator[None]:
    """Whoever changes the credits of the account waits at that very line, until the block ends."""
    async with db.transaction() as session:
        await session.execute(
            text("SELECT 1 FROM credit_account WHERE account_id = :id FOR UPDATE"), {"id": account.id}
        )
        yield


async def until_somebody_waits(db: Database) -> None:
    """Wait until a process is at that line: its transaction is open, upstream has answered, nothing is committed."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%FROM credit_account%'"
    )
    async with asyncio.timeout(SECONDS), db.read() as session:
        while not await session.scalar(waiting):
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def api_of(url: str, credential: str) -> AsyncIterator[Client]:
    """A client of another process, as soon as that answers."""
    async with httpx.AsyncClient(base_url=url, timeout=SECONDS, trust_env=False) as http:
        async with asyncio.timeout(SECONDS):
            while True:
                with contextlib.suppress(httpx.TransportError):
                    await http.get("/health/live")
                    break
                await asyncio.sleep(0.05)
        yield Client(http, credential)


async def test_security_02_a_worker_killed_between_upstreams_answer_and_its_commit_charges_once(
    parts: Parts, worker: Worker, service_database_url: str, faulty: FaultyUpstream, raw: Any
) -> None:
    owner = await factories.account(parts.db, balance=10)
    task = await factories.task(parts, owner, ["yes-1@example.com", "no-1@example.com", "grey-1@example.com"])
    with running("work", service_database_url, faulty.url) as (process, _):
        async with commits_held_up(parts.db, owner):
            await until_somebody_waits(parts.db)
            assert faulty.calls["results"] >= 1
            process.kill()
            process.wait()
    assert await raw("SELECT count(*) FROM task_address WHERE verdict IS NOT NULL") == [(0,)]
    now = datetime.now(UTC)
    for minutes in range(1, 5):
        await worker.tick(now + timedelta(minutes=minutes))
    (found,) = await raw("SELECT status, chargeable_count FROM task WHERE id = :id", id=task.id)
    assert tuple(found) == ("COMPLETED", 2)
    assert [row[0] for row in await raw("SELECT amount FROM credit_transaction WHERE kind = 'SPENT'")] == [-2]
    assert [tuple(row) for row in await raw("SELECT balance, held FROM credit_account")] == [(8, 0)]


async def test_security_02_an_api_killed_before_its_commit_charges_nothing_and_the_key_repeated_once(
    parts: Parts, client: Client, account: Account, service_database_url: str, faulty: FaultyUpstream, raw: Any
) -> None:
    before = await raw("SELECT balance FROM credit_account")
    with running("serve", service_database_url, faulty.url) as (process, url):
        async with api_of(url, token(parts, account)) as other:
            async with commits_held_up(parts.db, account):
                asked = [asyncio.create_task(other.post(query)) for query in (VERIFY, DEDUCT)]
                await until_somebody_waits(parts.db)
                process.kill()
                process.wait()
            for lost in await asyncio.gather(*asked, return_exceptions=True):
                assert isinstance(lost, httpx.TransportError)
    assert await raw("SELECT balance FROM credit_account") == before
    given = [(await client.ask(DEDUCT))["deductTokens"] for _ in range(2)]
    assert given[0] == given[1]
    assert given[0]["transaction"] == {"amount": -3, "balanceAfter": before[0][0] - 3}
