"""Tasks that upstream has lost are made again once, with what still lacks a verdict."""

from collections.abc import Callable
from typing import Any

import pytest

from db.models import Account, TaskStatus
from resolvers.context import Parts
from services import ingest
from services.worker import Worker
from tests import factories
from tests.services.faulty_upstream import FaultyUpstream
from tests.services.worker.following import CHARGEABLE, MIXED, Clock, failing, held, is_whole, row_of, worked


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
    worker: Worker, parts: Parts, account: Account, faulty: FaultyUpstream, clock: Clock
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
    worker: Worker, parts: Parts, account: Account, faulty: FaultyUpstream, clock: Clock
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


async def test_one_lost_part_of_several_is_made_again_alone(
    worker: Worker,
    parts: Parts,
    account: Account,
    faulty: FaultyUpstream,
    clock: Clock,
    raw: Any,
    cut_into: Callable[[int], None],
) -> None:
    cut_into(20)
    faulty.settled_a_look = 7
    task = await factories.task(parts, account, MIXED)
    for _ in range(2):
        await worker.tick(clock.on())
    del faulty.tasks[faulty.by_key[f"{task.id}:2"]]
    await is_whole(raw, await worked(worker, clock, task))
    assert sorted(faulty.by_key) == [f"{task.id}:1", f"{task.id}:2", f"{task.id}:2:1", f"{task.id}:3"]
