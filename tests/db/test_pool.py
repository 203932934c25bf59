"""The connections of hot reads: never more than allowed, never with another's identity, and none is lost."""

import asyncio
import random
from uuid import UUID, uuid4

import asyncpg
import pytest

from conftest import NewDatabase
from db import acting, pool
from db.pool import Pool

WHOSE = "SELECT current_setting('role'), coalesce(current_setting('request.jwt.claims', true), '')"


@pytest.fixture(scope="module")
def url(new_database: NewDatabase) -> str:
    async def create() -> str:
        made = await new_database()
        connection = await asyncpg.connect(made)
        await connection.execute(f"DO $$ BEGIN CREATE ROLE {acting.ROLE}; EXCEPTION WHEN duplicate_object THEN END $$")
        await connection.close()
        return made

    return asyncio.run(create())


async def whose(connections: Pool, account_id: UUID | None) -> tuple[str, str]:
    held = await connections.take(account_id)
    try:
        (row,) = await held.driver.fetch(WHOSE)
    except BaseException:
        connections.drop(held)
        raise
    connections.give(held)
    return tuple(row)


async def test_everybody_acts_for_whom_they_should_whoever_is_cancelled(url: str) -> None:
    connections = Pool(lambda: asyncpg.connect(url), 3)
    accounts = [None, *(uuid4() for _ in range(4))]
    chosen = random.Random(1)

    async def ask() -> None:
        account_id = chosen.choice(accounts)
        assert await whose(connections, account_id) == acting.identity(account_id)

    for _ in range(30):
        asking = [asyncio.create_task(ask()) for _ in range(12)]
        for _ in range(chosen.randrange(30)):
            await asyncio.sleep(0)
        for task in chosen.sample(asking, 4):
            task.cancel()
        done, _ = await asyncio.wait(asking)
        failed = [task.exception() for task in done if not task.cancelled() and task.exception() is not None]
        assert failed == []
        assert connections._opened_count <= 3
    assert connections._opened_count == len(connections._free)
    connections.close()


async def test_one_that_acts_for_the_same_account_is_not_told_again(url: str) -> None:
    connections, account_id = Pool(lambda: asyncpg.connect(url), 2), uuid4()
    first = await connections.take(account_id)
    connections.give(first)
    nobody = await connections.take(None)
    assert nobody is not first, "there is room for another"
    connections.give(nobody)
    assert await connections.take(account_id) is first
    assert await connections.take(None) is nobody
    connections.close()


async def test_who_waits_is_served_in_turn_and_not_for_ever(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "WAIT_SECONDS", 0.2)
    connections = Pool(lambda: asyncpg.connect(url), 1)
    held = await connections.take(None)
    waiting = [asyncio.create_task(connections.take(None)) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    connections.give(held)
    assert await waiting[1] is held
    with pytest.raises(TimeoutError):
        await waiting[2]
    connections.drop(held)
    assert await whose(connections, None) == acting.identity(None), "there is room again"
    connections.close()


async def test_one_for_the_same_account_goes_first_but_not_for_ever(url: str) -> None:
    connections, account_id = Pool(lambda: asyncpg.connect(url), 1), uuid4()
    held = await connections.take(account_id)
    served: list[UUID | None] = []

    async def wait(wanted: UUID | None) -> None:
        connections.give(await connections.take(wanted))
        served.append(wanted)

    waiting = [asyncio.create_task(wait(wanted)) for wanted in [None, *[account_id] * 20]]
    await asyncio.sleep(0)
    connections.give(held)
    await asyncio.gather(*waiting)
    assert served.index(None) == pool.PASSED_OVER_MAX
    connections.close()


async def test_those_that_the_server_has_closed_are_replaced(url: str) -> None:
    connections = Pool(lambda: asyncpg.connect(url), 2)
    both = [await connections.take(None) for _ in range(2)]
    for held in both:
        connections.give(held)
        await held.driver.close()
    found = await connections.take(uuid4())
    assert found not in both
    assert not found.driver.is_closed()
    connections.close()


async def test_a_connection_that_cannot_be_opened_takes_no_room() -> None:
    async def refused() -> asyncpg.Connection:
        raise ConnectionRefusedError

    connections = Pool(refused, 1)
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            await connections.take(None)
