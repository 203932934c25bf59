"""What keeps verdicts single and whole when workers die, stall or lose their turn."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from verifier.dispatch import gate, retries, runner, tally, verdicts
from verifier.engine.check import Engine
from verifier.engine.config import EngineConfig
from verifier.store.database import Pool
from verifier.store.queries import chunks, orphans, plans, results, tasks
from verifier.store.queries.chunks import Cause, Ending
from verifier.tests.dispatch import work


def _verdict(n: int) -> results.Verdict:
    (verdict,) = verdicts.given_up([n])
    return verdict


async def test_who_lost_the_token_writes_nothing(pool: Pool) -> None:
    task = await work.planned(pool, [0, 1, 2])
    (job,) = await work.chunk_jobs(pool)
    first = await chunks.take(pool, job)
    assert first is not None
    await chunks.write(pool, first, [_verdict(0)], Ending.GOES_ON)
    second = await chunks.take(pool, job)
    assert second is not None
    assert [n for ns in second.numbers.values() for n in ns] == [1, 2]
    with pytest.raises(chunks.TokenLostError):
        await chunks.write(pool, first, [_verdict(1)], Ending.GOES_ON)
    assert (await work.fresh(pool, task)).processing == 2
    await chunks.write(pool, second, [_verdict(1), _verdict(2)], Ending.IS_DONE)
    ended = await work.fresh(pool, task)
    assert (ended.failed, ended.processing, ended.unknown_count) == (3, 0, 3)
    assert ended.finished_at is not None
    assert [row["seq"] for row in await results.page(pool, task.id, after=0, limit=10)] == [1, 2, 3]
    assert await chunks.take(pool, job) is None


async def test_takes_without_progress_are_counted_until_something_is_written(pool: Pool) -> None:
    await work.planned(pool, [0, 1])
    (job,) = await work.chunk_jobs(pool)
    for _ in range(2):
        await chunks.take(pool, job)
    taken = await chunks.take(pool, job)
    assert taken is not None
    assert taken.stalls == 3
    await chunks.write(pool, taken, [_verdict(0)], Ending.GOES_ON)
    again = await chunks.take(pool, job)
    assert again is not None
    assert again.stalls == 1


async def test_a_chunk_that_was_taken_too_often_without_progress_is_given_up(pool: Pool) -> None:
    task = await work.planned(pool, [0, 1])
    (job,) = await work.chunk_jobs(pool)
    for _ in range(runner.STALLS_MAX):
        await chunks.take(pool, job)
    engine = Engine(EngineConfig(helo="verifier.example.com", mail_from="probe@verifier.example.com"))
    figures = tally.Tally(pool)
    await runner.ChunkRunner(pool, engine, gate.Gate(pool), retries.Schedule((), ()), figures, asyncio.Event()).run(job)
    await engine.aclose()
    ended = await work.fresh(pool, task)
    assert (ended.failed, ended.completed, ended.unknown_count) == (2, 0, 2)
    assert {row["reason"] for row in await results.page(pool, task.id, after=0, limit=10)} == {"other"}


async def test_chunks_that_may_be_what_kills_workers_are_taken_one_at_a_time(pool: Pool) -> None:
    await work.planned(pool, [0], [1])
    suspect, blameless = await work.chunk_jobs(pool)
    for _ in range(chunks.SUSPECT_STALLS):
        await chunks.take(pool, suspect)
    with pytest.raises(chunks.SuspectError):
        await chunks.take(pool, suspect, is_alone=False)
    assert await chunks.take(pool, blameless, is_alone=False) is not None
    engine = Engine(EngineConfig(helo="verifier.example.com", mail_from="probe@verifier.example.com"))
    figures = tally.Tally(pool)
    work_of = runner.ChunkRunner(pool, engine, gate.Gate(pool), retries.Schedule((), ()), figures, asyncio.Event())
    async with work_of.alone:  # another one is under way
        running = asyncio.create_task(work_of.run(suspect))
        await asyncio.sleep(0.1)
        assert await pool.fetchval("SELECT attempt FROM chunk WHERE id = $1", suspect.chunk_id) == 2
        async with asyncio.timeout(5):  # the slot that it had is given back
            while await pool.fetchval("SELECT count(*) FROM mx_slot"):
                await asyncio.sleep(0.01)
    async with asyncio.timeout(5):
        while await pool.fetchval("SELECT attempt FROM chunk WHERE id = $1", suspect.chunk_id) != 3:
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await engine.aclose()


async def test_a_chunk_whose_verdicts_are_all_written_ends(pool: Pool) -> None:
    task = await work.task(pool, 2)
    await plans.write(pool, task.id, settled=(), chunks=[plans.NewChunk(None, True, [0, 1])])
    (job,) = await work.chunk_jobs(pool)
    first = await work.taken(pool, job)
    await chunks.write(pool, first, [_verdict(0), _verdict(1)], Ending.GOES_ON)
    engine = Engine(EngineConfig(helo="verifier.example.com", mail_from="probe@verifier.example.com"))
    figures = tally.Tally(pool)
    await runner.ChunkRunner(pool, engine, gate.Gate(pool), retries.Schedule((), ()), figures, asyncio.Event()).run(job)
    await engine.aclose()
    assert await pool.fetchval("SELECT state FROM chunk") == "done"


def test_a_verdict_stands_when_the_schedule_is_spent() -> None:
    schedule = retries.Schedule((60, 300), (1,))
    assert [schedule.delay_seconds(n, is_in_zone=False) for n in range(3)] == [60, 300, None]
    assert [schedule.delay_seconds(n, is_in_zone=True) for n in range(3)] == [1, None, None]


async def test_a_chunk_that_is_given_back_counts_as_not_taken(pool: Pool) -> None:
    await work.planned(pool, [0])
    (job,) = await work.chunk_jobs(pool)
    for _ in range(3):
        taken = await chunks.take(pool, job)
        assert taken is not None
        assert taken.stalls == 1
        await chunks.write(pool, taken, [], Ending.IS_RELEASED)


async def test_a_chunk_that_is_put_off_gets_a_job_of_its_own(pool: Pool) -> None:
    task = await work.planned(pool, [0, 1])
    (job,) = await work.chunk_jobs(pool)
    taken = await chunks.take(pool, job)
    assert taken is not None
    rest = chunks.Rest(Cause.TRANSIENT, [1], work.HOST, delay_seconds=60)
    await chunks.write(pool, taken, [_verdict(0)], Ending.IS_PUT_OFF, [rest])
    assert (await work.fresh(pool, task)).processing == 0
    assert await chunks.take(pool, job) is None
    assert [each.retries for each in await work.chunk_jobs(pool)] == [0, 1]
    due = await pool.fetchval("SELECT execute_after FROM pgqueuer WHERE entrypoint = 'verify.retry'")
    assert due > datetime.now(UTC) + timedelta(seconds=50)


async def test_what_no_job_serves_is_found_again_and_only_that(pool: Pool) -> None:
    await work.planned(pool, [0], [1])
    unplanned = await work.task(pool)
    await pool.execute("DELETE FROM pgqueuer WHERE entrypoint = 'plan'")
    lost = (await work.chunk_jobs(pool))[0]
    await pool.execute("DELETE FROM pgqueuer WHERE dedupe_key = $1", lost.dedupe_key)
    assert await orphans.enqueue(pool, quiet_for=timedelta(hours=1)) == 0
    assert await orphans.enqueue(pool, quiet_for=timedelta(0)) == 2
    assert lost.chunk_id in {job.chunk_id for job in await work.chunk_jobs(pool)}
    plan = await pool.fetchval("SELECT payload FROM pgqueuer WHERE entrypoint = 'plan'")
    assert UUID(plan.decode()) == unplanned.id
    assert await orphans.enqueue(pool, quiet_for=timedelta(0)) == 0


async def test_a_task_is_planned_once(pool: Pool) -> None:
    task = await work.planned(pool, [0])
    assert await plans.begin(pool, task.id) is None
    assert await plans.write(pool, task.id, settled=(), chunks=[plans.NewChunk(work.HOST, True, [0])]) == 0


async def test_cancel_drops_queued_chunks_with_their_jobs(pool: Pool) -> None:
    task = await work.planned(pool, [0], [1])
    running, _ = await work.chunk_jobs(pool)
    await pool.execute("UPDATE pgqueuer SET status = 'picked' WHERE dedupe_key = $1", running.dedupe_key)
    taken = await chunks.take(pool, running)
    assert taken is not None
    await tasks.cancel(pool, task.id)
    assert [job.chunk_id for job in await work.chunk_jobs(pool)] == [running.chunk_id]
    with pytest.raises(results.TaskCanceledError):
        await chunks.write(pool, taken, [_verdict(0)], Ending.IS_DONE)
    assert (await work.fresh(pool, task)).failed == 0


async def test_a_small_task_does_not_wait_behind_a_large_one(pool: Pool) -> None:
    user, other = UUID(int=1), UUID(int=2)
    await work.planned(pool, *[[n] for n in range(20)], user_id=user)
    late = await work.planned(pool, [0], [1], user_id=other)
    again = await work.planned(pool, [0], user_id=user)
    owners = await pool.fetch("SELECT task_id FROM chunk ORDER BY priority DESC, created_at")
    places = {task_id: place for place, (task_id,) in enumerate(owners)}
    assert places[late.id] < 3
    assert places[again.id] > 20
