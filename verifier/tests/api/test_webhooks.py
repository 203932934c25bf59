"""Webhooks: told once a task has ended, signed, again when not taken, and never to a private address."""

import asyncio
import base64
import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any
from uuid import UUID

import httpx
import pytest

from verifier.settings import Need, Settings
from verifier.store.database import Pool
from verifier.tests.api import rows
from verifier.tests.api.listener import Listener, Received, listening
from verifier.tests.rest import Json, Rest, error, ok
from verifier.webhooks import deliver, transport

USER = "7b0c5a0e-6c4b-4a7e-9d5e-1f2f3f4f5f6f"
LOOPBACK = ip_network("127.0.0.0/8")


@pytest.fixture
def env(env: dict[str, str]) -> dict[str, str]:
    return {
        **env,
        "VERIFIER_ALLOW_PRIVATE_NETWORKS": "127.0.0.0/8",
        "VERIFIER_WEBHOOK_RETRY_SECONDS": "0.05,0.05,0.05,0.05,0.05,0.05,0.05",
    }


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliver, "POLL_SECONDS", 0.05)


@asynccontextmanager
async def delivering(pool: Pool, env: dict[str, str], workers: int = 1) -> AsyncIterator[None]:
    stopping = asyncio.Event()
    settings = Settings.from_env(env, set(Need))
    tasks = [asyncio.create_task(deliver.run(pool, settings, stopping)) for _ in range(workers)]
    yield
    began = time.monotonic()
    stopping.set()
    await asyncio.gather(*tasks)
    assert time.monotonic() - began < 1


async def ended(rest: Rest, url: str, **headers: str) -> Json:
    """Make a task of one address and end it."""
    body = {"emails": ["a@example.com"], "webhook_url": url}
    task = ok(await rest.client.post("/tasks", json=body, headers=headers), 201)
    assert (await rest.client.post(f"/tasks/{task['id']}/cancel", headers=headers)).status_code == 202
    return task


async def secret(rest: Rest, **headers: str) -> bytes:
    told = ok(await rest.client.get("/webhook-secret", headers=headers))["secret"]
    return base64.b64decode(told.removeprefix("whsec_"))


def signatures(key: bytes, got: Received) -> str:
    """What the specification says the receiver must compute."""
    signed = f"{got.headers['webhook-id']}.{got.headers['webhook-timestamp']}.".encode() + got.body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


async def row(pool: Pool, task: Json) -> Json:
    return dict(await pool.fetchrow("SELECT * FROM webhook_delivery WHERE task_id = $1", task["id"]))


async def settled(pool: Pool, task: Json) -> Json:
    async with asyncio.timeout(10):
        while (found := await row(pool, task))["due_at"] is not None:
            await asyncio.sleep(0.02)
    return found


async def test_the_end_of_a_task_is_told_once_with_its_metrics_and_no_address(
    rest: Rest, pool: Pool, env: dict[str, str]
) -> None:
    mine = await rest.key_for(USER)
    async with listening() as listener, delivering(pool, env, workers=3):
        body = {"emails": ["alice@example.com", "no"], "webhook_url": listener.url}
        task = ok(await rest.client.post("/tasks", json=body, headers=mine), 201)
        await rows.write(pool, task["id"], [rows.verdict(0)])
        await asyncio.sleep(0.3)
        assert listener.received == []
        await rows.write(pool, task["id"], [rows.verdict(1, "invalid_syntax", "syntax")])
        [got] = await listener.wait_for(1)
        assert (await settled(pool, task))["delivered_at"] is not None
        await asyncio.sleep(0.3)
        assert len(listener.received) == 1
    assert got.line == "POST /hook HTTP/1.1"
    assert got.headers["content-type"] == "application/json"
    assert json.loads(got.body) == await rest.task(task["id"])
    assert b"alice" not in got.body
    assert got.headers["webhook-signature"] == signatures(await secret(rest, **mine), got)
    assert got.headers["webhook-signature"] != signatures(await secret(rest), got)
    assert abs(int(got.headers["webhook-timestamp"]) - time.time()) < 60
    assert got.headers["webhook-id"] == f"msg_{UUID(task['id']).hex}"


async def test_a_new_secret_signs_beside_the_old_one(rest: Rest, pool: Pool, env: dict[str, str]) -> None:
    old = await secret(rest)
    assert await secret(rest) == old
    new = ok(await rest.client.post("/webhook-secret"), 201)["secret"]
    keys = [base64.b64decode(new.removeprefix("whsec_")), old]
    async with listening() as listener, delivering(pool, env):
        await ended(rest, listener.url)
        [got] = await listener.wait_for(1)
        assert got.headers["webhook-signature"] == " ".join(signatures(key, got) for key in keys)
        await pool.execute("UPDATE webhook_secret SET rotated_at = now() - interval '25 hours'")
        await ended(rest, listener.url)
        got = (await listener.wait_for(2))[1]
        assert got.headers["webhook-signature"] == signatures(keys[0], got)


async def test_what_is_not_taken_is_sent_again_eight_times_at_most(rest: Rest, pool: Pool, env: dict[str, str]) -> None:
    async with listening(statuses=[500, 302, 404, 200]) as listener, delivering(pool, env):
        task = await ended(rest, listener.url)
        received = await listener.wait_for(4)
        found = await settled(pool, task)
        assert (found["tries"], found["last_status"], found["given_up_at"]) == (4, 200, None)
        assert len({got.headers["webhook-id"] for got in received}) == 1
    async with listening(statuses=[503]) as listener, delivering(pool, env):
        task = await ended(rest, listener.url)
        await listener.wait_for(8)
        found = await settled(pool, task)
        assert (found["tries"], found["delivered_at"], found["last_problem"]) == (8, None, "answered 503")
        assert found["given_up_at"] is not None
    assert ok(await rest.client.get(f"/tasks/{task['id']}"))["finished_at"] is not None


async def test_a_receiver_that_is_gone_for_good_is_not_asked_again(rest: Rest, pool: Pool, env: dict[str, str]) -> None:
    async with listening(statuses=[410]) as listener, delivering(pool, env):
        task = await ended(rest, listener.url)
        await listener.wait_for(1)
        found = await settled(pool, task)
    assert (found["tries"], found["last_status"], found["delivered_at"]) == (1, 410, None)


async def test_slow_endless_and_closed_receivers_hold_nobody_up(
    rest: Rest, pool: Pool, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "TRY_SECONDS", 0.4)
    env["VERIFIER_WEBHOOK_RETRY_SECONDS"] = "3600"
    async with listening(hangs=True) as hanging, listening(body=b"x" * 5_000_000) as endless, listening() as good:
        async with listening() as closed:
            pass
        async with delivering(pool, env):
            tasks = [await ended(rest, each.url) for each in (hanging, closed, endless, good)]
            await good.wait_for(1)
            await asyncio.sleep(0.6)
            found = [await row(pool, task) for task in tasks]
    assert [each["delivered_at"] is not None for each in found] == [False, False, True, True]
    assert [each["last_problem"] for each in found][::2] == ["no answer in time", None]


async def test_hanging_receivers_of_one_user_do_not_hold_up_another(
    rest: Rest, pool: Pool, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "TRY_SECONDS", 0.3)
    monkeypatch.setattr(deliver, "AT_ONCE", 2)
    env["VERIFIER_WEBHOOK_RETRY_SECONDS"] = "3600"
    theirs = await rest.key_for(USER)
    async with listening(hangs=True) as hanging, listening() as good:
        for _ in range(12):
            await ended(rest, hanging.url, **theirs)
        async with delivering(pool, env):
            await hanging.wait_for(2)
            await ended(rest, good.url)
            await good.wait_for(1)
            assert len(hanging.received) < 8


async def test_the_worker_of_a_verifier_delivers(working: Rest) -> None:
    async with listening() as listener:
        body = {"emails": ["alice@ok.mailverdict.test", "no"], "webhook_url": listener.url}
        task = ok(await working.client.post("/tasks", json=body), 201)
        [got] = await listener.wait_for(1)
    assert json.loads(got.body)["metrics"]["verification_status"]["exists"] == 1
    assert json.loads(got.body) == await working.task(task["id"])


async def test_another_worker_follows_one_that_stopped_in_the_middle(
    rest: Rest, pool: Pool, env: dict[str, str]
) -> None:
    async with listening(hangs=True) as listener:
        async with delivering(pool, env):
            task = await ended(rest, listener.url)
            await listener.wait_for(1)
        listener.hangs = False
        assert (await row(pool, task))["delivered_at"] is None
        await pool.execute("UPDATE webhook_delivery SET due_at = now()")  # the lease has run out
        async with delivering(pool, env):
            await listener.wait_for(2)
            assert (await settled(pool, task))["delivered_at"] is not None


PRIVATE = [
    "127.0.0.1", "localhost", "127.1", "2130706433", "0177.0.0.1", "0x7f.1", "0.0.0.0", "10.0.0.1", "192.168.1.1",  # noqa: S104 - nothing is bound to it
    "172.16.0.1", "100.64.0.1", "169.254.169.254", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:a9fe:a9fe]",
    "[64:ff9b::7f00:1]", "[64:ff9b:1::1]", "[2002:7f00:1::1]", "[2001:0:7f00:1::1]", "[fe80::1]", "[fc00::1]",
    "[::127.0.0.1]", "224.0.0.1", "255.255.255.255", "[ff02::1]", "localhost.", "LOCALHOST",
]  # fmt: skip


async def test_no_private_address_is_called_however_it_is_spelt(listener: Listener) -> None:
    async with transport.client([]) as client:
        for host in PRIVATE:
            with pytest.raises((httpx.ConnectError, httpx.InvalidURL)):
                await client.post(f"http://{host}:{listener.port}/", content=b"x")
        with pytest.raises(transport.Refused, match="port"):
            await client.post("http://192.0.2.1:25/", content=b"x")
    assert listener.received == []


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    async with listening() as running:
        yield running


class Changing:
    """A name server that gives a public address first and loopback ever after."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)

    def __call__(self, host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [(2, 1, 6, "", (each, port)) for each in answer.split()]


async def test_an_address_is_checked_and_called_without_a_second_look_up(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    mixed = Changing("203.0.113.1 127.0.0.1")
    monkeypatch.setattr(socket, "getaddrinfo", mixed)
    async with transport.client([]) as client:
        with pytest.raises(transport.Refused, match="public"):
            await client.post(f"http://mixed.example.com:{listener.port}/", content=b"x")
    rebinding = Changing("127.0.0.1", "127.0.0.2", "169.254.169.254")
    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    async with transport.client([ip_network("127.0.0.1/32")]) as client:
        await client.post(f"http://rebinding.example.com:{listener.port}/", content=b"x")
        with pytest.raises(transport.Refused, match="public"):
            await client.post(f"http://rebinding.example.com:{listener.port}/", content=b"x")
    assert [got.headers["host"] for got in listener.received] == [f"rebinding.example.com:{listener.port}"]


async def test_names_that_are_never_found_do_not_keep_us_from_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    over, looked_up = threading.Event(), socket.getaddrinfo

    def slow(host: str, *rest: Any, **others: Any) -> list[Any]:
        if host == "slow.test":
            over.wait(10)
        return list(looked_up(host, *rest, **others))

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    async with transport.client([LOOPBACK]) as client:
        asking = [asyncio.create_task(client.post("http://slow.test/", content=b"x")) for _ in range(100)]
        try:
            async with asyncio.timeout(2):
                await asyncio.sleep(0)
                assert await asyncio.get_running_loop().getaddrinfo("localhost", 80)
        finally:
            for one in asking:
                one.cancel()
            over.set()
            await asyncio.gather(*asking, return_exceptions=True)


async def test_redirects_are_not_followed(listener: Listener) -> None:
    location = f"Location: {listener.url}\r\n"
    async with listening(statuses=[307], headers=location) as redirecting, transport.client([LOOPBACK]) as client:
        assert (await client.post(redirecting.url, content=b"x")).status_code == 307
    assert listener.received == []


async def test_a_url_that_can_never_be_called_is_refused_at_once(rest: Rest) -> None:
    for url in ("http://example.com:25/", "http://example.com:0/", "https://example.com:70000/", "http:///x", "urn:x"):
        body = {"emails": ["a@example.com"], "webhook_url": url}
        assert error(await rest.client.post("/tasks", json=body), 400)["field"] == "webhook_url"
