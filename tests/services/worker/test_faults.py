"""An upstream that errs, refuses, hangs or is away: tasks wait or end clearly, and nobody waits for another."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from db.models import Account, Task, TaskStatus
from db.session import Database
from resolvers.context import Parts
from services import freshness, ingest
from services.upstream.http import HttpUpstream
from services.worker import Worker
from tests import factories
from tests.services import ledger
from tests.services.faulty_upstream import Fault, FaultyUpstream
from tests.services.worker.following import (
    CHARGEABLE,
    MIXED,
    Clock,
    at_work,
    held,
    is_whole,
    row_of,
    status_when_over,
    worked,
)

BALANCE = 1_000_000
"""What an account of the tests begins with."""


async def waits(worker: Worker, clock: Clock, raw: Any, *, ticks: int) -> list[float]:
    """For how many seconds the only part is put off by each of so many ticks."""
    found = []
    for _ in range(ticks):
        now = clock.on()
        await worker.tick(now)
        ((due_at,),) = await raw("SELECT due_at FROM task_part")
        found.append((due_at - now).total_seconds())
    return found


async def test_security_15_an_upstream_that_errs_again_and_again_only_takes_longer(
    worker: Worker, parts: Parts, account: Account, faulty: FaultyUpstream, clock: Clock, raw: Any
) -> None:
    faulty.page_size, faulty.settled_a_look = 10, 15
    busy, broken, garbage = Fault(429, headers={"retry-after": "30"}), Fault(500), Fault(200, b"<html>")
    faulty.err("create", busy, broken, broken, broken, garbage, garbage, garbage)
    faulty.err("list", garbage, busy, broken, broken, broken)
    faulty.err("results", broken, garbage, busy, Fault(hang_seconds=20))
    task = await factories.task(parts, account, MIXED)
    await is_whole(raw, await worked(worker, clock, task, pause_seconds=0.05))  # the breaker has a clock of its own
    assert len(faulty.tasks) == 1
    assert await ledger.balance(parts.db, account.id) == (BALANCE - CHARGEABLE, 0, 0)


async def test_security_15_a_refusal_fails_the_task_with_upstreams_reason(
    worker: Worker, parts: Parts, account: Account, faulty: FaultyUpstream, clock: Clock, raw: Any
) -> None:
    faulty.err("create", Fault(400))
    task = await factories.task(parts, account, MIXED)
    row = await worked(worker, clock, task)
    assert (row.status, row.failure_reason) == (TaskStatus.FAILED, "It broke.")
    assert (row.invalid_syntax_count, row.chargeable_count, row.metrics.job_status.pending) == (1, 0, 42)
    assert await raw("SELECT DISTINCT state FROM task_part") == [("ENDED",)]
    assert await worker.tick(clock.on()) == 0
    assert await ledger.balance(parts.db, account.id) == (BALANCE, 0, 0)


async def test_a_task_that_fails_on_its_way_keeps_its_verdicts(
    worker: Worker, parts: Parts, account: Account, faulty: FaultyUpstream, clock: Clock, raw: Any
) -> None:
    faulty.settled_a_look = 15
    task = await factories.task(parts, account, MIXED)
    for _ in range(2):
        await worker.tick(clock.on())
    faulty.err("results", Fault(403))
    row = await worked(worker, clock, task)
    assert (row.status, row.failure_reason) == (TaskStatus.FAILED, "It broke.")
    assert await held(raw, task) == (16, 15)
    assert (row.chargeable_count, row.completed_count, row.exists_count) == (15, 16, 15)
    await worker.tick(clock.on())
    assert faulty.calls["cancel"] == 1


async def test_a_list_call_that_is_refused_fails_no_task(
    worker: Worker, parts: Parts, account: Account, faulty: FaultyUpstream, clock: Clock, raw: Any
) -> None:
    task = await factories.task(parts, account, MIXED)
    await worker.tick(clock.on())
    faulty.err("list", Fault(401))
    await is_whole(raw, await worked(worker, clock, task))


async def test_an_upstream_that_is_away_leaves_the_task_queued_until_it_is_back(
    worker: Worker, parts: Parts, account: Account, faulty: FaultyUpstream, clock: Clock, raw: Any
) -> None:
    await faulty.stop()
    task = await factories.task(parts, account, MIXED)
    for _ in range(3):
        assert await worker.tick(clock.on()) == 1
        assert (await row_of(parts.db, task.id)).status == TaskStatus.QUEUED
    await faulty.start()
    await asyncio.sleep(0.35)  # the breaker
    await is_whole(raw, await worked(worker, clock, task))


async def test_security_15_waits_double_up_to_a_minute(
    worker: Worker, parts: Parts, account: Account, faulty: FaultyUpstream, clock: Clock, raw: Any
) -> None:
    faulty.err_always("create", Fault(429))
    await factories.task(parts, account)
    assert await waits(worker, clock, raw, ticks=8) == [1, 2, 4, 8, 16, 32, 60, 60]


async def test_security_15_a_wait_that_upstream_asks_for_is_kept(
    worker: Worker, parts: Parts, account: Account, faulty: FaultyUpstream, clock: Clock, raw: Any
) -> None:
    faulty.err("create", Fault(429, headers={"retry-after": "300"}))
    await factories.task(parts, account)
    now = clock.on()
    await worker.tick(now)
    ((due_at,),) = await raw("SELECT due_at FROM task_part")
    assert due_at - now == timedelta(seconds=300)
    assert await worker.tick(now + timedelta(seconds=299)) == 0
    assert faulty.calls["create"] == 1


async def test_security_15_after_a_day_without_a_word_the_task_fails(
    worker: Worker, parts: Parts, account: Account, faulty: FaultyUpstream, clock: Clock
) -> None:
    await faulty.stop()
    task = await factories.task(parts, account, MIXED)
    for hours in (30, 23):  # however long nobody was there to ask
        await worker.tick(clock.on(timedelta(hours=hours)))
        assert (await row_of(parts.db, task.id)).status == TaskStatus.QUEUED
    await worker.tick(clock.on(timedelta(hours=2)))
    row = await row_of(parts.db, task.id)
    assert row.status == TaskStatus.FAILED
    assert row.failure_reason == "The verifier could not be reached for 24 hours."
    assert await ledger.balance(parts.db, account.id) == (BALANCE, 0, 0)


async def test_a_task_that_runs_for_days_does_not_fail_by_one_lost_call(
    worker: Worker, parts: Parts, account: Account, faulty: FaultyUpstream, clock: Clock, raw: Any
) -> None:
    faulty.settled_a_look = 5
    task = await factories.task(parts, account, MIXED)
    await worker.tick(clock.on())
    await raw("UPDATE task SET created_at = now() - interval '70 hours' RETURNING 1")
    faulty.err("list", Fault(503), Fault(503), Fault(503))
    faulty.forget()  # and then it is to be made again, which goes wrong once too
    faulty.err("create", Fault(503), Fault(503), Fault(503))
    for _ in range(4):
        await worker.tick(clock.on())
        await asyncio.sleep(0.31)
    await is_whole(raw, await worked(worker, clock, task))


async def test_results_that_do_not_move_on_are_a_fault_and_not_an_endless_loop(
    worker: Worker, parts: Parts, account: Account, faulty: FaultyUpstream, clock: Clock
) -> None:
    task = await factories.task(parts, account)
    await worker.tick(clock.on())
    body = b'{"results": [{"email": "alice@ok.mailverdict.test", "status": "exists"}], "next_after": 0}'
    faulty.err_always("results", Fault(200, body))
    async with asyncio.timeout(3):
        await worker.tick(clock.on())
    assert (await row_of(parts.db, task.id)).is_open


async def test_a_part_that_hangs_does_not_hold_up_the_tasks_of_others(
    parts: Parts, db: Database, account: Account, faulty: FaultyUpstream, upstream_key: str
) -> None:
    patient = HttpUpstream(faulty.url, timeout_seconds=20)
    worker = Worker(parts.db, patient, parts.upstream_keys, parts.hub, parts.announcer, parts.usage, concurrency=2)
    faulty.hanging_word = "hang"
    await factories.task(parts, account, ["hang@example.com"])
    other = await factories.account(db, "other@example.com")
    working = asyncio.create_task(worker.run(asyncio.Event()))
    try:
        await asyncio.sleep(0.1)
        for _ in range(2):
            assert await status_when_over(db, await factories.task(parts, other, MIXED), 3) == TaskStatus.COMPLETED
    finally:
        working.cancel()
        await asyncio.wait((working,))
        await patient.close()


async def test_an_upstream_that_comes_back_is_noticed_by_a_worker_at_work(
    worker: Worker, parts: Parts, account: Account, faulty: FaultyUpstream
) -> None:
    await faulty.stop()
    async with at_work(worker):
        task = await factories.task(parts, account, MIXED)
        await asyncio.sleep(0.3)
        await faulty.start()
        assert await status_when_over(parts.db, task, 8) == TaskStatus.COMPLETED


def poison(monkeypatch: pytest.MonkeyPatch, poisoned: Task) -> None:
    """Make every answer about a task one that cannot be recorded, for a reason that nobody thought of."""
    recorded = ingest.record_batch

    async def record(session: Any, key: Any, *rest: Any, **more: Any) -> Any:
        if key[0] == poisoned.id:
            raise ValueError("what a database refuses")
        return await recorded(session, key, *rest, **more)

    monkeypatch.setattr(ingest, "record_batch", record)


async def test_one_poisoned_answer_does_not_hold_up_the_other_tasks(
    worker: Worker, parts: Parts, account: Account, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    poisoned = await factories.task(parts, account)
    whole = await factories.task(parts, account, MIXED)
    poison(monkeypatch, poisoned)
    assert (await worked(worker, clock, whole)).status == TaskStatus.COMPLETED
    assert (await row_of(parts.db, poisoned.id)).is_open


async def test_security_15_a_poisoned_answer_is_asked_for_ever_more_rarely_and_after_a_day_the_task_fails(
    worker: Worker,
    parts: Parts,
    account: Account,
    faulty: FaultyUpstream,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    raw: Any,
) -> None:
    task = await factories.task(parts, account)
    poison(monkeypatch, task)
    await worker.tick(clock.on())
    assert await waits(worker, clock, raw, ticks=3) == [1, 2, 4]
    await worker.tick(clock.on(timedelta(hours=23)))
    # Whoever looks at the task brings its counters up to date, which mends nothing.
    looked = await freshness.refresh(parts.db, parts.upstream, parts.upstream_keys, [task.id], clock.on())
    assert looked[task.id].is_open
    await worker.tick(clock.on(timedelta(hours=1)))
    row = await row_of(parts.db, task.id)
    assert (row.status, row.failure_reason) == (
        TaskStatus.FAILED,
        "An internal error, which the service's log names, kept the task from going on for 24 hours.",
    )
    assert await raw("SELECT balance, held FROM credit_account") == [(1_000_000, 0)]
    await worker.tick(clock.on())
    assert faulty.calls["cancel"] == 1


async def test_a_day_of_failures_is_counted_from_the_last_call_that_worked(
    worker: Worker, parts: Parts, account: Account, faulty: FaultyUpstream, clock: Clock, raw: Any
) -> None:
    faulty.settled_a_look = 5
    task = await factories.task(parts, account, MIXED)
    await worker.tick(clock.on())
    for _ in range(3):
        faulty.err("list", Fault(429))
        await worker.tick(clock.on(timedelta(hours=20)))
        await worker.tick(clock.on())
    await is_whole(raw, await worked(worker, clock, task))
