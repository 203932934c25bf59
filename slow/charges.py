"""kill -9 of the service during tasks: afterwards each address has one verdict, and each credit is accounted for.

`uv run -m slow.charges [--kills 300] [--seed N]`: the worker, the API, or both are killed at random moments and started
again, while tasks are made, cancelled and paid for, and credits are deducted and added under keys that are repeated
until there is an answer. Then what was charged is counted anew from the verdicts, from the entries of the ledger, and
from what the clients were told. Exit status 1 where anything differs.
"""

import argparse
import asyncio
import multiprocessing
import os
import random
import socket
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from app import production
from app.settings import Settings
from slow import machine
from slow.machine import Machine

FORKS = multiprocessing.get_context("forkserver")
"""Starts processes in milliseconds: they are born with every module loaded, and open the rest for themselves."""
FORKS.set_forkserver_preload(["app.production", "slow.machine"])
TASK = 300
DOMAINS = 60
OPEN_TASKS = 12
LIFE_SECONDS_MAX = 1.6
ANSWER_SECONDS = 60.0
DRAIN_SECONDS = 240.0
SIGN_UP = "mutation($input: SignUpInput!) { signUp(input: $input) { tokens { accessToken } userErrors { message } } }"
CREATE = "mutation($input: CreateTaskInput!) { createTask(input: $input) { task { id } userErrors { code } } }"
CANCEL = "mutation($input: CancelTaskInput!) { cancelTask(input: $input) { task { id } userErrors { code } } }"
MOVE = "mutation($input: %sTokensInput!) { %sTokens(input: $input) { transaction { amount } userErrors { code } } }"
CREDITS = "{ credits { balance reserved } }"


@dataclass(slots=True)
class Service:
    """The API and the worker as processes, with what they need to be started again."""

    log: Path
    env: dict[str, str]
    database: asyncpg.Pool
    rng: random.Random
    api: ForkServerProcess | None = None
    worker: ForkServerProcess | None = None
    kills: Counter[str] = field(default_factory=Counter)
    in_hand: list[int] = field(default_factory=list)

    def start_api(self) -> None:
        """Start the API; clients try until it answers."""
        self.api = FORKS.Process(target=serve, args=(self.env, self.log))
        self.api.start()

    async def start_worker(self) -> None:
        """Start the worker and wait until its heart beats."""
        beats = "SELECT count(*) FROM worker_heartbeat"
        before = await self.database.fetchval(beats)
        self.worker = FORKS.Process(target=work, args=(self.env, self.log))
        self.worker.start()
        async with asyncio.timeout(ANSWER_SECONDS):
            while await self.database.fetchval(beats) == before:  # noqa: ASYNC110 - another process' doing
                await asyncio.sleep(0.02)

    async def end(self, process: ForkServerProcess | None) -> None:
        """Kill a process: nothing of it runs on."""
        if process is not None:
            process.kill()
            await asyncio.to_thread(process.join)

    async def stop(self) -> None:
        """End both."""
        await self.end(self.api)
        await self.end(self.worker)

    async def kill(self, total: int) -> None:
        """Kill so many times, each at a random moment of a worker's life, and start again."""
        while self.kills.total() < total:
            await asyncio.sleep(self.rng.uniform(0.0, LIFE_SECONDS_MAX))
            leased = "SELECT count(*) FROM task_part WHERE state <> 'ENDED' AND due_at > now() + interval '20 s'"
            self.in_hand.append(await self.database.fetchval(leased))
            kind = self.rng.choice(["worker"] * 6 + ["API"] * 2 + ["both"] * 2)
            if kind != "worker":
                await self.end(self.api)
                self.start_api()
            if kind != "API":
                await self.end(self.worker)
                await self.start_worker()
            self.kills[kind] += 1
            if self.kills.total() % 10 == 0:
                ended = await self.database.fetchval("SELECT count(*) FROM task WHERE finished_at IS NOT NULL")
                print(f"{self.kills.total()} kills, {ended} tasks ended", flush=True)


def serve(env: dict[str, str], log: Path) -> None:
    """Run the API, as a process of its own."""
    _speak_to(log)
    asyncio.run(production.serve(Settings.from_env(env)))


def work(env: dict[str, str], log: Path) -> None:
    """Run the worker, as a process of its own."""
    _speak_to(log)
    asyncio.run(production.work(Settings.from_env(env)))


def _speak_to(log: Path) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for standard in (1, 2):
        os.dup2(descriptor, standard)


@dataclass(slots=True)
class Owner:
    """An account, what it did, and what it was told of that."""

    number: int
    http: httpx.AsyncClient
    rng: random.Random
    headers: dict[str, str] = field(default_factory=dict)
    task_ids: list[str] = field(default_factory=list)
    granted: int = 0
    deducted: int = 0

    async def ask(self, query: str, **variables: Any) -> dict[str, Any]:  # noqa: ANN401 - GraphQL variables
        """Ask until there is an answer; the first field of it."""
        until, told = time.monotonic() + ANSWER_SECONDS, ""
        while time.monotonic() < until:
            try:
                body = {"query": query, "variables": variables}
                response = await self.http.post("/graphql", json=body, headers=self.headers)
                told = response.text
                if response.status_code == httpx.codes.OK and "errors" not in response.json():
                    (payload,) = response.json()["data"].values()
                    return dict(payload)
            except httpx.HTTPError as error:
                told = repr(error)
            await asyncio.sleep(0.1)
        raise RuntimeError(f"no answer to {query}: {told}")

    async def sign_up(self) -> None:
        """Make the account; it begins with credits."""
        given = {"email": f"owner{self.number}@example.com", "password": "a long enough password"}
        tokens = (await self.ask(SIGN_UP, input=given))["tokens"]
        self.headers = {"Authorization": f"Bearer {tokens['accessToken']}"}
        self.granted = (await self.ask(CREDITS))["balance"]

    async def live(self, service: Service, killing: asyncio.Task[None]) -> None:
        """Make tasks, cancel some, deduct and add, until the killing is over."""
        turn = 0
        while not killing.done():
            turn += 1
            open_tasks = "SELECT count(*) FROM task WHERE finished_at IS NULL"
            if await service.database.fetchval(open_tasks) < OPEN_TASKS:
                given = {"emails": emails(self.number, turn), "idempotencyKey": f"task-{turn}"}
                self.task_ids.append((await self.ask(CREATE, input=given))["task"]["id"])
            if self.task_ids and self.rng.random() < 0.05:
                await self.ask(CANCEL, input={"taskId": self.rng.choice(self.task_ids)})
            self.deducted -= await self.move("deduct", turn)
            if self.rng.random() < 0.3:
                self.granted += await self.move("add", turn)
            await asyncio.sleep(self.rng.uniform(0.0, 0.5))

    async def move(self, what: str, turn: int) -> int:
        """Move credits by hand; how the balance changed."""
        query = MOVE % (what.title(), what)
        given = {"amount": self.rng.randint(1, 50), "note": "slow", "idempotencyKey": f"{what}-{turn}"}
        amount: int = (await self.ask(query, input=given))["transaction"]["amount"]
        return amount


def emails(owner: int, turn: int) -> list[str]:
    """Return a list with every kind of address: known, unknown, malformed, twice the same, a name without mail."""
    of = f"{owner}.{turn}"
    plain = [f"{'alice' if n % 2 else 'nobody'}+{of}.{n}@d{n % DOMAINS}.mailverdict.test" for n in range(TASK - 4)]
    return [*plain, "nonsense", "nonsense", plain[0], f"alice@none-{of}.mailverdict.test"]


FAULTS = {
    "an invariant of the ledger is broken": "SELECT subject_id::text || ': ' || problem FROM credit_violation",
    "a task has not ended": "SELECT id::text FROM task WHERE status NOT IN ('COMPLETED', 'CANCELED')",
    "an address of a completed task has no verdict": """
        SELECT a.email FROM task t JOIN task_address a ON a.task_id = t.id
        WHERE t.status = 'COMPLETED' AND a.verdict IS NULL""",
    "a verdict is not the true one": """
        SELECT coalesce(email, 'malformed') || ': ' || verdict FROM task_address
        WHERE verdict <> CASE WHEN email IS NULL THEN 'INVALID_SYNTAX'
            WHEN email LIKE 'nobody%' OR email LIKE '%@none-%' THEN 'NOT_EXISTS' ELSE 'EXISTS' END""",
    "verdicts, their counter, transactions and entries of a task differ": """
        SELECT t.id || ': ' || found.count || ', ' || t.chargeable_count || ', ' || spent.total || ', ' || paid.total
        FROM task t,
        LATERAL (SELECT count(*) FROM task_address
            WHERE task_id = t.id AND verdict IN ('EXISTS', 'NOT_EXISTS', 'CATCHALL')) found,
        LATERAL (SELECT -coalesce(sum(amount), 0) AS total FROM credit_transaction
            WHERE task_id = t.id AND kind = 'SPENT') spent,
        LATERAL (SELECT coalesce(sum(e.amount), 0) AS total FROM credit_transaction c
            JOIN credit_entry e ON e.transaction_id = c.id AND e.ledger = 'REVENUE' WHERE c.task_id = t.id) paid
        WHERE NOT (found.count = t.chargeable_count AND spent.total = found.count AND paid.total = found.count)""",
    "credits are still set aside": "SELECT task_id::text FROM credit_hold WHERE closed_at IS NULL",
}
"""What would be wrong, and the SQL that finds it."""

BALANCES = """
SELECT p.email, a.balance, a.held,
    (SELECT sum(e.amount) FROM credit_entry e JOIN credit_transaction c ON c.id = e.transaction_id
        WHERE c.account_id = a.account_id AND e.ledger IN ('USER', 'HELD')) AS by_entries,
    (SELECT coalesce(sum(chargeable_count), 0) FROM task t WHERE t.account_id = a.account_id) AS charged
FROM credit_account a JOIN account p ON p.id = a.account_id
"""


async def faults(service: Service, owners: list[Owner]) -> list[str]:
    """Return what is not as it should be."""
    found = [f"{what}: {row[0]}" for what, query in FAULTS.items() for row in await service.database.fetch(query)]
    rows = {row["email"]: row for row in await service.database.fetch(BALANCES)}
    for owner in owners:
        row = rows[f"owner{owner.number}@example.com"]
        told = owner.granted - owner.deducted - row["charged"]
        if not row["balance"] == row["by_entries"] == told or row["held"]:
            found.append(f"{row['email']}: {row['balance']} kept, {row['by_entries']} by entries, {told} as told")
    made = await service.database.fetchval("SELECT count(*) FROM task")
    if made != sum(len(owner.task_ids) for owner in owners):
        found.append(f"{made} tasks, their owners know another number")
    return found


async def open_service(held: AsyncExitStack, running: Machine, rng: random.Random) -> Service:
    """Make the service's database beside the verifier's, and start the API and the worker on it."""
    connection = await asyncpg.connect(running.env["VERIFIER_DATABASE_URL"])
    await connection.execute("CREATE DATABASE service")
    await connection.close()
    url = running.env["VERIFIER_DATABASE_URL"].replace("/verifier?", "/service?")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {
        "DATABASE_URL": url,
        "PORT": str(port),
        "SECRET_KEY": "the-secret-of-slow-proofs-0123456789abcdef",
        "UPSTREAM_URL": str(running.client.base_url).rstrip("/"),
        "UPSTREAM_KEY": machine.KEY,
        "DATA_DIR": str(running.folder / "data"),
    }
    migrating = await machine.start(running.folder, "app-migrate", ["-m", "app", "migrate"], env)
    if await migrating.wait():
        raise RuntimeError((running.folder / "app-migrate.log").read_text())
    database = await asyncpg.create_pool(url, min_size=0, max_size=4)
    held.callback(database.terminate)
    service = Service(running.folder / "service.log", env, database, rng)
    held.push_async_callback(service.stop)
    service.start_api()
    await service.start_worker()
    return service


async def run(arguments: argparse.Namespace) -> int:
    """Kill, wait for the end, judge and print figures; return the exit status."""
    rng = random.Random(arguments.seed)
    lab = ["--hosts", "20", "--domains", str(DOMAINS), "--delay-ms", "20"]
    async with machine.running(workers=1, lab=lab) as running, AsyncExitStack() as held:
        service = await open_service(held, running, rng)
        url = f"http://127.0.0.1:{service.env['PORT']}"
        http = await held.enter_async_context(httpx.AsyncClient(base_url=url, timeout=10, trust_env=False))
        owners = [Owner(number, http, random.Random(rng.random())) for number in range(3)]
        for owner in owners:
            await owner.sign_up()
        begun = time.monotonic()
        killing = asyncio.create_task(service.kill(arguments.kills))
        await asyncio.gather(killing, *(owner.live(service, killing) for owner in owners))
        killed_seconds = time.monotonic() - begun
        async with asyncio.timeout(DRAIN_SECONDS):
            while await service.database.fetchval("SELECT count(*) FROM task WHERE finished_at IS NULL"):  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.2)
        drained_seconds = time.monotonic() - begun - killed_seconds
        await service.stop()
        found = await faults(service, owners)
        counts = await service.database.fetchrow(
            """
            SELECT (SELECT count(*) FROM task WHERE status = 'COMPLETED') AS completed,
                (SELECT count(*) FROM task WHERE status = 'CANCELED') AS canceled,
                (SELECT count(*) FROM task_address) AS addresses,
                (SELECT sum(chargeable_count) FROM task) AS charged,
                (SELECT count(*) FROM credit_transaction) AS transactions,
                (SELECT count(*) FROM credit_entry) AS entries
            """
        )
    print(
        f"{dict(service.kills)} kills in {killed_seconds:.0f} s; parts in hand at a kill: "
        f"{sum(service.in_hand) / len(service.in_hand):.1f} on average; drained in {drained_seconds:.0f} s"
    )
    print(f"{counts['completed']} tasks completed, {counts['canceled']} cancelled, {counts['addresses']} addresses,")
    print(f"{counts['charged']} credits charged; {counts['transactions']} transactions of {counts['entries']} entries")
    for fault in found[:20]:
        print("WRONG:", fault)
    print("all right" if not found else f"{len(found)} faults")
    return 1 if found else 0


def main() -> int:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=time.time_ns())
    return asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
