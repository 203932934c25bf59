"""Rows of running tasks that have grown old: one call upstream for all, and never a long wait."""

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from db.models import Account, Task, TaskStatus
from resolvers.context import Parts
from services import freshness
from services.worker import Worker
from tests import factories
from tests.client import Client
from tests.services.faulty_upstream import Fault, FaultyUpstream

LIST = "{ tasks(first: 50) { nodes { id status metrics { jobStatus { pending completed } } } } }"


async def running_tasks(parts: Parts, owner: Account, worker: Worker, raw: Any, count: int) -> list[Task]:
    """Tasks that run upstream, the rows of which are 6 seconds old."""
    made = [await factories.task(parts, owner, [f"yes-{n}@example.com", "no-x@example.com"]) for n in range(count)]
    await worker.tick(parts.now() + timedelta(seconds=1))
    await raw("UPDATE task SET refreshed_at = now() - interval '6 seconds' RETURNING 1")
    return made


async def refreshed(parts: Parts, rows: Sequence[Task]) -> dict[Any, Task]:
    ids = [row.id for row in rows]
    return await freshness.refresh(parts.db, parts.upstream, parts.upstream_keys, ids, parts.now())


async def test_twenty_old_rows_are_brought_up_to_date_by_one_call(
    parts: Parts, account: Account, worker: Worker, faulty: FaultyUpstream, client: Client, raw: Any
) -> None:
    await running_tasks(parts, account, worker, raw, 20)
    nodes = (await client.ask(LIST))["tasks"]["nodes"]
    assert faulty.calls["list"] == 1
    assert [node["metrics"]["jobStatus"] for node in nodes] == [{"pending": 0, "completed": 2}] * 20
    await client.ask(LIST)  # now they are fresh
    assert faulty.calls["list"] == 1


async def test_the_front_page_asks_once(
    parts: Parts, account: Account, worker: Worker, faulty: FaultyUpstream, client: Client, raw: Any
) -> None:
    await running_tasks(parts, account, worker, raw, 6)
    query = "{ overview { recentTasks { metrics { progressPercent } } metrics { totalEmailAddresses } } }"
    found = (await client.ask(query))["overview"]
    assert [task["metrics"]["progressPercent"] for task in found["recentTasks"]] == [100] * 5
    assert found["metrics"]["totalEmailAddresses"] == 12
    assert faulty.calls["list"] == 1


async def test_every_field_of_an_operation_shares_the_call(
    parts: Parts, account: Account, worker: Worker, faulty: FaultyUpstream, client: Client, raw: Any
) -> None:
    made = await running_tasks(parts, account, worker, raw, 3)
    ids = [task.global_id for task in made]
    query = """query($ids: [ID!]!) { nodes(ids: $ids) { id ... on Task { metrics { progressPercent } } } }"""
    found = (await client.ask(query, ids=ids))["nodes"]
    assert [node["metrics"]["progressPercent"] for node in found] == [100, 100, 100]
    assert faulty.calls["list"] == 1


async def test_what_upstream_tells_never_ends_a_task_before_its_results_are_home(
    parts: Parts, account: Account, worker: Worker, faulty: FaultyUpstream, raw: Any
) -> None:
    (task,) = await running_tasks(parts, account, worker, raw, 1)
    row = (await refreshed(parts, [task]))[task.id]
    assert (row.status, row.completed_count, row.chargeable_count) == (TaskStatus.RUNNING, 2, 0)


@pytest.mark.parametrize(
    "fault", [Fault(500), Fault(429, headers={"retry-after": "60"}), Fault(200, b"<html>"), Fault(403)]
)
async def test_a_failure_serves_the_rows_as_they_are(
    parts: Parts, account: Account, worker: Worker, faulty: FaultyUpstream, client: Client, raw: Any, fault: Fault
) -> None:
    await running_tasks(parts, account, worker, raw, 2)
    faulty.err_always("list", fault)
    nodes = (await client.ask(LIST))["tasks"]["nodes"]
    assert [node["metrics"]["jobStatus"] for node in nodes] == [{"pending": 2, "completed": 0}] * 2


async def test_an_upstream_that_hangs_is_waited_for_at_most_a_second(
    parts: Parts, account: Account, worker: Worker, faulty: FaultyUpstream, client: Client, raw: Any
) -> None:
    await running_tasks(parts, account, worker, raw, 2)
    faulty.err_always("list", Fault(hang_seconds=20))
    started = time.monotonic()
    nodes = (await client.ask(LIST))["tasks"]["nodes"]
    assert time.monotonic() - started < 1.5
    assert [node["status"] for node in nodes] == ["RUNNING", "RUNNING"]


async def test_tasks_that_are_fresh_queued_or_over_never_ask(
    parts: Parts, account: Account, worker: Worker, faulty: FaultyUpstream, client: Client, raw: Any
) -> None:
    await running_tasks(parts, account, worker, raw, 2)
    for _ in range(2):
        await worker.tick(parts.now() + timedelta(minutes=1))
    assert await raw("SELECT DISTINCT status FROM task") == [("COMPLETED",)]
    await factories.task(parts, account)  # queued
    await raw("UPDATE task SET refreshed_at = now() - interval '1 hour' RETURNING 1")
    calls = faulty.calls["list"]
    assert len((await client.ask(LIST))["tasks"]["nodes"]) == 3
    assert faulty.calls["list"] == calls


async def test_an_old_answer_does_not_turn_counters_back(
    parts: Parts, account: Account, worker: Worker, faulty: FaultyUpstream, raw: Any
) -> None:
    (task,) = await running_tasks(parts, account, worker, raw, 1)
    await refreshed(parts, [task])
    (known,) = faulty.tasks.values()
    known.done, faulty.settled_a_look = 1, 0
    assert (await refreshed(parts, [task]))[task.id].completed_count == 2
