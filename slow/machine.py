"""Everything that a proof needs, as processes of their own: PostgreSQL, the lab, the REST process and workers."""

import asyncio
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import orjson

from verifier.store import migrations
from verifier.tests import postgres

ROOT = Path(__file__).resolve().parent.parent
KEY = "the-service-credential-of-slow-proofs-0123456789"
READY_SECONDS = 30.0
AWAY_PAUSE_SECONDS = 0.2
FINAL_JOBS = ("pending", "processing")

Process = asyncio.subprocess.Process


@dataclass(slots=True)
class Machine:
    """A running verifier. `env` is what workers are started with."""

    folder: Path
    env: dict[str, str]
    client: httpx.AsyncClient
    database: asyncpg.Pool
    rest: Process
    started: int = 0
    workers: list[Process] = field(default_factory=list)

    async def start_worker(self, command: Sequence[str] = ("-m", "verifier", "work")) -> Process:
        """Start one more worker and wait until it is ready."""
        self.started += 1
        ready = self.folder / f"worker-{self.started}.json"
        worker = await start(self.folder, f"worker-{self.started}", [*command, "--ready-file", str(ready)], self.env)
        self.workers.append(worker)
        await until_ready(worker, ready, self.folder / f"worker-{self.started}.log")
        return worker

    async def restart_rest(self) -> None:
        """Start the REST process again, on the port that it had."""
        ready = self.folder / "rest.json"
        ready.unlink()
        env = {**self.env, "VERIFIER_PORT": str(self.client.base_url.port)}
        self.rest = await start(self.folder, "rest", ["-m", "verifier", "serve", "--ready-file", str(ready)], env)
        await until_ready(self.rest, ready, self.folder / "rest.log")

    async def create(self, emails: Sequence[str], headers: dict[str, str] | None = None) -> str:
        """Make a task and return its id."""
        response = await self.client.post("/tasks", json={"emails": list(emails)}, headers=headers)
        response.raise_for_status()
        id: str = response.json()["id"]
        return id

    async def user(self) -> dict[str, str]:
        """Make a user and return the headers that speak for it."""
        made = await self.client.post("/keys", json={"user_id": str(uuid4())})
        made.raise_for_status()
        return {"Authorization": f"Bearer {made.json()['key']}"}

    async def task(self, id: str) -> dict[str, Any]:
        """Return a task as the contract shows it; ask again while PostgreSQL recovers."""
        response = await self.client.get(f"/tasks/{id}")
        while response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            await asyncio.sleep(AWAY_PAUSE_SECONDS)
            response = await self.client.get(f"/tasks/{id}")
        response.raise_for_status()
        task: dict[str, Any] = response.json()
        return task

    async def finished(self, id: str, *, seconds: float, every: float = 0.05) -> dict[str, Any]:
        """Wait for a task's end and return it; raise TimeoutError."""
        async with asyncio.timeout(seconds):
            while True:
                task = await self.task(id)
                jobs = task["metrics"]["job_status"]
                if not any(jobs[name] for name in FINAL_JOBS):
                    return task
                await asyncio.sleep(every)

    async def results(self, id: str) -> list[dict[str, Any]]:
        """Read all results of a task."""
        found: list[dict[str, Any]] = []
        while True:
            response = await self.client.get(f"/tasks/{id}/results", params={"after": len(found), "limit": 5000})
            response.raise_for_status()
            page = response.json()["results"]
            if not page:
                return found
            found += page


async def start(folder: Path, name: str, command: Sequence[str], env: dict[str, str]) -> Process:
    """Start a Python process of ours; its log goes to the folder."""
    settings = [f"{key}={value}" for key, value in env.items()]
    with (folder / f"{name}.log").open("ab") as log:
        return await asyncio.create_subprocess_exec(
            "env", *settings, sys.executable, *command, cwd=ROOT, stdout=log, stderr=log
        )


async def until_ready(process: Process, ready: Path, log: Path) -> dict[str, Any]:
    """Wait for a process' ready file and return what it says."""
    until = time.monotonic() + READY_SECONDS
    while not (said := _read(ready)):
        if process.returncode is not None or time.monotonic() > until:
            raise RuntimeError(f"a process did not start:\n{_read(log).decode(errors='replace')}")
        await asyncio.sleep(0.02)
    facts: dict[str, Any] = orjson.loads(said)
    return facts


def _read(path: Path) -> bytes:
    """Return what a file holds; nothing where there is none yet."""
    return path.read_bytes() if path.exists() else b""


async def stop(process: Process, number: int = signal.SIGTERM) -> None:
    """Stop a process that we started."""
    if process.returncode is None:
        process.send_signal(number)
    await process.wait()


@asynccontextmanager
async def running(
    *, workers: int, lab: Sequence[str] = (), env: dict[str, str] | None = None
) -> AsyncIterator[Machine]:
    """Start everything, with arguments for `slow.internet`; stop it and leave nothing behind."""
    async with AsyncExitStack() as held:
        folder = Path(tempfile.mkdtemp(prefix="slow-"))
        held.callback(shutil.rmtree, folder, ignore_errors=True)
        server = held.enter_context(postgres.cluster(folder, postgres.SAFE))
        connection = await asyncpg.connect(server)
        await connection.execute("CREATE DATABASE verifier")
        await connection.close()
        url = server.replace("/postgres?", "/verifier?")
        await asyncio.to_thread(migrations.upgrade, url)
        lab_ready = folder / "lab.json"
        internet = await start(folder, "lab", ["-m", "slow.internet", *lab, "--ready-file", str(lab_ready)], {})
        held.push_async_callback(stop, internet)
        zone = (await until_ready(internet, lab_ready, folder / "lab.log"))["zone"]
        all_env = {
            "VERIFIER_DATABASE_URL": url,
            "VERIFIER_PORT": "0",
            "VERIFIER_SERVICE_KEY": KEY,
            "VERIFIER_HELO": "verifier.example.com",
            "VERIFIER_ZONES": zone,
            "VERIFIER_LOG_FORMAT": "json",
            **(env or {}),
        }
        rest_ready = folder / "rest.json"
        rest = await start(folder, "rest", ["-m", "verifier", "serve", "--ready-file", str(rest_ready)], all_env)
        try:
            base_url = (await until_ready(rest, rest_ready, folder / "rest.log"))["url"]
        except BaseException:
            await stop(rest)
            raise
        client = await held.enter_async_context(
            httpx.AsyncClient(base_url=base_url, headers={"Authorization": f"Bearer {KEY}"}, timeout=120, verify=False)  # noqa: S501 - loopback
        )
        pool = await asyncpg.create_pool(url, min_size=0, max_size=4)
        held.callback(pool.terminate)
        machine = Machine(folder, all_env, client, pool, rest)
        try:
            for _ in range(workers):
                await machine.start_worker()
            yield machine
        finally:
            for process in (*machine.workers, machine.rest):
                await stop(process)
