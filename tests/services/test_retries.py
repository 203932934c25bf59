"""Finished tasks run again: only what was not told is asked for, and paid for, again."""

from datetime import UTC, datetime
from typing import Any

import pytest

from db.models import Account, Task, TaskStatus
from resolvers.context import Parts
from services import retries, tasks
from services.errors import InsufficientCredits, WrongState
from services.worker import Worker
from tests import factories
from tests.services import faulty_upstream
from tests.services.faulty_upstream import FaultyUpstream
from tests.services.worker.following import MIXED, Clock, row_of, worked


async def retried(parts: Parts, owner: Account, task: Task, key: str | None = None) -> Task:
    return await retries.retry(
        parts.db, parts.announcer, factories.actor(owner), task.id, idempotency_key=key, now=datetime.now(UTC)
    )


async def test_the_unknown_are_asked_again_in_a_new_part_and_their_verdicts_replace_the_old(
    parts: Parts, worker: Worker, account: Account, faulty: FaultyUpstream, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    done = await worked(worker, clock, await factories.task(parts, account, MIXED))
    assert (done.unknown_count, done.chargeable_count) == (5, 36)
    monkeypatch.setitem(faulty_upstream.VERDICTS, "grey", "exists")
    open_again = await retried(parts, account, done, "once")
    assert (open_again.status, open_again.finished_at, open_again.credits_reserved) == (TaskStatus.QUEUED, None, 5)
    assert (await retried(parts, account, done, "once")).id == done.id
    row = await row_of(parts.db, done.id)
    assert (row.unknown_count, row.failed_count, row.completed_count, row.exists_count) == (0, 0, 38, 21)
    assert await raw("SELECT n, total FROM task_part ORDER BY n") == [(1, 37), (2, 5)]

    row = await worked(worker, clock, done)
    assert sorted(max(faulty.tasks.values(), key=lambda t: t.created_at).emails) == sorted(
        email for email in MIXED if email.startswith(("grey", "lost"))
    )
    assert (row.status, row.exists_count, row.unknown_count, row.chargeable_count) == (TaskStatus.COMPLETED, 24, 2, 39)
    assert (row.completed_count, row.failed_count, row.credits_reserved, row.credits_spent) == (41, 2, 0, 39)
    assert await raw("SELECT held, balance FROM credit_account") == [(0, 1_000_000 - 39)]

    again = await worked(worker, clock, await retried(parts, account, row))
    assert (again.unknown_count, again.chargeable_count, again.retry_count) == (2, 39, 2)
    assert await raw("SELECT held, balance FROM credit_account") == [(0, 1_000_000 - 39)]


async def test_what_a_cancelled_task_has_not_told_can_be_asked_for(
    parts: Parts, worker: Worker, account: Account, raw: Any
) -> None:
    task = await factories.task(parts, account, MIXED)
    await tasks.cancel(parts.db, parts.announcer, factories.actor(account), task.id, datetime.now(UTC))
    assert (await retried(parts, account, task)).status is TaskStatus.QUEUED
    row = await worked(worker, Clock(), task)
    assert (row.status, row.chargeable_count, row.completed_count) == (TaskStatus.COMPLETED, 36, 41)
    assert await raw("SELECT held, balance FROM credit_account") == [(0, 1_000_000 - 36)]


async def test_a_task_is_not_run_again_while_it_runs_nor_when_nothing_is_left_to_ask(
    parts: Parts, worker: Worker, account: Account, raw: Any
) -> None:
    task = await factories.task(parts, account, ["yes-1@example.com", "wrong"])
    with pytest.raises(WrongState, match="QUEUED"):
        await retried(parts, account, task)
    await worked(worker, Clock(), task)
    with pytest.raises(WrongState, match="Every address"):
        await retried(parts, account, task)
    await raw("UPDATE task SET results_purged_at = now() RETURNING 1")
    with pytest.raises(WrongState, match="removed"):
        await retried(parts, account, task)


async def test_without_the_credits_everything_stays_as_it_was(parts: Parts, worker: Worker, account: Account) -> None:
    poor = await factories.account(parts.db, email="poor@example.com", balance=3)
    task = await factories.task(parts, poor, ["yes-1@example.com", "yes-2@example.com", "grey-1@example.com"])
    done = await worked(worker, Clock(), task)
    await factories.task(parts, poor, ["yes-3@example.com"])  # holds the last credit
    with pytest.raises(InsufficientCredits):
        await retried(parts, poor, done)
    row = await row_of(parts.db, done.id)
    assert (row.status, row.unknown_count, row.retry_count) == (TaskStatus.COMPLETED, 1, 0)
