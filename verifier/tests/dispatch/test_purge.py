"""What leaves the tables, and what must not yet."""

from datetime import timedelta
from uuid import uuid4

import pytest

from verifier import __main__ as commands
from verifier.dispatch import housekeeping, verdicts
from verifier.store.database import Pool
from verifier.store.queries import chunks, leases, results, tasks
from verifier.store.queries.chunks import Ending
from verifier.store.queries.leases import Report, Word
from verifier.tests.dispatch import work

RETENTION = housekeeping.Retention(read=timedelta(days=1), unread=timedelta(days=30))


async def _ended(pool: Pool, *, days_ago: float) -> tasks.Task:
    made = await work.planned(pool, [0, 1])
    chunk_id = await pool.fetchval("SELECT id FROM chunk WHERE task_id = $1", made.id)
    (job,) = [job for job in await work.chunk_jobs(pool) if job.chunk_id == chunk_id]
    taken = await work.taken(pool, job)
    await chunks.write(pool, taken, verdicts.given_up([0, 1]), Ending.IS_DONE)
    await pool.execute(
        "UPDATE task SET finished_at = now() - $2::interval WHERE id = $1", made.id, timedelta(days=days_ago)
    )
    return made


async def _rows(pool: Pool, made: tasks.Task) -> tuple[int, int, int]:
    counts = [
        await pool.fetchval(f"SELECT count(*) FROM {table} WHERE task_id = $1", made.id)
        for table in ("result", "address", "chunk")
    ]
    return counts[0], counts[1], counts[2]


async def test_results_go_a_day_after_the_end_once_they_were_read_to_the_last(pool: Pool) -> None:
    read, half_read, fresh, unread = [await _ended(pool, days_ago=days) for days in (2, 2, 0.5, 31)]
    for made, limit in ((read, 2), (half_read, 1), (fresh, 10)):
        await results.page(pool, made.id, after=0, limit=limit)
    assert (await housekeeping.once(pool, RETENTION)).tasks == 2
    assert [await _rows(pool, made) for made in (read, half_read, fresh, unread)] == [
        (0, 0, 0), (2, 2, 1), (2, 2, 1), (0, 0, 0),
    ]  # fmt: skip
    kept = await work.fresh(pool, read)
    assert (kept.failed, kept.unknown_count) == (2, 2)
    assert (await housekeeping.once(pool, RETENTION)).tasks == 0


async def test_a_reader_of_the_file_has_read_everything(pool: Pool) -> None:
    made = await _ended(pool, days_ago=2)
    async for _ in results.in_input_order(pool, made.id):
        assert await pool.fetchval("SELECT read_at FROM task WHERE id = $1", made.id) is None
    assert (await housekeeping.once(pool, RETENTION)).tasks == 1


async def test_a_reader_of_a_running_task_has_not_read_everything(pool: Pool) -> None:
    made = await work.planned(pool, [0, 1])
    await results.page(pool, made.id, after=0, limit=10)
    assert await pool.fetchval("SELECT read_at FROM task WHERE id = $1", made.id) is None


async def test_a_reader_of_the_file_of_a_task_that_ends_meanwhile_has_not_read_everything(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "DOWNLOAD_PAGE", 1)
    made = await work.planned(pool, [0], [1])
    taken = {}
    for job in await work.chunk_jobs(pool):
        chunk = await work.taken(pool, job)
        ((n,),) = chunk.numbers.values()
        taken[n] = chunk
    await chunks.write(pool, taken[1], verdicts.given_up([1]), Ending.IS_DONE)
    pages = results.in_input_order(pool, made.id)
    assert [row["n"] for row in await anext(pages)] == [1]
    await chunks.write(pool, taken[0], verdicts.given_up([0]), Ending.IS_DONE)
    assert [page async for page in pages] == []
    assert tuple(await pool.fetchrow("SELECT finished_at IS NULL, read_at FROM task")) == (False, None)


async def test_the_queue_log_and_the_pace_of_mail_hosts_go_after_a_day(pool: Pool) -> None:
    await work.planned(pool, [0])
    for mail_host in ("old.example.com", "new.example.com", "paused.example.com"):
        lease = uuid4()
        await leases.acquire(pool, [mail_host], holder=lease, seconds=30)
        word = Word.BLOCKED if mail_host.startswith("paused") else Word.FINE
        await leases.release(pool, lease, [Report(mail_host, word, (600,))])
    await pool.execute("UPDATE mx_gate SET used_at = now() - interval '2 days' WHERE mail_host NOT LIKE 'new%'")
    await pool.execute("UPDATE pgqueuer_log SET created = now() - interval '2 days' WHERE entrypoint = 'verify'")
    purged = await housekeeping.once(pool, RETENTION)
    assert (purged.tasks, purged.log_rows, purged.mail_hosts) == (0, 1, 1)
    assert await pool.fetchval("SELECT count(*) FROM pgqueuer_log") > 0
    left = {row["mail_host"] for row in await pool.fetch("SELECT mail_host FROM mx_gate")}
    assert left == {"new.example.com", "paused.example.com"}
    assert await pool.fetchval("SELECT count(*) FROM pgqueuer WHERE entrypoint = 'verify'") == 1


async def test_jobs_that_failed_go_after_a_day(pool: Pool) -> None:
    await work.planned(pool, [0], [1], [2])
    old, fresh, waiting = [job.dedupe_key for job in await work.chunk_jobs(pool)]
    failed = "UPDATE pgqueuer SET status = 'failed', updated = now() - $2::interval WHERE dedupe_key = $1"
    for key, hours in ((old, 25), (fresh, 1)):
        await pool.execute(failed, key, timedelta(hours=hours))
    await pool.execute("UPDATE pgqueuer SET updated = now() - interval '2 days' WHERE dedupe_key = $1", waiting)
    assert (await housekeeping.once(pool, RETENTION)).log_rows == 1
    left = await pool.fetch("SELECT dedupe_key FROM pgqueuer WHERE entrypoint = 'verify'")
    assert {row["dedupe_key"] for row in left} == {fresh, waiting}


def test_the_command_purges(
    env: dict[str, str], plain_logging: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert commands.main(["purge"]) == 0
    assert capsys.readouterr().out == "results of 0 tasks, 0 log rows, pace of 0 mail hosts\n"
