"""Workers as processes of their own: killed, told to stop, left without a database."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from verifier.lab.internet import Lab
from verifier.tests.rest import Rest

ROOT = Path(__file__).parents[3]
DOMAINS = ("ok", "implicit", "catchall")
EMAILS = [f"{'alice' if n % 20 else 'nobody'}+{n}@{DOMAINS[n % 3]}.mailverdict.test" for n in range(300)]


@asynccontextmanager
async def _worker(env: dict[str, str], ready: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a worker as a process; it is killed at the latest when the context ends."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "verifier", "work", "--ready-file", ready,
        cwd=ROOT, env={**os.environ, **env}, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(20):
            while not ready.exists() and process.returncode is None:
                await asyncio.sleep(0.02)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def _some_results(rest: Rest, id: str) -> None:
    async with asyncio.timeout(10):
        while not (await rest.results(id, limit=1))["results"]:
            await asyncio.sleep(0.01)


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    """The lab at a round trip that makes a task last some seconds."""
    async with Lab(delay_seconds=0.05) as running:
        yield running


async def test_a_killed_worker_costs_no_address_and_doubles_none(
    sandbox: Rest, env: dict[str, str], tmp_path: Path
) -> None:
    async with _worker(env, tmp_path / "first") as first:
        task = await sandbox.create(EMAILS)
        await _some_results(sandbox, task["id"])
        first.send_signal(signal.SIGKILL)
        await first.wait()
    at_kill = (await sandbox.task(task["id"]))["metrics"]["job_status"]
    assert at_kill["completed"] < len(EMAILS)
    assert at_kill["processing"] > 0
    async with _worker(env, tmp_path / "second"):
        await sandbox.finished(task["id"], seconds=25)
    results = await sandbox.all_results(task["id"])
    assert sorted(result["email"] for result in results) == sorted(EMAILS)
    assert [result["seq"] for result in results] == list(range(1, len(EMAILS) + 1))
    statuses = {(result["email"].partition("+")[0], result["status"]) for result in results}
    assert statuses == {("alice", "exists"), ("nobody", "not_exists"), ("alice", "catchall"), ("nobody", "catchall")}


async def test_a_worker_that_is_told_to_stop_gives_back_what_it_has_at_once(
    sandbox: Rest, env: dict[str, str], tmp_path: Path
) -> None:
    async with _worker(env, tmp_path / "first") as first, _worker(env, tmp_path / "second"):
        task = await sandbox.create(EMAILS)
        await _some_results(sandbox, task["id"])
        told = time.monotonic()
        first.send_signal(signal.SIGTERM)
        assert await first.wait() == 0
        assert time.monotonic() - told < 5
        await sandbox.finished(task["id"], seconds=15)
    assert len(await sandbox.all_results(task["id"])) == len(EMAILS)


async def test_a_worker_that_loses_its_database_begins_anew_when_it_is_back(
    sandbox: Rest, env: dict[str, str], postgres_server_url: str, tmp_path: Path
) -> None:
    name = env["VERIFIER_DATABASE_URL"].partition("?")[0].rpartition("/")[2]
    server = await asyncpg.connect(postgres_server_url)
    async with _worker(env, tmp_path / "ready") as worker:
        task = await sandbox.create(EMAILS)
        await _some_results(sandbox, task["id"])
        await server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
        assert worker.stderr is not None
        async with asyncio.timeout(15):
            while b"the worker waits for PostgreSQL" not in await worker.stderr.readline():
                assert worker.returncode is None
        await sandbox.finished(task["id"], seconds=25)
        assert len(await sandbox.all_results(task["id"])) == len(EMAILS)
        worker.send_signal(signal.SIGTERM)
        assert await worker.wait() == 0
    await server.close()


async def test_a_worker_whose_database_does_not_come_back_can_be_stopped(
    env: dict[str, str], postgres_server_url: str, tmp_path: Path
) -> None:
    async with _worker(env, tmp_path / "ready") as worker:
        connection = await asyncpg.connect(postgres_server_url)
        name = env["VERIFIER_DATABASE_URL"].partition("?")[0].rpartition("/")[2]
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await connection.close()
        async with asyncio.timeout(15):
            assert worker.stderr is not None
            while b"the worker waits for PostgreSQL" not in await worker.stderr.readline():
                pass
            worker.send_signal(signal.SIGTERM)
            assert await worker.wait() == 0


async def test_a_worker_that_never_had_a_database_says_so_and_exits(env: dict[str, str], tmp_path: Path) -> None:
    away = {"VERIFIER_DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none"}
    async with _worker(env | away, tmp_path / "ready") as worker:
        _, said = await worker.communicate()
    assert worker.returncode == 1
    assert "VERIFIER_DATABASE_URL cannot be reached" in said.decode().splitlines()[-1]


async def test_a_worker_with_bad_settings_names_every_problem(tmp_path: Path) -> None:
    env = {"VERIFIER_DATABASE_URL": "mysql://x", "VERIFIER_CONCURRENCY": "many", "VERIFIER_ZONES": "nonsense"}
    async with _worker(env, tmp_path / "ready") as worker:
        _, said = await worker.communicate()
    assert worker.returncode == 2
    assert {line.partition(":")[0] for line in said.decode().splitlines()} == set(env)
