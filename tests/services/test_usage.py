"""Use, counted in memory and written by day: nothing lost but by a kill, nothing counted without bound."""

import asyncio
import time
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from db import ids
from db.models import Account, UsageTotal
from db.queries import usage as queries
from db.session import Database
from services import ranges, usage
from services.usage import Usage
from tests import factories


async def total(db: Database, account: Account, **only: Any) -> UsageTotal:
    days = ranges.latest(datetime.now(UTC), 2)  # midnight may come in between
    return (await usage.series(db, account.id, days, **only)).total


async def test_counts_add_up_by_account_key_and_day(db: Database, account: Account) -> None:
    other, key_id, counted = await factories.account(db, "other@example.com"), ids.new_uuid(), Usage(db)
    for _ in range(3):
        for _ in range(5):
            counted.count(account.id, None, requests=1)
            counted.count(account.id, key_id, requests=2, verifications=3, credits=1)
            counted.count(other.id, None, verifications=7)
        await counted.write()
    assert await total(db, account) == UsageTotal(45, 45, 15)
    assert await total(db, account, api_key_id=key_id) == UsageTotal(30, 45, 15)
    assert await total(db, other) == UsageTotal(0, 105, 0)


async def test_two_processes_write_the_same_days_at_once(db: Database) -> None:
    owners = [await factories.account(db, f"owner{n}@example.com") for n in range(20)]
    processes = [Usage(db) for _ in range(5)]
    for n, process in enumerate(processes):
        for owner in owners[n:] + owners[:n]:
            process.count(owner.id, None, requests=1)
    await asyncio.gather(*(process.write() for process in processes))
    assert [(await total(db, owner)).request_count for owner in owners] == [5] * 20


async def test_a_day_is_a_utc_day(db: Database, account: Account, monkeypatch: pytest.MonkeyPatch, raw: Any) -> None:
    counted = Usage(db)
    midnight = datetime(2026, 3, 2, tzinfo=UTC)
    for moment in (midnight - timedelta(seconds=1), midnight, midnight + timedelta(hours=23)):
        monkeypatch.setattr(time, "time", moment.timestamp)
        counted.count(account.id, None, requests=1)
    monkeypatch.undo()
    await counted.write()
    assert await raw("SELECT day, request_count FROM usage_day ORDER BY day") == [
        (date(2026, 3, 1), 1),
        (date(2026, 3, 2), 2),
    ]
    found = await usage.series(db, account.id, ranges.between(date(2026, 2, 28), date(2026, 3, 4)))
    assert [(point.date.day, point.request_count) for point in found.points] == [
        (28, 0),
        (1, 1),
        (2, 2),
        (3, 0),
        (4, 0),
    ]


async def test_what_could_not_be_written_is_kept_and_written_later(
    db: Database, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Usage(db)
    counted.count(account.id, None, requests=1)
    with monkeypatch.context() as away:
        away.setattr(queries, "_ADD", text("SELECT no_such_function()"))
        await counted.write()
        counted.count(account.id, None, requests=1)
        await counted.write()
    assert await total(db, account) == UsageTotal(0, 0, 0)
    await counted.write()
    await counted.write()
    assert await total(db, account) == UsageTotal(2, 0, 0)


async def test_use_of_an_account_that_is_gone_does_not_hold_up_the_rest(
    db: Database, account: Account, raw: Any
) -> None:
    counted = Usage(db)
    counted.count(ids.new_uuid(), None, requests=1)
    counted.count(account.id, None, requests=1)
    await counted.write()
    assert await raw("SELECT account_id, request_count FROM usage_day") == [(account.id, 1)]


async def test_memory_is_bounded(db: Database, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "KEPT_MAX", 10)
    counted = Usage(db)
    counted.count(account.id, None, requests=1)
    for _ in range(100):
        counted.count(account.id, ids.new_uuid(), requests=1)
    counted.count(account.id, None, requests=1)
    assert len(counted._counts) == 10
    await counted.write()
    assert await total(db, account) == UsageTotal(11, 0, 0)


async def test_counts_are_written_while_it_runs_and_once_more_at_the_end(
    db: Database, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "WRITE_SECONDS", 0.01)
    counted = Usage(db)
    running = asyncio.create_task(counted.run())
    counted.count(account.id, None, requests=1)
    async with asyncio.timeout(10):
        while (await total(db, account)).request_count == 0:
            await asyncio.sleep(0.01)
    monkeypatch.setattr(usage, "WRITE_SECONDS", 60)
    await asyncio.sleep(0.03)
    counted.count(account.id, None, requests=1)
    counted.close()
    async with asyncio.timeout(10):
        await running
    assert await total(db, account) == UsageTotal(2, 0, 0)


async def test_a_full_memory_is_written_at_once(
    db: Database, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "KEPT_MAX", 10)
    monkeypatch.setattr(usage, "WRITE_SECONDS", 60)
    counted = Usage(db)
    running = asyncio.create_task(counted.run())
    for _ in range(5):
        counted.count(account.id, ids.new_uuid(), requests=1)
    async with asyncio.timeout(10):
        while (await total(db, account)).request_count < 5:
            await asyncio.sleep(0.01)
    counted.close()
    await running


async def test_counting_costs_microseconds(db: Database, account: Account) -> None:
    counted = Usage(db)
    started = time.perf_counter()
    for _ in range(10_000):
        counted.count(account.id, None, requests=1)
    assert (time.perf_counter() - started) / 10_000 < 50e-6
