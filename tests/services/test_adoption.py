"""Tasks that were made elsewhere: adopted by their owner alone, followed, never charged; and ours never among them."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from db.models import Account, Task, TaskSource, TaskStatus
from resolvers.context import Parts
from services import adoption, tasks
from services.errors import Invalid
from services.worker import Worker
from tests import factories
from tests.client import Client
from tests.services.faulty_upstream import Fault, FaultyUpstream, KnownTask
from tests.services.worker.following import Clock, row_of, worked


def elsewhere(faulty: FaultyUpstream, emails: list[str], age: timedelta = timedelta(hours=1)) -> KnownTask:
    made = KnownTask(uuid.uuid4(), emails, created_at=datetime.now(UTC) - age)
    faulty.tasks[made.id] = made
    return made


async def refreshed(parts: Parts, owner: Account, first: int = 100) -> int:
    return await adoption.refresh(
        parts.db,
        parts.announcer,
        parts.upstream,
        parts.upstream_keys,
        factories.actor(owner),
        first=first,
        now=datetime.now(UTC),
    )


async def only_task(parts: Parts, raw: Any) -> Task:
    ((task_id,),) = await raw("SELECT id FROM task")
    return await row_of(parts.db, task_id)


async def test_a_task_made_elsewhere_is_adopted_once_and_its_results_come_without_a_charge(
    parts: Parts, worker: Worker, account: Account, faulty: FaultyUpstream, raw: Any
) -> None:
    faulty.settled_a_look, faulty.page_size = 0, 2
    elsewhere(faulty, ["yes-1@example.com", "no-1@Example.org", "grey-1@example.com", "bad-1", "any-1@example.com"])
    assert [await refreshed(parts, account) for _ in range(2)] == [1, 0]
    task = await only_task(parts, raw)
    faulty.settled_a_look = 2
    assert (task.source, task.status, task.email_count) == (TaskSource.UPSTREAM, TaskStatus.RUNNING, 5)
    row = await worked(worker, Clock(), task)
    assert (row.status, row.total_count, row.domain_count) == (TaskStatus.COMPLETED, 5, 3)
    verdicts = (row.exists_count, row.not_exists_count, row.unknown_count, row.invalid_syntax_count, row.catchall_count)
    assert verdicts == (1, 1, 1, 1, 1)
    assert (row.credits_spent, row.credits_reserved) == (0, 0)
    assert await raw("SELECT row_number, input FROM task_row ORDER BY 1") == [
        (1, "yes-1@example.com"),
        (2, "no-1@Example.org"),
        (3, "grey-1@example.com"),
        (4, "bad-1"),
        (5, "any-1@example.com"),
    ]
    assert await raw("SELECT balance, held FROM credit_account") == [(1_000_000, 0)]
    assert await refreshed(parts, account) == 0


async def test_a_task_of_ours_is_brought_up_to_date_and_never_adopted(
    parts: Parts, worker: Worker, account: Account, faulty: FaultyUpstream, raw: Any
) -> None:
    faulty.settled_a_look = 0
    task = await factories.task(parts, account, ["yes-1@example.com", "yes-2@example.com"])
    await worker.tick(datetime.now(UTC))
    faulty.settled_a_look = 1
    assert await refreshed(parts, account) == 1
    assert (await row_of(parts.db, task.id)).completed_count == 1
    assert await raw("SELECT count(*) FROM task") == [(1,)]


async def test_a_task_as_young_as_one_whose_answer_is_on_the_way_is_left_for_another_time(
    parts: Parts, account: Account, faulty: FaultyUpstream, raw: Any
) -> None:
    await factories.task(parts, account, ["yes-1@example.com"])  # posted, perhaps, by a worker that is dead by now
    elsewhere(faulty, ["yes-1@example.com"], age=timedelta(seconds=0))
    assert await refreshed(parts, account) == 0
    assert await raw("SELECT count(*) FROM task") == [(1,)]


async def test_more_tasks_than_a_page_are_looked_at_as_asked(
    parts: Parts, account: Account, faulty: FaultyUpstream
) -> None:
    faulty.settled_a_look = 0
    for _ in range(130):
        elsewhere(faulty, ["yes-1@example.com"])
    assert await refreshed(parts, account, first=105) == 105
    assert await refreshed(parts, account, first=1000) == 25
    for wrong in (0, 1001):
        with pytest.raises(Invalid):
            await refreshed(parts, account, first=wrong)


async def test_a_text_that_is_too_long_for_an_address_is_kept_by_its_beginning(
    parts: Parts, worker: Worker, account: Account, faulty: FaultyUpstream, raw: Any
) -> None:
    # No text that compresses well: an index would take that.
    endless = "bad-" + "".join(chr(0x4E00 + n * n % 20_000) for n in range(5_000))
    elsewhere(faulty, [endless, "yes-1@example.com"])
    await refreshed(parts, account)
    row = await worked(worker, Clock(), await only_task(parts, raw), ticks=3)
    assert (row.status, row.total_count, row.invalid_syntax_count) == (TaskStatus.COMPLETED, 2, 1)
    assert await raw("SELECT input FROM task_row ORDER BY row_number") == [(endless[:254],), ("yes-1@example.com",)]


async def test_it_is_asked_for_by_graphql(client: Client, faulty: FaultyUpstream) -> None:
    elsewhere(faulty, ["yes-1@example.com"])
    query = "mutation($n: Int!) { refreshTasks(input: {first: $n}) { changedCount userErrors { code field } } }"
    assert (await client.ask(query, n=10))["refreshTasks"] == {"changedCount": 1, "userErrors": []}
    assert (await client.ask(query, n=0))["refreshTasks"] == {
        "changedCount": None,
        "userErrors": [{"code": "INVALID", "field": ["input", "first"]}],
    }
    found = (await client.ask("{ tasks { nodes { source isAwaitingUpstream creditsReserved } } }"))["tasks"]["nodes"]
    assert found == [{"source": "UPSTREAM", "isAwaitingUpstream": False, "creditsReserved": 0}]


async def test_a_task_made_elsewhere_that_has_no_results_can_be_cancelled(
    parts: Parts, account: Account, faulty: FaultyUpstream, raw: Any
) -> None:
    elsewhere(faulty, ["yes-1@example.com"])
    await refreshed(parts, account)
    task = await only_task(parts, raw)
    row = await tasks.cancel(parts.db, parts.announcer, factories.actor(account), task.id, datetime.now(UTC))
    assert (row.status, row.completed_count, row.total_count) == (TaskStatus.CANCELED, 0, 1)


async def test_a_task_made_elsewhere_that_upstream_loses_at_once_ends(
    parts: Parts, worker: Worker, account: Account, faulty: FaultyUpstream, raw: Any
) -> None:
    elsewhere(faulty, ["yes-1@example.com"])
    await refreshed(parts, account)
    faulty.tasks.clear()
    row = await worked(worker, Clock(), await only_task(parts, raw), ticks=5)
    assert (row.status, row.total_count) == (TaskStatus.COMPLETED, 0)


async def test_a_task_that_was_cancelled_and_deleted_does_not_come_back_free_of_charge(
    parts: Parts, worker: Worker, account: Account, faulty: FaultyUpstream, raw: Any
) -> None:
    faulty.settled_a_look = 0
    task = await factories.task(parts, account, ["yes-1@example.com", "yes-2@example.com"])
    now, actor = datetime.now(UTC), factories.actor(account)
    await worker.tick(now)
    await tasks.cancel(parts.db, parts.announcer, actor, task.id, now)
    await worker.tick(now + timedelta(seconds=5))
    await tasks.delete(parts.db, actor, task.id, now)
    (known,) = faulty.tasks.values()
    known.created_at -= timedelta(hours=1)
    assert await refreshed(parts, account) == 0
    assert await raw("SELECT count(*) FROM task") == [(0,)]
    assert await raw("SELECT balance, held FROM credit_account") == [(1_000_000, 0)]


async def test_a_task_whose_answer_was_lost_and_that_was_cancelled_is_stopped_upstream_and_never_adopted(
    parts: Parts, worker: Worker, account: Account, faulty: FaultyUpstream, raw: Any
) -> None:
    faulty.settled_a_look = 0
    task = await factories.task(parts, account, ["yes-1@example.com", "yes-2@example.com"])
    now, actor = datetime.now(UTC), factories.actor(account)

    async def lose_the_answer() -> None:
        faulty.tasks[known.id] = known
        faulty.by_key[f"{task.id}:1"] = known.id

    known = KnownTask(uuid.uuid4(), ["yes-1@example.com", "yes-2@example.com"], created_at=now)
    faulty.before["create"] = lose_the_answer
    faulty.err("create", Fault(500, headers={"retry-after": "60"}))
    await worker.tick(now)
    await tasks.cancel(parts.db, parts.announcer, actor, task.id, now)
    assert await refreshed(parts, account) == 0
    for _ in range(3):
        now += timedelta(minutes=2)
        await worker.tick(now)
    assert known.is_canceled
    known.created_at -= timedelta(hours=1)
    assert await refreshed(parts, account) == 0
    await tasks.delete(parts.db, actor, task.id, now)
    assert await refreshed(parts, account) == 0
    assert await raw("SELECT count(*) FROM task") == [(0,)]
    assert faulty.by_key == {f"{task.id}:1": known.id}
    assert await raw("SELECT balance, held FROM credit_account") == [(1_000_000, 0)]
