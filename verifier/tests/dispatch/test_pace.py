"""The pace of mail hosts: slots and gaps that all workers share, and what they learn from."""

import asyncio
from uuid import uuid4

import pytest

from verifier.dispatch import gate
from verifier.store.database import Pool
from verifier.store.queries import leases
from verifier.store.queries.leases import Report, Word

HOST = "mx.example.com"
PAUSES = (30, 300)


async def _lent(pool: Pool, mail_host: str = HOST) -> leases.Answer:
    return (await leases.acquire(pool, [mail_host], holder=uuid4(), seconds=30))[mail_host]


async def _round(pool: Pool, word: Word, mail_host: str = HOST) -> float | None:
    """Hold a slot and give it back with a word; return how long the mail host is paused then."""
    holder = uuid4()
    await leases.acquire(pool, [mail_host], holder=holder, seconds=30)
    told = Report(mail_host, word, PAUSES, '{"reason": "blocked", "evidence": []}' if word is Word.BLOCKED else None)
    return (await leases.release(pool, holder, [told])).get(mail_host)


async def _forget_time(pool: Pool) -> None:
    """Let every gap, pause and recent change be over."""
    await pool.execute("UPDATE mx_gate SET next_at = '-infinity', slowed_at = '-infinity', paused_until = '-infinity'")


async def _pace(pool: Pool) -> tuple[float, float]:
    slots, gap_seconds = await pool.fetchrow("SELECT slots, gap_seconds FROM mx_gate WHERE mail_host = $1", HOST)
    return slots, gap_seconds


async def test_a_mail_host_lends_four_slots_at_first_and_takes_back_what_expired(pool: Pool) -> None:
    holders = [uuid4() for _ in range(6)]
    lent = [(await leases.acquire(pool, [HOST], holder=holder, seconds=30))[HOST].is_lent for holder in holders[:5]]
    assert lent == [True, True, True, True, False]
    await leases.release(pool, holders[0], [Report(HOST, Word.NOTHING)])
    assert (await _lent(pool)).is_lent
    assert not (await _lent(pool)).is_lent
    await pool.execute("UPDATE mx_slot SET until = now() - interval '1 second' WHERE holder = $1", holders[1])
    assert (await _lent(pool)).is_lent


async def test_workers_that_ask_at_once_never_hold_more_than_the_slots(pool: Pool) -> None:
    held = greatest = won = 0

    async def worker() -> None:
        nonlocal held, greatest, won
        for _ in range(20):
            holder = uuid4()
            if not (await leases.acquire(pool, [HOST], holder=holder, seconds=30))[HOST].is_lent:
                continue
            held, won = held + 1, won + 1
            greatest = max(greatest, held)
            await asyncio.sleep(0.002)
            held -= 1
            await leases.release(pool, holder, [Report(HOST, Word.NOTHING)])

    await asyncio.gather(*(worker() for _ in range(8)))
    assert won > 20
    assert greatest <= 4
    assert await pool.fetchval("SELECT count(*) FROM mx_slot") == 0


async def test_slots_of_several_mail_hosts_are_lent_in_one_go_without_a_deadlock(pool: Pool) -> None:
    hosts = [f"mx{n}.example.com" for n in range(20)]

    async def worker(wanted: list[str]) -> None:
        for _ in range(10):
            holder = uuid4()
            answers = await leases.acquire(pool, wanted, holder=holder, seconds=30)
            assert set(answers) == set(wanted)
            await leases.release(pool, holder, [Report(host, Word.FINE) for host in reversed(wanted)])

    await asyncio.gather(*(worker(hosts[start:] + hosts[:start]) for start in range(0, 20, 5)))


async def test_a_host_that_is_well_is_given_more_slots_slowly(pool: Pool) -> None:
    for _ in range(4):
        await _round(pool, Word.FINE)
    slots, _ = await _pace(pool)
    assert 4.8 < slots < 5
    for _ in range(300):
        await _round(pool, Word.FINE)
    assert await _pace(pool) == (leases.SLOTS_MAX, 0)


async def test_a_host_in_trouble_gets_half_the_slots_and_a_gap_that_goes_away_again(pool: Pool) -> None:
    await _round(pool, Word.SLOWER)
    assert await _pace(pool) == pytest.approx((2, leases.GAP_SECONDS_FIRST))
    await _forget_time(pool)
    await _round(pool, Word.SLOWER)
    assert await _pace(pool) == pytest.approx((1, 2 * leases.GAP_SECONDS_FIRST))
    for _ in range(30):
        await _forget_time(pool)
        await _round(pool, Word.SLOWER)
    assert await _pace(pool) == (1, leases.GAP_SECONDS_MAX)
    for _ in range(60):
        await _forget_time(pool)
        await _round(pool, Word.FINE)
    assert (await _pace(pool))[1] == 0


async def test_trouble_of_several_chunks_at_once_counts_once(pool: Pool) -> None:
    holders = [uuid4() for _ in range(4)]
    for holder in holders:
        await leases.acquire(pool, [HOST], holder=holder, seconds=30)
    for holder in holders:
        await leases.release(pool, holder, [Report(HOST, Word.SLOWER)])
    assert (await _pace(pool))[0] == 2


async def test_a_refusal_does_not_move_the_time_of_the_next_lease(pool: Pool) -> None:
    await _round(pool, Word.SLOWER)
    assert (await _lent(pool)).is_lent
    next_at = await pool.fetchval("SELECT next_at FROM mx_gate")
    for _ in range(5):
        refused = await _lent(pool)
        assert not refused.is_lent
        assert 0 < refused.wait_seconds <= leases.GAP_SECONDS_FIRST
    assert await pool.fetchval("SELECT next_at FROM mx_gate") == next_at
    await asyncio.sleep(leases.GAP_SECONDS_FIRST)
    assert (await _lent(pool)).is_lent


async def test_a_block_pauses_a_host_longer_each_time_until_it_is_well(pool: Pool) -> None:
    assert await _round(pool, Word.BLOCKED) == pytest.approx(30, abs=1)
    paused = await _lent(pool)
    assert (paused.is_lent, paused.is_paused) == (False, True)
    assert paused.refusal is not None
    await _forget_time(pool)
    assert await _round(pool, Word.BLOCKED) == pytest.approx(300, abs=1)
    await _forget_time(pool)
    assert await _round(pool, Word.BLOCKED) == pytest.approx(300, abs=1)
    await _forget_time(pool)
    await _round(pool, Word.FINE)
    assert await _round(pool, Word.BLOCKED) == pytest.approx(30, abs=1)


async def test_after_a_pause_one_chunk_alone_finds_out(pool: Pool) -> None:
    await _round(pool, Word.BLOCKED)
    await _forget_time(pool)
    assert (await _lent(pool)).is_lent
    assert not (await _lent(pool)).is_lent


async def test_blocks_of_chunks_that_ran_beside_each_other_are_one_pause(pool: Pool) -> None:
    holders = [uuid4() for _ in range(3)]
    for holder in holders:
        await leases.acquire(pool, [HOST], holder=holder, seconds=30)
    for holder in holders:
        (left,) = (await leases.release(pool, holder, [Report(HOST, Word.BLOCKED, PAUSES)])).values()
        assert left == pytest.approx(30, abs=1)
    assert await pool.fetchval("SELECT pauses FROM mx_gate") == 1


async def test_many_waiters_are_sent_away_at_once_to_come_back_one_by_one(pool: Pool) -> None:
    for _ in range(4):
        await _lent(pool)
    mail_gate = gate.Gate(pool)
    waiters = [asyncio.create_task(mail_gate.wait(gate.Lease(), HOST)) for _ in range(gate.WAITERS_MAX)]
    await asyncio.sleep(0.05)
    sent_away: list[float] = []
    for _ in range(20):
        with pytest.raises(gate.MailHostBusy) as caught:
            await mail_gate.wait(gate.Lease(), HOST)
        sent_away.append(caught.value.seconds)
    assert sum(sent_away[10:]) > 2 * sum(sent_away[:10])
    assert max(sent_away) < 1.5 * gate.BUSY_SECONDS_MAX
    for waiter in waiters:
        waiter.cancel()
    await asyncio.gather(*waiters, return_exceptions=True)
    assert not mail_gate.waiting
