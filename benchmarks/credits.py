"""Measures spends of one account beside a bare UPDATE of one row by pgbench, and mixed operations of many at once."""

import argparse
import asyncio
import platform
import random
import re
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # started by its path

from app import postgres_binaries
from app.devdb import DevCluster
from benchmarks import machine
from db import ids, migrations
from db.models import CreditTransactionKind, Task, UserRole
from db.session import Database
from services import billing, credits
from services.actor import Actor
from services.changes import Request
from services.errors import InsufficientCredits
from services.till import Till

BAR = 0.4
RICH = 1_000_000_000
UPDATE = "UPDATE credit_account SET balance = balance - 1 WHERE account_id = '{}' AND balance > 0;\n"
OPERATIONS = ("grant", "deduct", "hold", "settle", "release", "charge back", "expire")
WEIGHTS = (3, 5, 4, 5, 3, 1, 1)


async def main(given: argparse.Namespace) -> int:
    """Measure and print; returns 1 when a bar is missed."""
    folder = Path(tempfile.mkdtemp(prefix="credits-"))
    folder.chmod(0o711)  # the server's user may pass
    with DevCluster(folder / "cluster") as cluster:
        connection = await asyncpg.connect(cluster.url("postgres"))
        server = str(connection.get_server_version().major)
        for name in ("mailverdict", "verifier"):  # two empty databases that the cluster comes with
            await asyncio.to_thread(migrations.upgrade, cluster.url(name))
        await connection.close()
        packages = ", ".join(f"{name} {version(name)}" for name in ("asyncpg", "sqlalchemy", "uvloop"))
        print(f"machine   {machine.described()}")
        print(f"versions  Python {platform.python_version()}, PostgreSQL {server} (durable), {packages}\n")
        is_met = await compare(cluster, folder, given)
        is_sound = await mix(cluster, given)
    cluster.remove()
    return 0 if is_met and is_sound else 1


async def compare(cluster: DevCluster, folder: Path, given: argparse.Namespace) -> bool:
    """Run pgbench and our spends in turns, each in a database of its own."""
    bare, ours = cluster.url("verifier"), cluster.url("mailverdict")
    script = folder / "update.sql"
    script.write_text(UPDATE.format(await rich(bare)))
    actor = Actor(await rich(ours), UserRole.MEMBER)
    spenders: dict[str, Callable[[], Awaitable[float]]] = {
        "pgbench, bare UPDATE": lambda: pgbench(bare, script, given),
        "deductTokens": lambda: spends(ours, actor, given, tills=1),
        "deductTokens by two tills, as two processes": lambda: spends(ours, actor, given, tills=2),
        "credits.deduct, each its own transaction": lambda: spends(ours, actor, given, tills=0),
    }
    rates: dict[str, list[float]] = {name: [] for name in spenders}
    for _ in range(given.rounds):
        for name, spend in spenders.items():
            rates[name].append(await spend())
    print(f"spends of one account, {given.clients} clients, {given.seconds} s each; medians of {given.rounds} runs")
    first = statistics.median(rates["pgbench, bare UPDATE"])
    for name, found in rates.items():
        median = statistics.median(found)
        span = f"{min(found):.0f}-{max(found):.0f}"
        print(f"{name:<46}{median:>8.0f}/s{span:>14}{median / first:>8.2f} of pgbench")
    turns = zip(rates["deductTokens"], rates["pgbench, bare UPDATE"], strict=True)
    ratio = statistics.median(one / other for one, other in turns)
    violations = await faults(ours)
    print(f"{_met(ratio >= BAR)} deductTokens against pgbench, turn by turn: {ratio:.2f} (bar: {BAR})")
    print(f"{_met(not violations)} rows of credit_violation: {violations}\n", flush=True)
    return ratio >= BAR and not violations


async def rich(url: str) -> UUID:
    """Make an account that is not used up."""
    db = await Database.open(url)
    account_id = ids.new_uuid()
    async with db.transaction() as session:
        await credits.grant(session, account_id, RICH, Request("rich", ()), datetime.now(UTC))
    await db.close()
    return account_id


async def pgbench(url: str, script: Path, given: argparse.Namespace) -> float:
    """Transactions a second of PostgreSQL's own benchmark, with prepared statements and two threads."""
    program = next(postgres_binaries.installations()).bin / "pgbench"
    options = ["--no-vacuum", "--protocol=prepared", f"--client={given.clients}", "--jobs=2"]
    running = await asyncio.create_subprocess_exec(
        program, *options, f"--time={given.seconds}", f"--file={script}", url,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, errors = await running.communicate()
    found = re.search(rb"tps = ([0-9.]+)", output)
    if running.returncode or found is None:
        sys.exit(errors.decode())
    return float(found[1])


async def spends(url: str, actor: Actor, given: argparse.Namespace, *, tills: int) -> float:
    """Spends a second: the use-case behind `deductTokens`, or without tills a transaction for each spend."""
    db = await Database.open(url, pool_size=given.clients)
    shared = [Till(db) for _ in range(tills)]
    until = time.monotonic() + given.seconds

    async def spend(till: Till | None) -> None:
        key, now = str(ids.new_uuid()), datetime.now(UTC)
        if till is not None:
            await billing.take(
                db, till, actor, account_id=None, amount=1, note="benchmark", idempotency_key=key, now=now
            )
        else:
            async with db.transaction() as session:
                await credits.deduct(session, actor.account_id, 1, Request(key, ()), now)

    async def client(number: int) -> int:
        till = shared[number % tills] if tills else None
        done = 0
        while time.monotonic() < until:
            await spend(till)
            done += 1
        return done

    done = sum(await asyncio.gather(*map(client, range(given.clients))))
    await db.close()
    return done / int(given.seconds)


@dataclass(slots=True)
class Mixed:
    """Accounts, open tasks, and what was done with them."""

    db: Database
    till: Till
    account_ids: list[UUID]
    chance: random.Random
    tasks: list[Task] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)

    async def one(self, operation: str) -> None:
        """Do one thing; too few credits are an answer, too."""
        account_id, amount = self.chance.choice(self.account_ids), self.chance.randint(1, 20)
        now = datetime.now(UTC)
        try:
            async with self._own_task(operation) as task:
                await self._do(operation, account_id, amount, task, now)
            self.done[operation] += 1
        except InsufficientCredits:
            self.refused[operation] += 1

    @asynccontextmanager
    async def _own_task(self, operation: str) -> Any:  # noqa: ANN401 - an async generator of Task | None
        """A task for itself, as who holds its row has it."""
        if operation not in {"settle", "release"} or not self.tasks:
            yield None
            return
        task = self.tasks.pop(self.chance.randrange(len(self.tasks)))
        yield task
        if operation == "settle":
            self.tasks.append(task)

    async def _do(self, operation: str, account_id: UUID, amount: int, task: Task | None, now: datetime) -> None:
        request = Request(f"{operation}:{ids.new_uuid()}", ())
        if operation == "expire":
            await credits.expire_due(self.db, now)
            return
        if operation == "deduct" and self.chance.random() < 0.5:
            await self.till.take(account_id, credits.deduction(amount, request, now))
            return
        async with self.db.transaction() as session:
            if operation == "grant":
                after = timedelta(seconds=self.chance.choice([0.5, 2, 3600]))
                await credits.grant(session, account_id, 5 * amount, request, now, expires_at=now + after)
            elif operation == "deduct":
                await credits.deduct(session, account_id, amount, request, now, kind=CreditTransactionKind.SPENT)
            elif operation == "charge back":
                await credits.charge_back(session, account_id, amount, request, now)
            elif task is not None and operation == "release":
                await credits.release(session, task, now)
            elif task is not None and (part := min(amount, task.total_count - task.chargeable_count)):
                await credits.settle(session, task, part, now)
                task.chargeable_count += part
            elif operation == "hold":
                made = Task(id=ids.new_uuid(), account_id=account_id, chargeable_count=0, total_count=3 * amount)
                await credits.hold(session, made, 3 * amount, now)
                self.tasks.append(made)


async def mix(cluster: DevCluster, given: argparse.Namespace) -> bool:
    """Do many things at once on few accounts: nobody waits for ever, nothing is lost."""
    url = cluster.url("mailverdict")
    db = await Database.open(url, pool_size=given.connections)
    chance = random.Random(given.seed)
    mixed = Mixed(db, Till(db), [ids.new_uuid() for _ in range(given.accounts)], chance)
    operations: Iterator[str] = iter(chance.choices(OPERATIONS, WEIGHTS, k=given.operations))

    async def client() -> None:
        for operation in operations:
            await mixed.one(operation)

    began = time.monotonic()
    await asyncio.gather(*(client() for _ in range(given.connections)))
    seconds = time.monotonic() - began
    await db.close()
    connection = await asyncpg.connect(url)
    deadlocks = await connection.fetchval("SELECT sum(deadlocks) FROM pg_stat_database")
    await connection.close()
    violations = await faults(url)
    print(
        f"{given.operations} mixed operations, {given.accounts} accounts, {given.connections} connections:"
        f" {seconds:.1f} s, {given.operations / seconds:.0f}/s; done {dict(mixed.done)}, refused {dict(mixed.refused)}"
    )
    print(f"{_met(not deadlocks)} deadlocks: {deadlocks}")
    print(f"{_met(not violations)} rows of credit_violation: {violations}")
    return not deadlocks and not violations


async def faults(url: str) -> int:
    """How many broken invariants the ledger has."""
    connection = await asyncpg.connect(url)
    count: int = await connection.fetchval("SELECT count(*) FROM credit_violation")
    await connection.close()
    return count


def _whole_seconds(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        message = f"{text!r} is not 1 or more: pgbench runs for whole seconds"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def _met(is_met: bool) -> str:  # noqa: FBT001 - the only thing it is told
    return "met   " if is_met else "MISSED"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=8, help="who spend at the same time (8)")
    parser.add_argument("--seconds", type=_whole_seconds, default=5, help="length of a run (5)")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each, in turns (5)")
    parser.add_argument("--operations", type=int, default=10_000, help="mixed operations (10000)")
    parser.add_argument("--connections", type=int, default=24, help="connections for these (24)")
    parser.add_argument("--accounts", type=int, default=6, help="accounts for these (6)")
    parser.add_argument("--seed", type=int, default=time.time_ns())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.exit(runner.run(main(parser.parse_args())))
