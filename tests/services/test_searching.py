"""An upstream that never tells an id: what was sent is found in its list, or given up; never lost, never mistaken."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from db.models import Account, PartState, TaskPart, TaskStatus
from db.queries import parts as part_queries
from db.queries import tasks as task_queries
from db.queries.parts import Snapshot
from db.session import Database
from resolvers.context import Parts
from services import adoption, credits, searching, tasks, upstream_keys
from services.errors import WrongState
from services.sealing import Box
from services.upstream.contract import UpstreamTask
from services.upstream.hosted import HostedUpstream
from services.worker import Worker
from tests import factories, locks
from tests.conftest import SECRET
from tests.services import hosted_upstream
from tests.services.faulty_upstream import Fault, KnownTask
from tests.services.hosted_upstream import HostedFake
from tests.services.worker.following import MIXED, Clock, held, row_of, worked

NOW = datetime(2026, 1, 31, tzinfo=UTC)


@pytest.fixture
async def upstream(hosted: HostedFake) -> AsyncIterator[HostedUpstream]:
    client = HostedUpstream(hosted.url, callback_base="https://service.test/upstream", timeout_seconds=0.5)
    yield client
    await client.close()


@pytest.fixture
def upstream_key() -> str:
    """A hosted verifier gives the service no credential of its own."""
    return ""


@pytest.fixture(autouse=True)
async def _entered_key(db: Database, account: Account) -> None:
    await upstream_keys.enter(db, Box(SECRET), account.email, hosted_upstream.KEY, datetime.now(UTC))


@pytest.mark.parametrize("is_echoing", [True, False])
async def test_a_list_is_found_by_its_mark_or_by_time_and_count(
    parts: Parts, worker: Worker, account: Account, hosted: HostedFake, raw: Any, is_echoing: bool
) -> None:
    hosted.is_echoing = is_echoing
    stranger = KnownTask(uuid.uuid4(), ["x@example.com"], created_at=datetime.now(UTC))
    hosted.tasks[stranger.id] = stranger
    task = await factories.task(parts, account, MIXED)
    await worker.tick(datetime.now(UTC))
    row = await row_of(parts.db, task.id)
    assert (row.status, row.is_awaiting_upstream, hosted.calls["upload"]) == (TaskStatus.QUEUED, True, 1)
    row = await worked(worker, Clock(), task)
    assert (row.status, row.is_awaiting_upstream) == (TaskStatus.COMPLETED, False)
    assert await held(raw, row) == (43, 36)
    assert (row.unknown_count, row.chargeable_count, hosted.calls["upload"]) == (5, 36, 1)
    assert hosted.calls["download"] == 1


async def test_lists_of_one_size_are_sent_one_after_another_and_never_mistaken(
    parts: Parts, worker: Worker, account: Account, hosted: HostedFake
) -> None:
    clock = Clock()
    made = [await factories.task(parts, account, [f"{word}-1@example.com"]) for word in ("yes", "no", "any")]
    await worker.tick(clock.on())
    assert hosted.calls["upload"] == 1
    for task in made:
        await worked(worker, clock, task)
    rows = [await row_of(parts.db, task.id) for task in made]
    assert [(r.exists_count, r.not_exists_count, r.catchall_count) for r in rows] == [(1, 0, 0), (0, 1, 0), (0, 0, 1)]
    assert hosted.calls["upload"] == 3


async def test_between_two_that_may_be_it_none_is_taken_and_after_a_day_the_credits_are_free(
    parts: Parts, worker: Worker, account: Account, hosted: HostedFake, raw: Any
) -> None:
    stranger = KnownTask(uuid.uuid4(), ["x@example.com"], created_at=datetime.now(UTC))
    hosted.tasks[stranger.id] = stranger
    task = await factories.task(parts, account, ["yes-1@example.com"])
    now = datetime.now(UTC)
    for minutes in (0, 2, 4):
        await worker.tick(now + timedelta(minutes=minutes))
    row = await row_of(parts.db, task.id)
    assert (row.status, row.is_awaiting_upstream) == (TaskStatus.QUEUED, True)
    await worker.tick(now + timedelta(hours=25))
    row = await row_of(parts.db, task.id)
    assert (row.status, row.is_awaiting_upstream) == (TaskStatus.FAILED, False)
    assert "not found for 24 hours" in (row.failure_reason or "")
    assert await raw("SELECT balance, held FROM credit_account") == [(1_000_000, 0)]


async def test_a_list_whose_answer_is_lost_is_found_and_not_sent_again(
    parts: Parts, worker: Worker, account: Account, hosted: HostedFake
) -> None:
    clock = Clock()

    async def taken_and_hung() -> None:
        made = KnownTask(uuid.uuid4(), ["yes-1@example.com"])
        hosted.tasks[made.id] = made
        hosted.err("upload", Fault(hang_seconds=2))

    hosted.before["upload"] = taken_and_hung
    task = await factories.task(parts, account, ["yes-1@example.com"])
    row = await worked(worker, clock, task)
    assert (row.status, row.exists_count, hosted.calls["upload"]) == (TaskStatus.COMPLETED, 1, 1)


async def test_a_list_that_surely_did_not_arrive_is_sent_again(
    parts: Parts, worker: Worker, account: Account, hosted: HostedFake
) -> None:
    clock = Clock()
    hosted.err("upload", Fault(429), Fault(503))
    task = await factories.task(parts, account, ["yes-1@example.com"])
    await worker.tick(clock.on())
    assert not (await row_of(parts.db, task.id)).is_awaiting_upstream
    row = await worked(worker, clock, task)
    assert (row.status, hosted.calls["upload"]) == (TaskStatus.COMPLETED, 3)


def sent(number: int, count: int, minutes: float = 0) -> tuple[tuple[UUID, int], tuple[TaskPart, int]]:
    part = TaskPart(task_id=UUID(int=number), n=1, remade_count=0, sent_at=NOW + timedelta(minutes=minutes))
    return (part.task_id, 1), (part, count)


def there(number: int, count: int, minutes: float = 0, url: str | None = None) -> UpstreamTask:
    told = Snapshot(processing=0, completed=0, failed=0, verdicts={}, requested_at=None, completed_at=None)
    return UpstreamTask(UUID(int=number), count, told, NOW + timedelta(minutes=minutes), url)


@pytest.mark.parametrize(
    ("parts_sent", "found", "links"),
    [
        ([sent(1, 5)], [there(7, 5, 1)], {1: 7}),
        ([sent(1, 5)], [there(7, 4, 1)], {}),
        ([sent(1, 5)], [there(7, 5, -6)], {}),
        ([sent(1, 5)], [there(7, 5, 61)], {}),
        ([sent(1, 5)], [there(7, 5, 1), there(8, 5, 2)], {}),
        ([sent(1, 5), sent(2, 5, 1)], [there(7, 5, 1)], {}),
        ([sent(1, 5), sent(2, 6, 1)], [there(7, 5, 1), there(8, 6, 1)], {1: 7, 2: 8}),
        ([sent(1, 5), sent(2, 5, 1)], [there(7, 5, 1), there(8, 5, 1, "mark-2")], {1: 7, 2: 8}),
        ([sent(1, 5)], [there(7, 5, 1, "another's")], {}),
        ([sent(1, 5)], [there(7, 9, 500, "mark-1")], {1: 7}),
    ],
)
def test_what_is_linked_and_what_is_left_alone(
    parts_sent: list[Any], found: list[UpstreamTask], links: dict[int, int]
) -> None:
    made = searching.matches(dict(parts_sent), found, lambda key: f"mark-{UUID(key.partition(':')[0]).int}")
    assert {task_id.int: upstream_id.int for (task_id, _), upstream_id in made.items()} == links


async def test_a_list_cancelled_before_it_was_found_is_stopped_there_and_never_adopted(
    parts: Parts, worker: Worker, account: Account, hosted: HostedFake, raw: Any
) -> None:
    clock, actor = Clock(), factories.actor(account)
    task = await factories.task(parts, account, ["yes-1@example.com"])
    await worker.tick(datetime.now(UTC))
    assert (await row_of(parts.db, task.id)).is_awaiting_upstream
    await tasks.cancel(parts.db, parts.announcer, actor, task.id, datetime.now(UTC))
    with pytest.raises(WrongState, match="still being stopped"):
        await tasks.delete(parts.db, actor, task.id, datetime.now(UTC))
    for _ in range(2):
        await worker.tick(clock.on())
    ((known, state),) = await raw("SELECT upstream_id, state FROM task_part")
    assert ([known], state) == (list(hosted.tasks), "ENDED")
    assert not (await row_of(parts.db, task.id)).is_awaiting_upstream
    later = datetime.now(UTC) + timedelta(hours=1)
    new = await adoption.refresh(
        parts.db, parts.announcer, parts.upstream, parts.upstream_keys, actor, first=10, now=later
    )
    assert (new, await raw("SELECT count(*) FROM task")) == (0, [(1,)])


async def test_a_cancelled_list_that_never_shows_up_is_over_after_a_day(
    parts: Parts, worker: Worker, account: Account, hosted: HostedFake, raw: Any
) -> None:
    hosted.appears_after = timedelta(days=9)
    task = await factories.task(parts, account, ["yes-1@example.com"])
    now = datetime.now(UTC)
    await worker.tick(now)
    await tasks.cancel(parts.db, parts.announcer, factories.actor(account), task.id, now)
    await worker.tick(now + timedelta(hours=25))
    row = await row_of(parts.db, task.id)
    assert (row.status, row.is_awaiting_upstream) == (TaskStatus.CANCELED, False)
    assert await raw("SELECT state FROM task_part") == [("ENDED",)]


@pytest.mark.parametrize("is_sending", [True, False])
async def test_sending_a_list_and_cancelling_it_do_not_lock_each_other_out(
    parts: Parts, worker: Worker, account: Account, raw: Any, is_sending: bool
) -> None:
    task = await factories.task(parts, account, ["yes-1@example.com"])
    now, poll = datetime.now(UTC), timedelta(seconds=1)
    async with parts.db.transaction() as session:
        (part,) = await part_queries.lease_due(session, now, [PartState.WAITING], limit=1, lease=poll)
    if not is_sending:
        async with parts.db.transaction() as session:
            assert await part_queries.mark_sent(session, part, now, poll)

    async def move() -> None:
        async with parts.db.transaction() as session:
            if is_sending:
                assert not await part_queries.mark_sent(session, part, now, poll)
            else:
                await part_queries.mark_unsent(session, (task.id, 1))

    async with asyncio.timeout(10), parts.db.transaction() as session:
        row = await task_queries.lock(session, task.id)
        moving = asyncio.create_task(move())
        await locks.waited_for(parts.db, session)
        await part_queries.stop_all(session, task.id, now)
        await task_queries.finish(session, task.id, TaskStatus.CANCELED, now)
        assert row is not None
        await credits.release(session, row, now)
    await moving
    assert await raw("SELECT state FROM task_part") == [("STOPPING" if is_sending else "ENDED",)]
    assert await worker.tick(now + timedelta(seconds=10)) == is_sending
    assert await raw("SELECT state FROM task_part") == [("ENDED",)]


async def test_a_list_that_is_refused_is_not_looked_for(
    parts: Parts, worker: Worker, account: Account, hosted: HostedFake, raw: Any
) -> None:
    hosted.err("upload", Fault(400))
    task = await factories.task(parts, account, ["yes-1@example.com"])
    row = await worked(worker, Clock(), task)
    assert (row.status, row.is_awaiting_upstream) == (TaskStatus.FAILED, False)
    assert await raw("SELECT state FROM task_part") == [("ENDED",)]
