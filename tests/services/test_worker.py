"""The worker against an upstream that errs: whatever happens, every address gets one verdict and counts are exact."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from db.models import Account, Task, TaskStatus
from db.queries import tasks as task_queries
from db.session import Database
from resolvers.context import Parts
from services import ingest, tasks
from services.upstream.http import HttpUpstream
from services.worker import Worker
from tests import factories
from tests.services.faulty_upstream import Fault, FaultyUpstream

MIXED = [
    *(f"yes-{n}@example.com" for n in range(20)),
    *(f"no-{n}@example.com" for n in range(10)),
    *(f"any-{n}@example.com" for n in range(5)),
    *(f"grey-{n}@example.com" for n in range(3)),
    *(f"lost-{n}@example.com" for n in range(2)),
    "info@example.com",
    "bad-one@example.com",
    "no address",
]
"""43 addresses, 36 of which cost a credit."""
CHARGEABLE = 36


class Clock:
    """A clock that every tick moves on, so that all that is put off is due again."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def on(self, by: timedelta = timedelta(minutes=2)) -> datetime:
        self.now += by
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def row_of(db: Database, task_id: UUID) -> Task:
    """The task as it is stored, with counters that fit together."""
    async with db.read() as session:
        row = (await task_queries.by_ids(session, [task_id]))[task_id]
    states, verdicts = row.metrics.job_status, row.metrics.verification_status
    assert min(states.pending, states.processing, states.completed, states.failed) >= 0
    assert states.pending + states.processing + states.completed + states.failed == row.total_count
    done = verdicts.exists + verdicts.not_exists + verdicts.catchall + verdicts.invalid_syntax + verdicts.unknown
    assert done == states.completed + states.failed
    return row


async def worked(worker: Worker, clock: Clock, task: Task, ticks: int = 30, *, pause_seconds: float = 0) -> Task:
    """The task after as many ticks as it takes to end it."""
    for _ in range(ticks):
        await worker.tick(clock.on())
        await asyncio.sleep(pause_seconds)
        row = await row_of(worker.db, task.id)
        if not row.is_open:
            return row
    raise AssertionError(f"still open after {ticks} ticks")


async def held(raw: Any, task: Task) -> tuple[int, int]:
    """Addresses of a task that have a verdict, and those whose verdict costs a credit."""
    ((verdicts, chargeable),) = await raw(
        "SELECT count(verdict), count(*) FILTER (WHERE verdict IN ('EXISTS', 'NOT_EXISTS', 'CATCHALL'))"
        " FROM task_address WHERE task_id = :id",
        id=task.id,
    )
    return verdicts, chargeable


async def is_whole(raw: Any, row: Task) -> None:
    """A completed task of MIXED holds every verdict once."""
    assert (row.status, row.failure_reason) == (TaskStatus.COMPLETED, None)
    assert await held(raw, row) == (43, CHARGEABLE)
    assert row.chargeable_count == CHARGEABLE
    assert (row.exists_count, row.not_exists_count, row.catchall_count) == (21, 10, 5)
    assert (row.invalid_syntax_count, row.unknown_count, row.role_based_count) == (2, 5, 1)
    assert (row.processing_count, row.completed_count, row.failed_count) == (0, 41, 2)
    assert row.finished_at is not None


@contextlib.asynccontextmanager
async def at_work(worker: Worker) -> AsyncIterator[None]:
    """The worker by itself, as in life."""
    stop = asyncio.Event()
    working = asyncio.create_task(worker.run(stop))
    try:
        yield
    finally:
        stop.set()
        await working


async def status_when_over(db: Database, task: Task, seconds: float = 5.0) -> TaskStatus:
    async with asyncio.timeout(seconds):
        while (row := await row_of(db, task.id)).is_open:
            await asyncio.sleep(0.02)
    return row.status


async def test_results_in_several_pages_are_all_brought_home(
    worker: Worker, parts: Parts, account: Account, faulty: FaultyUpstream, clock: Clock, raw: Any
) -> None:
    faulty.page_size, faulty.settled_a_look = 4, 9
    task = await factories.task(parts, account, MIXED)
    await is_whole(raw, await worked(worker, clock, task))
    assert faulty.calls["create"] == 1


async def test_an_upstream_that_errs_again_and_again_only_takes_longer(
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


async def test_a_refusal_fails_the_task_with_upstreams_reason(
    worker: Worker, parts: Parts, account: Account, faulty: FaultyUpstream, clock: Clock, raw: Any
) -> None:
    faulty.err("create", Fault(400))
    task = await factories.task(parts, account, MIXED)
    row = await worked(worker, clock, task)
    assert (row.status, row.failure_reason) == (TaskStatus.FAILED, "It broke.")
    assert (row.invalid_syntax_count, row.chargeable_count, row.metrics.job_status.pending) == (1, 0, 42)
    assert await raw("SELECT DISTINCT state FROM task_part") == [("ENDED",)]
    assert await worker.tick(clock.on()) == 0


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


async def test_waits_double_up_to_a_minute(
    worker: Worker, parts: Parts, account: Account, faulty: FaultyUpstream, clock: Clock, raw: Any
) -> None:
    faulty.err_always("create", Fault(429))
    await factories.task(parts, account)
    waits = []
    for _ in range(8):
        now = clock.on()
        await worker.tick(now)
        ((due_at,),) = await raw("SELECT due_at FROM task_part")
        waits.append((due_at - now).total_seconds())
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


async def test_after_a_day_without_a_word_the_task_fails(
    worker: Worker, parts: Parts, account: Account, faulty: FaultyUpstream, clock: Clock, raw: Any
) -> None:
    await faulty.stop()
    task = await factories.task(parts, account, MIXED)
    await worker.tick(clock.on(timedelta(hours=23)))
    assert (await row_of(parts.db, task.id)).status == TaskStatus.QUEUED
    await worker.tick(clock.on(timedelta(hours=2)))
    row = await row_of(parts.db, task.id)
    assert row.status == TaskStatus.FAILED
    assert row.failure_reason == "The verifier could not be reached for 24 hours."


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


async def test_a_task_that_upstream_has_lost_is_made_again_once_with_what_is_left(
    worker: Worker, parts: Parts, account: Account, faulty: FaultyUpstream, clock: Clock, raw: Any
) -> None:
    faulty.settled_a_look = 15
    task = await factories.task(parts, account, MIXED)
    for _ in range(2):
        await worker.tick(clock.on())
    faulty.forget()
    await is_whole(raw, await worked(worker, clock, task))
    assert list(faulty.by_key) == [f"{task.id}:1", f"{task.id}:1:1"]
    (again,) = faulty.tasks.values()
    assert len(again.emails) == 42 - 15


async def test_counters_of_a_task_made_again_never_go_back(
    worker: Worker, parts: Parts, account: Account, faulty: FaultyUpstream, clock: Clock, raw: Any
) -> None:
    faulty.settled_a_look = 10
    task = await factories.task(parts, account, MIXED)
    for _ in range(3):
        await worker.tick(clock.on())
    before = (await row_of(parts.db, task.id)).completed_count
    assert before == 21
    faulty.forget()
    faulty.settled_a_look = 1
    for expected in (21, 21, 22, 23, 24):  # lost, posted, and then one more every time
        await worker.tick(clock.on())
        assert (await row_of(parts.db, task.id)).completed_count == expected


async def test_a_task_that_is_lost_twice_fails_and_keeps_its_verdicts(
    worker: Worker, parts: Parts, account: Account, faulty: FaultyUpstream, clock: Clock, raw: Any
) -> None:
    faulty.settled_a_look = 15
    task = await factories.task(parts, account, MIXED)
    for _ in range(4):
        await worker.tick(clock.on())
        await worker.tick(clock.on())
        faulty.forget()
    row = await row_of(parts.db, task.id)
    assert (row.status, row.failure_reason) == (TaskStatus.FAILED, "The verifier lost the task twice.")
    assert (row.chargeable_count, row.completed_count) == (15, 16)


async def test_a_task_lost_after_its_last_result_is_completed_without_another(
    worker: Worker,
    parts: Parts,
    account: Account,
    faulty: FaultyUpstream,
    clock: Clock,
    raw: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = await factories.task(parts, account, MIXED)
    await worker.tick(clock.on())
    with monkeypatch.context() as broken:
        broken.setattr(ingest, "end_part", failing)
        await worker.tick(clock.on())
    faulty.forget()
    row = await worked(worker, clock, task)
    assert (row.status, row.chargeable_count, await held(raw, task)) == (TaskStatus.COMPLETED, 36, (43, 36))
    assert faulty.calls["create"] == 1


async def failing(*_arguments: Any) -> None:
    raise ConnectionResetError("the worker was stopped here")


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
    worker: Worker, parts: Parts, account: Account, faulty: FaultyUpstream, clock: Clock, raw: Any
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
    from db.queries import parts as part_queries

    async with asyncio.timeout(5), parts.db.transaction() as session:
        await task_queries.lock(session, task.id)
        recording = asyncio.create_task(ingest.record_snapshot(parts.db, (task.id, 1), snapshot, parts.now()))
        await asyncio.sleep(0.2)
        await part_queries.stop_all(session, task.id, parts.now())
    await recording


async def test_a_task_that_upstream_calls_done_before_every_verdict_is_there_is_asked_for_again(
    worker: Worker, parts: Parts, account: Account, faulty: FaultyUpstream, clock: Clock, raw: Any
) -> None:
    task = await factories.task(parts, account, MIXED)
    await worker.tick(clock.on())
    (known,) = faulty.tasks.values()
    known.emails = [email for email in known.emails if not email.startswith("no-")]
    row = await worked(worker, clock, task)
    assert (row.status, row.chargeable_count, await held(raw, task)) == (TaskStatus.COMPLETED, CHARGEABLE, (43, 36))
    assert faulty.calls["create"] == 2


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
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from services import intake

    monkeypatch.setattr(intake, "PART_ADDRESSES_MAX", 10)
    faulty.settled_a_look = 4
    task = await factories.task(parts, account, MIXED)
    assert await raw("SELECT n, total FROM task_part ORDER BY n") == [(1, 10), (2, 10), (3, 10), (4, 10), (5, 2)]
    row = await worked(worker, clock, task)
    await is_whole(raw, row)
    assert sorted(faulty.by_key) == [f"{task.id}:{n}" for n in range(1, 6)]


async def test_one_lost_part_of_several_is_made_again_alone(
    worker: Worker,
    parts: Parts,
    account: Account,
    faulty: FaultyUpstream,
    clock: Clock,
    raw: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from services import intake

    monkeypatch.setattr(intake, "PART_ADDRESSES_MAX", 20)
    faulty.settled_a_look = 7
    task = await factories.task(parts, account, MIXED)
    for _ in range(2):
        await worker.tick(clock.on())
    del faulty.tasks[faulty.by_key[f"{task.id}:2"]]
    await is_whole(raw, await worked(worker, clock, task))
    assert sorted(faulty.by_key) == [f"{task.id}:1", f"{task.id}:2", f"{task.id}:2:1", f"{task.id}:3"]


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


async def test_one_poisoned_answer_does_not_hold_up_the_other_tasks(
    worker: Worker,
    parts: Parts,
    account: Account,
    faulty: FaultyUpstream,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    poisoned = await factories.task(parts, account)
    whole = await factories.task(parts, account, MIXED)
    recorded = ingest.record_batch

    async def record(session: Any, key: Any, *rest: Any, **more: Any) -> Any:
        if key[0] == poisoned.id:
            raise ValueError("what a database refuses")
        return await recorded(session, key, *rest, **more)

    monkeypatch.setattr(ingest, "record_batch", record)
    assert (await worked(worker, clock, whole)).status == TaskStatus.COMPLETED
    assert (await row_of(parts.db, poisoned.id)).is_open
