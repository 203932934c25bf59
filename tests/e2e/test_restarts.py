"""Restarts under load, of PostgreSQL and of the service: callers are told to come back, and nothing is lost."""

import asyncio
import contextlib
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import websockets

from app import processes as alive
from app.devdb import DevCluster
from conftest import RunningApp, StartApp
from tests.client import Client
from tests.e2e.test_kills import SLOW, has_ended, processes, task_when
from tests.e2e.test_sessions import following

CREATE = """mutation($emails: [String!]!) { createTask(input: {emails: $emails}) {
  task { id } userErrors { message } } }"""
VERIFY = """mutation { verifyEmail(input: {email: "alice@blackholed.mailverdict.test", timeoutMs: 3000}) {
  verification { reason } } }"""
"""A request that is under way for three seconds."""
CALLERS = 4
PAUSE_SECONDS = 0.05
SECONDS = 30.0


class Load:
    """Callers that make tasks without a pause worth the name, and note what they are answered."""

    def __init__(self, app: RunningApp) -> None:
        self._app = app
        self.answers: Counter[str] = Counter()
        self.task_ids: list[str] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Call until the block ends."""
        callers = [asyncio.create_task(self._call(n)) for n in range(CALLERS)]
        try:
            yield
        finally:
            for caller in callers:
                caller.cancel()
            await asyncio.gather(*callers, return_exceptions=True)

    async def until(self, answer: str, count: int) -> None:
        """Wait until an answer was given so often."""
        async with asyncio.timeout(SECONDS):
            while self.answers[answer] < count:
                await asyncio.sleep(PAUSE_SECONDS)

    async def _call(self, caller: int) -> None:
        body = {"query": CREATE, "variables": {"emails": [f"user{caller}@ok.mailverdict.test"]}}
        headers = {"authorization": f"Bearer {self._app.token}"}
        async with httpx.AsyncClient(headers=headers, timeout=SECONDS) as http:
            while True:
                try:
                    self._note(await http.post(self._app.graphql, json=body))
                except httpx.TransportError:
                    self.answers["not connected"] += 1
                await asyncio.sleep(PAUSE_SECONDS)

    def _note(self, response: httpx.Response) -> None:
        errors = response.json().get("errors", [])
        if not errors:
            self.task_ids.append(response.json()["data"]["createTask"]["task"]["id"])
            self.answers["done"] += 1
        elif response.status_code == 503 and int(response.headers["retry-after"]) > 0:
            self.answers["come back"] += 1
        elif [error["extensions"]["code"] for error in errors] == ["SERVICE_UNAVAILABLE"]:
            self.answers["interrupted"] += 1  # it ran already, so that the answer is a 200
        else:
            self.answers[f"{response.status_code} {response.text}"] += 1


async def assert_all_are_completed(app: RunningApp, task_ids: list[str]) -> None:
    async with httpx.AsyncClient(base_url=app.web, timeout=SECONDS) as http:
        for task_id in task_ids:
            task = await task_when(Client(http, app.token), task_id, has_ended)
            assert task["status"] == "COMPLETED"
            assert task["metrics"]["jobStatus"] == {"pending": 0, "processing": 0, "completed": 1, "failed": 0}


def children_of(app: RunningApp) -> set[int]:
    return {pid for pid, parent, _ in processes() if parent == app.pid}


async def test_security_04_while_postgresql_restarts_callers_are_told_to_come_back_and_then_all_goes_on(
    start_app: StartApp, open_temp_dir: Path
) -> None:
    """A PostgreSQL of the test's own: the embedded one is revived before anybody has to be told."""
    with (
        DevCluster(open_temp_dir / "restarted", is_durable=False) as cluster,
        start_app("restarted-postgresql", DATABASE_URL=cluster.url("mailverdict")) as app,
    ):
        load, before = Load(app), children_of(app)
        async with load.running():
            await load.until("done", 10)
            cluster.stop()
            await load.until("come back", 2)
            cluster.start()
            seen = load.answers["done"]
            await load.until("done", seen + 10)
        assert set(load.answers) <= {"done", "come back", "interrupted"}
        await assert_all_are_completed(app, load.task_ids)
        assert alive.is_alive(app.pid)
        assert children_of(app) == before


async def test_security_03_a_service_that_is_stopped_under_load_drains_and_loses_nothing(start_app: StartApp) -> None:
    with start_app("stopped", **SLOW) as app:
        load = Load(app)
        async with (
            httpx.AsyncClient(base_url=app.web, timeout=SECONDS) as http,
            following(app, Client(http, app.token)) as socket,
            load.running(),
        ):
            asked = asyncio.create_task(Client(http, app.token).ask(VERIFY))
            await load.until("done", 10)
            os.kill(app.pid, signal.SIGTERM)
            began = time.monotonic()
            with contextlib.suppress(websockets.ConnectionClosed):
                while True:
                    await asyncio.wait_for(socket.recv(), SECONDS)
            assert socket.close_code == 1012
            assert (await asked)["verifyEmail"]["verification"]["reason"] == "TIMEOUT"  # it was answered first
            while alive.is_alive(app.pid):
                assert time.monotonic() - began < SECONDS
                await asyncio.sleep(PAUSE_SECONDS)
        assert set(load.answers) <= {"done", "come back", "interrupted", "not connected"}
    with start_app("stopped") as app:
        await assert_all_are_completed(app, load.task_ids)
