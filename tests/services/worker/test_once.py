"""Whatever comes again, late, or to two workers: every address gets one verdict and counts are exact."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from db.models import Account, TaskStatus
from db.queries import parts as part_queries
from db.queries import tasks as task_queries
from resolvers.context import Parts
from services import ingest, tasks
from services.upstream.http import HttpUpstream
from services.worker import Worker
from tests import factories
from tests.services.faulty_upstream import FaultyUpstream
from tests.services.worker.following import (
    MIXED,
    Clock,
    failing,
    held,
    is_whole,
    row_of,
    worked,
)


@pytest.mark.parametrize("function", ["record_snapshot", "end_part"])
async def test_a_worker_stopped_between_results_and_counters_loses_and_doubles_nothing(
    worker: Worker,
    parts: Parts,
    account: Account,
    faulty: FaultyUpstream,
    clock: Clock,
    raw: Any,
    monkeypatch: pytest.MonkeyPatch,
    function: str,
) -> None:
    faulty.settled_a_look = 10 if function == "record_snapshot" else None
    task = await factories.task(parts, account, MIXED)
    await worker.tick(clock.on())
    with monkeypatch.context() as broken:
        broken.setattr(ingest, function, failing)
        for _ in range(3):
            await worker.tick(clock.on())
            assert (await row_of(parts.db, task.id)).is_open
    assert (await held(raw, task))[0] >= 31
    await is_whole(raw, await worked(worker, clock, task))


async def test_a_batch_that_comes_again_changes_nothing(
    worker: Worker,
    parts: Parts,
    account: Account,
    faulty: FaultyUpstream,
    upstream: HttpUpstream,
    upstream_key: str,
    clock: Clock,
    raw: Any,
) -> None:
    faulty.settled_a_look = 20
    task = await factories.task(parts, account, MIXED)
    for _ in range(2):
        await worker.tick(clock.on())
    (known,) = faulty.tasks
    page = await upstream.results(upstream_key, known, after=0)
    for seen, cursor in ((0, 20), (20, 21), (21, 21), (20, 20)):  # stale, moved on, and twice the same
        async with parts.db.transaction() as session:
            recorded = await ingest.record_batch(
                session, (task.id, 1), page.results, seen=seen, cursor=cursor, now=clock.now
            )
        assert recorded is None or recorded.new_count == 0
    assert (await row_of(parts.db, task.id)).chargeable_count == 20
    await raw("UPDATE task_part SET cursor = 3 RETURNING 1")  # as if a commit had been lost
    await is_whole(raw, await worked(worker, clock, task))


async def test_a_result_that_comes_twice_in_one_page_counts_once(
    worker: Worker,
    parts: Parts,
    account: Account,
    faulty: FaultyUpstream,
    upstream: HttpUpstream,
    upstream_key: str,
    clock: Clock,
) -> None:
    task = await factories.task(parts, account, MIXED)
    faulty.settled_a_look = 0
    for _ in range(2):
        await worker.tick(clock.on())
    (known,) = faulty.tasks.values()
    known.done = 10
    page = await upstream.results(upstream_key, known.id, after=0)
    async with parts.db.transaction() as session:
        twice = [*page.results, *page.results]
        recorded = await ingest.record_batch(session, (task.id, 1), twice, seen=0, cursor=10, now=clock.now)
    assert recorded is not None
    assert (recorded.new_count, recorded.chargeable_count) == (10, 10)


async def test_results_that_come_after_a_cancellation_are_dropped(
    worker: Worker, parts: Parts, account: Account, faulty: FaultyUpstream, clock: Clock, raw: Any
) -> None:
    task = await factories.task(parts, account, MIXED)
    await worker.tick(clock.on())

    async def cancel() -> None:
        await tasks.cancel(parts.db, parts.announcer, factories.actor(account), task.id, parts.now())

    faulty.before["results"] = cancel
    await worker.tick(clock.on())
    row = await row_of(parts.db, task.id)
    assert (row.status, row.chargeable_count, row.completed_count) == (TaskStatus.CANCELED, 0, 1)
    assert await held(raw, task) == (1, 0)
    await worker.tick(clock.on())
    assert [known.is_canceled for known in faulty.tasks.values()] == [True]
    assert await worker.tick(clock.on()) == 0


async def test_a_task_cancelled_while_it_is_posted_is_stopped_upstream(
    worker: Worker, parts: Parts, account: Account, faulty: FaultyUpstream, clock: Clock
) -> None:
    task = await factories.task(parts, account, MIXED)

    async def cancel() -> None:
        await tasks.cancel(parts.db, parts.announcer, factories.actor(account), task.id, parts.now())

    faulty.before["create"] = cancel
    for _ in range(2):
        await worker.tick(clock.on())
    assert [known.is_canceled for known in faulty.tasks.values()] == [True]
    assert (await row_of(parts.db, task.id)).status == TaskStatus.CANCELED
    assert await worker.tick(clock.on()) == 0


async def test_a_snapshot_and_a_cancellation_do_not_lock_each_other_out(
    worker: Worker, parts: Parts, account: Account, faulty: FaultyUpstream, upstream: HttpUpstream, clock: Clock
) -> None:
    task = await factories.task(parts, account, MIXED)
    await worker.tick(clock.on())
    (known,) = faulty.tasks
    snapshot = (await upstream.tasks("key", [known]))[known].snapshot
    async with asyncio.timeout(5), parts.db.transaction() as session:
        await task_queries.lock(session, task.id)
        recording = asyncio.create_task(ingest.record_snapshot(parts.db, (task.id, 1), snapshot, parts.now()))
        await asyncio.sleep(0.2)
        await part_queries.stop_all(session, task.id, parts.now())
    await recording


async def test_two_workers_on_one_part_record_every_verdict_once(
    worker: Worker, parts: Parts, account: Account, faulty: FaultyUpstream, clock: Clock, raw: Any
) -> None:
    other = Worker(parts.db, parts.upstream, parts.upstream_keys, parts.hub, parts.announcer, parts.usage)
    faulty.page_size = 3
    task = await factories.task(parts, account, MIXED)
    for _ in range(3):  # the second comes when the lease of the first has run out
        acts = await worker._acts(clock.on(), slots=8)
        late = await other._acts(clock.on(timedelta(seconds=31)), slots=8)
        assert len(acts) == len(late)
        await asyncio.gather(*acts, *late)
    await is_whole(raw, await worked(worker, clock, task, ticks=1))


async def test_a_list_of_several_parts_ends_with_the_last_of_them(
    worker: Worker,
    parts: Parts,
    account: Account,
    faulty: FaultyUpstream,
    clock: Clock,
    raw: Any,
    cut_into: Callable[[int], None],
) -> None:
    cut_into(10)
    faulty.settled_a_look = 4
    task = await factories.task(parts, account, MIXED)
    assert await raw("SELECT n, total FROM task_part ORDER BY n") == [(1, 10), (2, 10), (3, 10), (4, 10), (5, 2)]
    row = await worked(worker, clock, task)
    await is_whole(raw, row)
    assert sorted(faulty.by_key) == [f"{task.id}:{n}" for n in range(1, 6)]


async def test_results_in_several_pages_are_all_brought_home(
    worker: Worker, parts: Parts, account: Account, faulty: FaultyUpstream, clock: Clock, raw: Any
) -> None:
    faulty.page_size, faulty.settled_a_look = 4, 9
    task = await factories.task(parts, account, MIXED)
    await is_whole(raw, await worked(worker, clock, task))
    assert faulty.calls["create"] == 1
