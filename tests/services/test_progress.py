"""Who waits for which task: wake-ups in the process, and notifications through PostgreSQL or Redis."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from redis.asyncio import Redis

from db import ids, listen
from db.listen import PAYLOAD_BYTES_MAX
from services import progress, pubsub
from services.progress import Announcer, Hub, Listener, Notifier
from tests import redis_server

GAP = timedelta(seconds=0.05)


class Wakes:
    """Counts how often a waiter of a task is woken."""

    def __init__(self, hub: Hub, task_id: UUID, gap: timedelta = GAP) -> None:
        self.count = 0
        self._changes = hub.changes(task_id, gap=gap)
        self._waiting = asyncio.create_task(self._wait())

    async def _wait(self) -> None:
        async for _ in self._changes:
            self.count += 1

    async def end(self) -> None:
        self._waiting.cancel()
        await asyncio.wait((self._waiting,))
        await self._changes.aclose()


async def when(is_so: Callable[[], bool], seconds: float = 3.0) -> None:
    async with asyncio.timeout(seconds):
        while not is_so():
            await asyncio.sleep(0.01)


def told(*task_ids: UUID) -> str:
    return json.dumps([str(i) for i in task_ids])


async def test_a_waiter_looks_at_once_and_after_every_change_of_its_own_task() -> None:
    hub, mine, other = Hub(), ids.new_uuid(), ids.new_uuid()
    wakes = Wakes(hub, mine)
    await when(lambda: wakes.count == 1)
    hub.hear(told(other))
    await asyncio.sleep(0.15)
    assert wakes.count == 1
    hub.hear(told(other, mine))
    await when(lambda: wakes.count == 2)
    await wakes.end()


async def test_many_changes_are_one_wake_up() -> None:
    hub, mine = Hub(), ids.new_uuid()
    wakes = Wakes(hub, mine, timedelta(seconds=0.2))
    await when(lambda: wakes.count == 1)
    for _ in range(100):
        hub.hear(told(mine))
    await asyncio.sleep(0.3)
    assert wakes.count == 2
    await asyncio.sleep(0.3)
    assert wakes.count == 2
    await wakes.end()


async def test_a_change_while_the_waiter_is_busy_is_not_lost() -> None:
    hub, mine = Hub(), ids.new_uuid()
    changes = hub.changes(mine, gap=timedelta(0))
    await anext(changes)
    hub.hear(told(mine))  # the waiter reads the row now, perhaps before the change
    async with asyncio.timeout(1):
        await anext(changes)
    await changes.aclose()


async def test_everyone_looks_again_when_something_may_have_been_missed() -> None:
    hub = Hub()
    waiters = [Wakes(hub, ids.new_uuid()) for _ in range(3)]
    await when(lambda: all(w.count == 1 for w in waiters))
    hub.hear(None)
    await when(lambda: all(w.count == 2 for w in waiters))
    for waiter in waiters:
        await waiter.end()


async def test_security_16_a_waiter_looks_for_itself_after_a_quiet_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "QUIET", timedelta(seconds=0.05))
    wakes = Wakes(Hub(), ids.new_uuid(), timedelta(0))
    await when(lambda: wakes.count >= 3)
    await wakes.end()


async def test_nothing_is_kept_of_a_waiter_that_left() -> None:
    hub, mine = Hub(), ids.new_uuid()
    first, second = Wakes(hub, mine), Wakes(hub, mine)
    await when(lambda: first.count + second.count == 2)
    await first.end()
    hub.hear(told(mine))
    await when(lambda: second.count == 2)
    await second.end()
    assert not hub._waiting


@pytest.mark.parametrize("payload", ["", "x", "null", "5", "[5]", "[null]", "{}", '["x"]', "[[]]"])
async def test_a_notification_that_is_garbage_harms_nobody(payload: str) -> None:
    Hub().hear(payload)


async def test_waiting_for_any_change_ends_with_the_first_or_with_the_time() -> None:
    hub = Hub()
    started = time.monotonic()
    await hub.wait_for_any(0.05)
    assert 0.04 < time.monotonic() - started < 1
    hub.hear(told(ids.new_uuid()))
    started = time.monotonic()
    await hub.wait_for_any(5)
    assert time.monotonic() - started < 1


@dataclass(frozen=True)
class Broker:
    """What carries the messages: PostgreSQL or Redis."""

    listener: Callable[[list[str | None]], Listener]
    notifier: Callable[[], Notifier]
    lose_listener: Callable[[], Awaitable[None]]
    lose_notifier: Callable[[], Awaitable[None]]
    """Both end the connection from outside, as a restart does."""


@pytest.fixture(params=["postgresql", "redis"])
def broker(request: pytest.FixtureRequest) -> Broker:
    if request.param == "postgresql":
        url = request.getfixturevalue("service_database_url")
        return Broker(
            lambda heard: listen.Listener(url, progress.CHANNEL, heard.append),
            lambda: listen.Notifier(url),
            lambda: terminated(url, "application_name = 'mailverdict-listen' AND datname = current_database()"),
            lambda: terminated(url, "query LIKE '%pg_notify%' AND datname = current_database()"),
        )
    url = request.getfixturevalue("redis").url
    return Broker(
        lambda heard: pubsub.Listener(url, progress.CHANNEL, heard.append),
        lambda: pubsub.Notifier(url),
        lambda: killed(url, "pubsub"),
        lambda: killed(url, "normal"),
    )


@pytest.fixture
async def heard(broker: Broker) -> AsyncIterator[list[str | None]]:
    """What arrives on the channel."""
    found: list[str | None] = []
    listening = asyncio.create_task(broker.listener(found).run())
    await when(lambda: found == [None])
    yield found
    listening.cancel()
    await asyncio.wait((listening,))


@pytest.fixture
async def notifier(broker: Broker) -> AsyncIterator[Notifier]:
    sender = broker.notifier()
    yield sender
    await sender.close()


async def test_an_announcement_arrives_through_the_broker(heard: list[str | None], notifier: Notifier) -> None:
    announcer, changed = Announcer(notifier), ids.new_uuid()
    announcer.changed([changed, changed])
    await announcer.flush()
    await when(lambda: len(heard) == 2)
    assert heard[1] == told(changed)


async def test_a_thousand_ids_are_sent_in_payloads_that_the_broker_takes(
    heard: list[str | None], notifier: Notifier
) -> None:
    announcer, changed = Announcer(notifier), {ids.new_uuid() for _ in range(1000)}
    announcer.changed(changed)
    await announcer.flush()
    await when(lambda: len(heard) >= 7)
    payloads = [payload for payload in heard[1:] if payload is not None]
    assert max(map(len, payloads)) <= PAYLOAD_BYTES_MAX
    arrived = [UUID(i) for payload in payloads for i in json.loads(payload)]
    assert len(arrived) == 1000
    assert set(arrived) == changed
    assert len(payloads) == 6


async def test_changes_are_gathered_while_the_announcer_runs(heard: list[str | None], notifier: Notifier) -> None:
    announcer = Announcer(notifier)
    running = asyncio.create_task(announcer.run())
    first, *rest = [ids.new_uuid() for _ in range(20)]
    announcer.changed([first])
    await when(lambda: len(heard) == 2)
    for task_id in rest:
        announcer.changed([task_id])
        await asyncio.sleep(0.002)
    await when(lambda: len(heard) == 3)
    announcer.close()
    await running
    assert heard[2] is not None
    assert {UUID(i) for i in json.loads(heard[2])} == set(rest)


async def test_two_flushes_at_once_lose_nothing(heard: list[str | None], notifier: Notifier) -> None:
    announcer = Announcer(notifier)
    for _ in range(5):
        announcer.changed([ids.new_uuid() for _ in range(300)])
        await asyncio.gather(announcer.flush(), announcer.flush(), announcer.flush())
    arrived: set[str] = set()
    async with asyncio.timeout(3):
        while len(arrived) < 1500:
            arrived = {i for payload in heard if payload is not None for i in json.loads(payload)}
            await asyncio.sleep(0.01)


async def terminated(url: str, condition: str) -> None:
    """End backends of PostgreSQL."""
    connection = await asyncpg.connect(url)
    rows = await connection.fetch(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND {condition}"
    )
    await connection.close()
    assert rows


async def killed(url: str, kind: str) -> None:
    """End connections to Redis of a kind."""
    async with Redis.from_url(url) as client:
        assert await client.client_kill_filter(_type=kind, skipme=True)


async def test_a_listener_that_was_cut_off_comes_back_and_says_so(
    heard: list[str | None], notifier: Notifier, broker: Broker
) -> None:
    await broker.lose_listener()
    await when(lambda: heard.count(None) == 2)
    task_id = ids.new_uuid()
    await notifier.send(progress.CHANNEL, told(task_id))
    await when(lambda: heard[-1] == told(task_id))


async def test_a_notifier_that_was_cut_off_sends_again_after_one_lost_message(
    heard: list[str | None], notifier: Notifier, broker: Broker
) -> None:
    await notifier.send(progress.CHANNEL, "[]")
    await when(lambda: heard[-1] == "[]")
    await broker.lose_notifier()
    task_ids: list[Any] = [ids.new_uuid() for _ in range(2)]
    for task_id in task_ids:
        await notifier.send(progress.CHANNEL, told(task_id))
    await when(lambda: heard[-1] == told(task_ids[1]))


async def test_without_redis_nobody_waits_long_and_its_return_is_noticed(
    redis: redis_server.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pubsub, "_RECONNECT_SECONDS", 0.05)
    found: list[str | None] = []
    listening = asyncio.create_task(pubsub.Listener(redis.url, progress.CHANNEL, found.append).run())
    await when(lambda: found == [None])
    sender = pubsub.Notifier(redis.url)
    redis.stop()
    started = time.monotonic()
    for _ in range(3):
        await sender.send(progress.CHANNEL, "[]")
    assert time.monotonic() - started < 1
    redis.start()
    await when(lambda: found == [None, None])
    async with Redis.from_url(redis.url) as client:
        await client.publish(progress.CHANNEL, b"\xff")  # of whom ever: it harms nobody
    await sender.send(progress.CHANNEL, "[]")
    await when(lambda: found[-1] == "[]")
    listening.cancel()
    await asyncio.wait((listening,))
    await sender.close()


async def test_a_redis_that_hangs_holds_nobody_up_and_is_left(
    redis: redis_server.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in (("_QUIET_SECONDS", 0.1), ("_RECONNECT_SECONDS", 0.05), ("_ANSWER_SECONDS", 0.2)):
        monkeypatch.setattr(pubsub, name, seconds)
    found: list[str | None] = []
    listening = asyncio.create_task(pubsub.Listener(redis.url, progress.CHANNEL, found.append).run())
    await when(lambda: found == [None])
    sender = pubsub.Notifier(redis.url)
    await sender.send(progress.CHANNEL, "[]")
    await asyncio.sleep(0.4)  # asked, and answered, several times
    assert found == [None, "[]"]
    redis.send_signal(signal.SIGSTOP)
    started = time.monotonic()
    await sender.send(progress.CHANNEL, "[]")
    assert time.monotonic() - started < 1
    await asyncio.sleep(0.5)
    redis.send_signal(signal.SIGCONT)
    await when(lambda: found.count(None) == 2)
    listening.cancel()
    await asyncio.wait((listening,))
    await sender.close()
