"""What is put off: behind a pause, a full mail host or a greylist; and what is stopped at once."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from verifier.dispatch import retries
from verifier.lab.domain import Domain, Host
from verifier.lab.internet import Lab
from verifier.lab.script import Script
from verifier.store.database import Pool
from verifier.store.queries import chunks, jobs, leases, orphans, workers
from verifier.store.queries.chunks import Cause, Ending
from verifier.tests.dispatch import work
from verifier.tests.rest import Json, Rest

BLOCK = "554 5.7.1 Service unavailable; Client host [{client}] blocked using zen.spamhaus.org"
SCRIPTS = {
    "well": Script(),
    "quick": Script(),
    "blocks": Script(known=BLOCK, unknown=BLOCK),
    "blocks-for-a-while": Script(blocks_after=30, block_seconds=0.8),
    "grey": Script(greylist_seconds=0.8),
    "hangs": Script(rcpt_after_seconds=60),
}


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    """A lab of few mail hosts, each with the domain of its name."""
    catalogue = [Domain(name=name, about="", hosts=(Host(name, script),)) for name, script in SCRIPTS.items()]
    async with Lab(catalogue=catalogue) as running:
        yield running


@pytest.fixture
def env(env: dict[str, str]) -> dict[str, str]:
    return {**env, "VERIFIER_ZONE_PAUSE_SECONDS": "1,1", "VERIFIER_EGRESS_NAME": "here"}


def _emails(domain: str, count: int) -> list[str]:
    return [f"{'alice' if n % 2 else 'nobody'}+{n}@{domain}.mailverdict.test" for n in range(count)]


def _verdicts(results: list[Json]) -> Counter[tuple[str, str]]:
    return Counter((result["status"], result["reason"]) for result in results)


async def test_addresses_of_a_host_that_blocks_wait_and_get_their_verdicts_after_the_pause(working: Rest) -> None:
    task = await working.create(_emails("blocks-for-a-while", 44))
    async with asyncio.timeout(5):
        while not (seen := await working.results(task["id"]))["results"]:
            await asyncio.sleep(0.05)
    assert ("unknown", "blocked") not in _verdicts(seen["results"])
    await working.finished(task["id"], seconds=10)
    results = _verdicts(await working.all_results(task["id"]))
    assert results == {("exists", "accepted"): 22, ("not_exists", "no_such_user"): 22}


async def test_a_host_that_goes_on_blocking_is_asked_little_and_the_block_stands(
    working: Rest, lab: Lab, pool: Pool
) -> None:
    task = await working.create(_emails("blocks", 300))
    async with asyncio.timeout(5):
        while not await pool.fetchval("SELECT true FROM mx_gate WHERE paused_until > now()"):
            await asyncio.sleep(0.02)
    jobs = (await working.task(task["id"]))["metrics"]["job_status"]
    assert jobs["completed"] == 0
    ended = await working.finished(task["id"], seconds=15)
    results = await working.all_results(task["id"])
    assert _verdicts(results) == {("unknown", "blocked"): 300}
    assert {result["evidence"][-1]["code"] for result in results} == {554}
    assert ended["metrics"]["job_status"]["failed"] == 0
    assert lab.log.connections["blocks.mx.mailverdict.test"] < 20
    assert await pool.fetchval("SELECT max(pauses) FROM chunk") == 2


async def test_a_packed_chunk_asks_who_is_free_and_leaves_the_others_for_later(working: Rest, pool: Pool) -> None:
    held = [uuid4() for _ in range(4)]
    for holder in held:
        await leases.acquire(pool, ["quick.mx.mailverdict.test"], holder=holder, seconds=30)
    task = await working.create([*_emails("well", 4), *_emails("quick", 4)])
    async with asyncio.timeout(10):
        while (await working.task(task["id"]))["metrics"]["job_status"]["completed"] < 4:
            await asyncio.sleep(0.05)
    assert {email["email"].partition("@")[2] for email in (await working.results(task["id"]))["results"]} == {
        "well.mailverdict.test"
    }
    for holder in held:
        await leases.release(pool, holder, [leases.Report("quick.mx.mailverdict.test", leases.Word.NOTHING)])
    await working.finished(task["id"], seconds=10)
    assert len(await working.all_results(task["id"])) == 8


async def test_one_mail_host_that_hangs_holds_nobody_up(working: Rest) -> None:
    hanging = await working.create(_emails("hangs", 200))
    await asyncio.sleep(0.3)
    begun = time.monotonic()
    task = await working.create(_emails("well", 10))
    await working.finished(task["id"])
    assert time.monotonic() - begun < 2
    await working.client.post(f"/tasks/{hanging['id']}/cancel")


async def test_what_is_asked_for_a_canceled_task_is_stopped_at_once(working: Rest, lab: Lab, pool: Pool) -> None:
    task = await working.create(_emails("hangs", 2))
    async with asyncio.timeout(5):
        while not lab.log.open_connections["hangs.mx.mailverdict.test"]:
            await asyncio.sleep(0.02)
    await working.client.post(f"/tasks/{task['id']}/cancel")
    async with asyncio.timeout(3):
        while lab.log.open_connections["hangs.mx.mailverdict.test"]:
            await asyncio.sleep(0.02)
        while await pool.fetchval("SELECT count(*) FROM pgqueuer") or await pool.fetchval("SELECT true FROM mx_slot"):
            await asyncio.sleep(0.02)
    assert await pool.fetchval("SELECT state FROM chunk") == "dropped"


async def test_a_greylisted_address_is_asked_again_by_workers_with_the_same_way_out(working: Rest, pool: Pool) -> None:
    task = await working.create(["alice@grey.mailverdict.test"])
    async with asyncio.timeout(5):
        while not (lane := await pool.fetchval("SELECT entrypoint FROM pgqueuer WHERE execute_after > now()")):
            await asyncio.sleep(0.01)
    assert lane == "verify.retry@here"
    await working.finished(task["id"])
    assert _verdicts(await working.all_results(task["id"])) == {("exists", "accepted"): 1}


async def test_what_waits_for_a_way_out_that_is_gone_is_handed_to_anybody(pool: Pool) -> None:
    await work.planned(pool, [0], [1])
    for job, egress in zip(await work.chunk_jobs(pool), ("here", "gone"), strict=True):
        taken = await work.taken(pool, job)
        (ns,) = taken.numbers.values()
        rest = chunks.Rest(Cause.TRANSIENT, ns, work.HOST, 0, egress)
        await chunks.write(pool, taken, (), Ending.IS_PUT_OFF, [rest])
    await workers.seen(pool, uuid4(), egress="here")
    assert await orphans.enqueue(pool, quiet_for=timedelta(hours=1)) == 1
    lanes = await pool.fetch("SELECT entrypoint FROM pgqueuer WHERE entrypoint LIKE 'verify.retry%' ORDER BY 1")
    assert [lane for (lane,) in lanes] == [jobs.RETRY, jobs.retry_by("here")]


async def test_rests_of_different_causes_go_on_as_chunks_of_their_own(pool: Pool) -> None:
    task = await work.planned(pool, [0, 1, 2, 3])
    (job,) = await work.chunk_jobs(pool)
    taken = await work.taken(pool, job)
    rests = [
        chunks.Rest(Cause.TRANSIENT, [0], "a.example.com", 60, "here"),
        chunks.Rest(Cause.PAUSED, [1, 2], "b.example.com", 300),
        chunks.Rest(Cause.BUSY, [3], None, 1),
    ]
    await chunks.write(pool, taken, (), Ending.IS_PUT_OFF, rests)
    rows = await pool.fetch("SELECT ns, mail_host, retries, waits, pauses, state FROM chunk ORDER BY ns")
    assert [tuple(row) for row in rows] == [
        ([0], "a.example.com", 1, 1, 0, "queued"),
        ([1, 2], "b.example.com", 1, 0, 1, "queued"),
        ([3], None, 1, 0, 0, "queued"),
    ]
    assert (await work.fresh(pool, task)).processing == 0
    again = {job.chunk_id: job for job in await work.chunk_jobs(pool) if job.retries}
    assert len(again) == 3
    for each in again.values():
        found = await work.taken(pool, each)
        assert found.born_at == taken.born_at
    assert (await work.fresh(pool, task)).processing == 4


def test_after_three_days_no_answer_is_waited_for() -> None:
    schedule = retries.Schedule((60, 300), (1, 2), (300,), (1,))
    young, old = datetime.now(UTC) - timedelta(hours=71), datetime.now(UTC) - timedelta(hours=73)
    assert schedule.delay_seconds(0, is_in_zone=False, born_at=young) == 60
    assert schedule.delay_seconds(0, is_in_zone=False, born_at=old) is None
    long = retries.Schedule((7200,), ())
    assert 3590 < (long.delay_seconds(0, is_in_zone=False, born_at=young) or 0) <= 3600
    assert schedule.waits_for_pause(0, is_in_zone=False, born_at=young)
    assert not schedule.waits_for_pause(0, is_in_zone=False, born_at=old)
    assert not schedule.waits_for_pause(1, is_in_zone=False, born_at=young)
