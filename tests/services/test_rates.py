"""Counters of rates: bounded in memory, shared through Redis, and never let off when Redis goes away."""

import contextlib
import signal
import time
from collections.abc import AsyncIterator

import pytest

from services import rates
from services.errors import InvalidCredentials, RateLimited
from services.rates import Memory, Rates
from services.throttle import Throttle
from tests.redis_server import Redis


@pytest.fixture
async def shared(redis: Redis) -> AsyncIterator[Rates]:
    found = Rates(redis.url)
    yield found
    await found.aclose()


@pytest.fixture(params=["memory", "redis"])
async def counters(request: pytest.FixtureRequest) -> AsyncIterator[Rates]:
    """What holds for both."""
    found = Rates(request.getfixturevalue("redis").url if request.param == "redis" else "")
    yield found
    await found.aclose()


async def test_a_window_begins_with_its_first_and_counts_what_is_added(counters: Rates) -> None:
    assert await counters.seconds_left("points", "ann") == 0
    assert await counters.count("points", "ann", seconds=60, amount=7) == 7
    assert await counters.count("points", "ann", seconds=60) == 8
    assert await counters.count("points", "ann", seconds=60, amount=-2) == 6
    assert await counters.count("points", "bob", seconds=60) == 1
    assert 55 < await counters.seconds_left("points", "ann") <= 61
    await counters.forget("points", "ann")
    assert await counters.seconds_left("points", "ann") == 0
    assert await counters.count("points", "ann", seconds=60) == 1


async def test_all_processes_count_together_through_redis(shared: Rates, redis: Redis) -> None:
    other = Rates(redis.url)
    await shared.count("points", "ann", seconds=60, amount=5)
    assert await other.count("points", "ann", seconds=60, amount=5) == 10
    await other.aclose()


async def test_security_16_without_redis_each_process_counts_for_itself(shared: Rates, redis: Redis) -> None:
    assert await shared.count("points", "ann", seconds=60, amount=5) == 5
    redis.stop()
    began = time.monotonic()
    counted = [await shared.count("points", "ann", seconds=60) for _ in range(20)]
    assert counted == list(range(1, 21))
    assert time.monotonic() - began < 2 * rates.REDIS_SECONDS_MAX  # it is asked once, then left alone for a while


async def test_security_16_without_redis_sign_in_is_still_throttled(shared: Rates, redis: Redis) -> None:
    held = Throttle(shared, "the-secret-of-the-rates-tests-0123456789")
    tried: list[str] = []

    async def guess() -> None:
        with contextlib.suppress(InvalidCredentials, RateLimited):
            async with held.attempt("ann@example.com"):
                tried.append("ann")
                raise InvalidCredentials

    await guess()
    redis.stop()
    for _ in range(50):
        await guess()
    assert 1 < len(tried) <= 1 + 5 + 1


async def test_redis_is_asked_again_after_a_while(shared: Rates, redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "AWAY_SECONDS", 0.0)
    redis.send_signal(signal.SIGSTOP)  # it neither answers nor refuses
    assert await shared.count("points", "ann", seconds=60) == 1
    redis.send_signal(signal.SIGCONT)
    counted = [await shared.count("points", "bob", seconds=60) for _ in range(3)]
    assert counted == [1, 2, 3]
    assert await shared._memory.get("points:bob") == 0


async def test_memory_is_bounded_and_looks_at_each_key_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "KEYS_MAX", 4000)
    memory, looked = Memory(), 0
    for number in range(20_000):
        before = memory._counts
        await memory.incr(str(number), 60)
        looked += len(before) if memory._counts is not before else 0
    assert len(memory._counts) <= 4000
    assert looked < 5 * 20_000  # a few keys for each hit, however many there are
    assert await memory.get("19999") == 1
    assert await memory.get("0") == 0


async def test_windows_that_have_ended_make_room_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "KEYS_MAX", 2000)
    memory = Memory()
    await memory.incr("kept", 60, 3)
    for number in range(10_000):
        await memory.incr(str(number), 0)
    assert await memory.get("kept") == 3


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("testclient", "unknown"),
        ("", "unknown"),
        (None, "unknown"),
    ],
)
def test_an_address_counts_for_its_network(address: str | None, network: str) -> None:
    assert rates.network(address) == network
