"""Figures by mail host and of the queue, as Prometheus reads them."""

import re
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from verifier.dispatch import tally
from verifier.engine.evidence import Evidence, Reason, Result, Stage, Status
from verifier.store import database, metrics
from verifier.store.database import Pool
from verifier.store.queries import figures as queries
from verifier.store.queries import leases, workers
from verifier.store.queries.leases import Report, Word
from verifier.tests.dispatch import work

HOST = 'mx"1.example.com'
LINE = re.compile(r'verifier_[a-z_]+(?:\{[a-z_]+="(?:[^"\\]|\\.)*"(?:,[a-z_]+="(?:[^"\\]|\\.)*")*\})? -?[0-9.e+]+')


def _result(status: Status, reason: Reason, code: int, connected_at: datetime) -> Result:
    evidence = (
        Evidence(Stage.CONNECT, connected_at, HOST),
        Evidence(Stage.RCPT, connected_at + timedelta(seconds=0.5), HOST, code),
    )
    return Result("a@b.c", "a@b.c", status, reason, connected_at, evidence=evidence)


def _samples(text: str) -> dict[str, float]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(LINE.fullmatch(line) for line in lines), lines
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


async def test_what_workers_did_with_a_mail_host_is_summed(pool: Pool) -> None:
    first, second = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    for _ in range(2):  # two workers
        figures = tally.Tally(pool)
        results = [
            _result(Status.EXISTS, Reason.ACCEPTED, 250, first),
            _result(Status.NOT_EXISTS, Reason.NO_SUCH_USER, 550, first),
            _result(Status.UNKNOWN, Reason.BLOCKED, 554, second),
        ]
        figures.count(HOST, results, Word.BLOCKED)
        await figures.flush()
        await figures.flush()
    holder = uuid4()
    await leases.acquire(pool, [HOST], holder=holder, seconds=30)
    await leases.release(pool, holder, [Report(HOST, Word.BLOCKED, (60,))])
    samples = _samples(await metrics.prometheus(pool))
    label = '{mail_host="mx\\"1.example.com"}'
    got = {name: samples[f"verifier_mail_host_{name}{label}"] for name in (
        "addresses_total", "connections_total", "refusals_total", "pauses_total", "slowdowns_total",
        "answer_seconds_sum", "answer_seconds_count", "slots", "paused",
    )}  # fmt: skip
    assert got == {
        "addresses_total": 6, "connections_total": 4, "refusals_total": 4, "pauses_total": 2, "slowdowns_total": 0,
        "answer_seconds_sum": 3, "answer_seconds_count": 6, "slots": 1, "paused": 1,
    }  # fmt: skip
    assert samples[f'verifier_mail_host_verdicts_total{label[:-1]},status="not_exists"}}'] == 2


async def test_the_queue_tells_its_depth_and_age(pool: Pool) -> None:
    await work.planned(pool, [0], [1])
    await workers.seen(pool, uuid4(), egress="here")
    await pool.execute(
        "UPDATE pgqueuer SET created = now() - interval '1 hour', execute_after = now() - interval '30 s'"
    )
    samples = _samples(await metrics.prometheus(pool))
    assert samples['verifier_queue_jobs{entrypoint="verify",state="queued"}'] == 2
    assert 30 <= samples['verifier_queue_oldest_seconds{entrypoint="verify",state="queued"}'] < 60
    assert (samples["verifier_workers"], samples["verifier_tasks_open"], samples["verifier_addresses_open"]) == (
        1,
        1,
        2,
    )


async def test_a_look_at_the_metrics_reads_the_open_tasks_alone(pool: Pool, database_url: str) -> None:
    await work.planned(pool, [0, 1])
    await pool.execute(
        """
        INSERT INTO task (id, body_hash, email_count, domain_count, completed, finished_at, purged_at)
        SELECT gen_random_uuid(), '', 1, 1, 1, now(), now() FROM generate_series(1, 3000)
        """
    )
    await pool.execute("ANALYZE task")
    async with await database.open_pool(database_url, size=1) as one:
        scans = "SELECT seq_scan, idx_scan FROM pg_stat_user_tables WHERE relname = 'task'"
        await one.fetchval("SELECT pg_stat_force_next_flush()")
        before = await one.fetchrow(scans)
        assert (await queries.totals(one))["tasks"] == 1
        await one.fetchval("SELECT pg_stat_force_next_flush()")
        after = await one.fetchrow(scans)
    assert (after["seq_scan"] - before["seq_scan"], after["idx_scan"] - before["idx_scan"]) == (0, 1)


async def test_only_the_busiest_mail_hosts_are_named(pool: Pool) -> None:
    figures = tally.Tally(pool)
    for number in range(metrics.MAIL_HOSTS_MAX + 20):
        count = 2 if number < metrics.MAIL_HOSTS_MAX else 1
        results = [_result(Status.EXISTS, Reason.ACCEPTED, 250, datetime.now(UTC))] * count
        figures.count(f"mx{number:04}.example.com", results, Word.FINE)
    await figures.flush()
    samples = _samples(await metrics.prometheus(pool))
    named = [name for name in samples if name.startswith("verifier_mail_host_addresses_total")]
    assert len(named) == metrics.MAIL_HOSTS_MAX + 1
    assert samples['verifier_mail_host_addresses_total{mail_host="other"}'] == 20
