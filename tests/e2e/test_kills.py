"""kill -9 in the middle of a task: afterwards every address has exactly one verdict, and it is the true one."""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx

from conftest import ROOT, RunningApp, StartApp
from tests.client import Client
from verifier.lab.expectation import expected

CONTACTS = (ROOT / "examples" / "contacts.csv").read_bytes()
SLOW = {"VERIFIER_LAB_DELAY_MS": "200"}
"""A round trip that makes the example last some seconds."""
SECONDS = 60.0
COUNTS = "metrics { totalEmailAddresses jobStatus { pending processing completed failed } }"
PAGE = """query($id: ID!, $after: String) { task(id: $id) { results(first: 100, after: $after) {
  pageInfo { hasNextPage endCursor } nodes { rowNumber input verification { email verdict reason } } } } }"""


def processes() -> list[tuple[int, int, str]]:
    """Pid, parent and command of every process."""
    listing = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    return [(int(line[0]), int(line[1]), line[2]) for line in (row.split(None, 2) for row in listing.splitlines())]


@contextlib.asynccontextmanager
async def client_of(app: RunningApp) -> AsyncIterator[Client]:
    async with httpx.AsyncClient(base_url=app.web, timeout=30) as http:
        yield Client(http, app.token)


async def started_task(client: Client) -> str:
    outcome = await client.upload(CONTACTS, "contacts.csv", "task { id } userErrors { message }")
    task_id: str = outcome["task"]["id"]
    return task_id


async def task_when(client: Client, task_id: str, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The task as soon as it is as wanted."""
    query = f"query($id: ID!) {{ task(id: $id) {{ status failureReason {COUNTS} }} }}"
    async with asyncio.timeout(SECONDS):
        while True:
            task: dict[str, Any] = (await client.ask(query, id=task_id))["task"]
            if is_so(task):
                return task
            await asyncio.sleep(0.05)


def is_half_done(task: dict[str, Any]) -> bool:
    """Verdicts have come in, and more are to come."""
    assert task["status"] in ("QUEUED", "RUNNING"), "the task was over before it could be disturbed"
    completed: int = task["metrics"]["jobStatus"]["completed"]
    return completed > 50


def has_ended(task: dict[str, Any]) -> bool:
    return task["status"] in ("COMPLETED", "FAILED", "CANCELED")


async def verdicts(client: Client, task_id: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    after = None
    while True:
        page = (await client.ask(PAGE, id=task_id, after=after))["task"]["results"]
        rows += page["nodes"]
        if not page["pageInfo"]["hasNextPage"]:
            return rows
        after = page["pageInfo"]["endCursor"]


async def assert_all_is_told_once_and_true(client: Client, task_id: str) -> None:
    task = await task_when(client, task_id, has_ended)
    total = task["metrics"]["totalEmailAddresses"]
    assert task["status"] == "COMPLETED", task
    assert task["metrics"]["jobStatus"] == {"pending": 0, "processing": 0, "completed": total, "failed": 0}
    rows = await verdicts(client, task_id)
    assert [row["rowNumber"] for row in rows] == list(range(1, 1001))
    found = [(r["verification"]["verdict"].lower(), r["verification"]["reason"].lower()) for r in rows]
    wrong = [
        (row["input"], got, want)
        for row, got in zip(rows, found, strict=True)
        if got != (want := tuple(str(word) for word in expected(row["input"].strip())))
    ]
    assert not wrong, wrong[:10]


async def test_security_01_a_killed_worker_of_the_verifier_loses_and_doubles_nothing(start_app: StartApp) -> None:
    with start_app("killed-worker", **SLOW) as app:
        async with client_of(app) as client:
            task_id = await started_task(client)
            await task_when(client, task_id, is_half_done)
            (worker,) = [pid for pid, ppid, args in processes() if ppid == app.pid and "verifier work" in args]
            os.kill(worker, signal.SIGKILL)
            await assert_all_is_told_once_and_true(client, task_id)


async def test_security_01_a_killed_app_loses_and_doubles_nothing_and_starts_again(start_app: StartApp) -> None:
    with start_app("killed-app", **SLOW) as app:
        async with client_of(app) as client:
            task_id = await started_task(client)
            await task_when(client, task_id, is_half_done)
        children = [pid for pid, ppid, _ in processes() if ppid == app.pid]
        os.kill(app.pid, signal.SIGKILL)
        async with asyncio.timeout(10):
            while {pid for pid, _, args in processes() if "defunct" not in args} & set(children):
                await asyncio.sleep(0.05)
    with start_app("killed-app") as app:
        async with client_of(app) as client:
            await assert_all_is_told_once_and_true(client, task_id)
