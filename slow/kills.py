"""kill -9 of workers at random moments: each address one verdict, written once; bounded attempts; nothing stuck.

`uv run -m slow.kills [--kills 100] [--everything] [--seed N]`: `--everything` kills the REST process and PostgreSQL's
own processes, too. Exit status 1 where anything is not as it should be.
"""

import argparse
import asyncio
import contextlib
import os
import random
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import httpx

from slow import machine
from slow.machine import Machine

WORKERS = 3
TASK = 3000
STUCK_SECONDS = 60.0
DRAIN_SECONDS = 120.0
PAUSE_SECONDS_MAX = 1.6
READY_SECONDS = 30.0
STATUSES = ("exists", "not_exists", "catchall", "invalid_syntax", "unknown")


@dataclass(slots=True)
class Seen:
    """What was seen on the way."""

    kills: Counter[str] = field(default_factory=Counter)
    false_starts: int = 0
    quiet_seconds: float = 0.0
    in_hand: list[int] = field(default_factory=list)


def emails(number: int, domains: int) -> list[str]:
    """Return a list with every kind of address: known, unknown, malformed, twice the same, a name without mail."""
    plain = [f"{'alice' if n % 2 else 'nobody'}+{number}.{n}@d{n % domains}.mailverdict.test" for n in range(TASK - 4)]
    return [*plain, "nonsense", "nonsense", plain[0], f"alice@none-{number}.mailverdict.test"]


async def kill(running: Machine, seen: Seen, arguments: argparse.Namespace, rng: random.Random) -> None:
    """Kill one process after the other, each at a random moment, and start it again, as a supervisor would."""
    kinds = ["worker"] * 6 + (["rest"] * 2 + ["postgres"] if arguments.everything else [])
    while seen.kills.total() < arguments.kills:
        await asyncio.sleep(rng.uniform(0.05, PAUSE_SECONDS_MAX))
        kind = rng.choice(kinds)
        seen.in_hand.append(await lasting(running, "SELECT count(*) FROM pgqueuer WHERE status = 'picked'"))
        if kind == "worker":
            await machine.stop(rng.choice(running.workers), signal.SIGKILL)
        elif kind == "rest":
            await machine.stop(running.rest, signal.SIGKILL)
            await running.restart_rest()
        else:
            pids = "SELECT array_agg(pid) FROM pg_stat_activity WHERE application_name = 'verifier'"
            if backends := await lasting(running, pids):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(rng.choice(backends), signal.SIGKILL)
        seen.kills[kind] += 1
        await start_again(running, seen)
        if seen.kills.total() % 10 == 0:
            print(f"{seen.kills.total()} kills", flush=True)


async def start_again(running: Machine, seen: Seen) -> None:
    """Start workers for those that are gone; one that finds no database goes again, and is started once more."""
    await asyncio.sleep(0.1)
    for worker in [worker for worker in running.workers if worker.returncode is not None]:
        running.workers.remove(worker)
    while len(running.workers) < WORKERS:
        try:
            await running.start_worker()
        except RuntimeError:
            seen.false_starts += 1
            running.workers.pop()
            await asyncio.sleep(0.2)


async def lasting(running: Machine, query: str, *arguments: object) -> Any:  # noqa: ANN401 - asyncpg is untyped
    """Ask the database, again where it is just recovering."""
    async with asyncio.timeout(READY_SECONDS):
        while True:
            try:
                return await running.database.fetchval(query, *arguments)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await asyncio.sleep(0.1)


async def created(running: Machine, asked: list[str], key: str) -> str:
    """Make a task, again under the same key where the answer is lost."""
    async with asyncio.timeout(READY_SECONDS):
        while True:
            try:
                return await running.create(asked, {"Idempotency-Key": key})
            except httpx.HTTPError:
                await asyncio.sleep(0.1)


async def watch(running: Machine, seen: Seen) -> None:
    """Note the longest time that a due chunk was left untouched."""
    while True:
        await asyncio.sleep(1)
        quiet = await lasting(
            running,
            """
            SELECT coalesce(max(extract(epoch FROM now() - greatest(updated_at, not_before))), 0)::float
            FROM chunk WHERE state = 'running' AND not_before <= now()
            """,
        )
        seen.quiet_seconds = max(seen.quiet_seconds, quiet)


async def feed(running: Machine, until: asyncio.Task[None], domains: int) -> dict[str, list[str]]:
    """Keep two tasks open until the kills are over; return what each was asked."""
    tasks: dict[str, list[str]] = {}
    while not until.done():
        left = await lasting(running, "SELECT count(*) FROM task WHERE finished_at IS NULL")
        if left < 2:
            asked = emails(len(tasks), domains)
            tasks[await created(running, asked, str(len(tasks)))] = asked
        await asyncio.sleep(0.2)
    until.result()
    return tasks


async def faults(running: Machine, tasks: dict[str, list[str]], seen: Seen) -> list[str]:
    """Return what is not as it should be."""
    found: list[str] = []
    for id, asked in tasks.items():
        results = await running.results(id)
        if Counter(result["email"] for result in results) != Counter(asked):
            found.append(f"task {id}: {len(results)} results for {len(asked)} addresses, or others")
        if [result["seq"] for result in results] != list(range(1, len(asked) + 1)):
            found.append(f"task {id}: sequence numbers are not 1 to {len(asked)}")
        counted = (await running.task(id))["metrics"]
        statuses = Counter(result["status"] for result in results)
        found += [
            f"task {id}: {count} of {status} counted, there are {statuses[status]}"
            for status, count in counted["verification_status"].items()
            if status in STATUSES and count != statuses[status]
        ]
        for result in results:
            wanted = _wanted(result["email"])
            if result["status"] not in wanted:
                found.append(f"{result['email']}: {result['status']} ({result['reason']})")
    if seen.quiet_seconds > STUCK_SECONDS:
        found.append(f"a chunk lay for {seen.quiet_seconds:.0f} s")
    return found


def _wanted(email: str) -> tuple[str, ...]:
    if "@" not in email:
        return ("invalid_syntax",)
    if "@none" in email or email.startswith("nobody"):
        return ("not_exists",)
    return ("exists",)


async def run(arguments: argparse.Namespace) -> int:
    """Kill, wait for the end, judge and print figures; return the exit status."""
    rng = random.Random(arguments.seed)
    lab = ["--hosts", "20", "--domains", str(arguments.domains), "--delay-ms", "20"]
    if arguments.greylist_seconds:
        lab += ["--greylist-seconds", str(arguments.greylist_seconds)]
    seen = Seen()
    async with machine.running(workers=WORKERS, lab=lab) as running:
        begun = time.monotonic()
        watching = asyncio.create_task(watch(running, seen))
        tasks = await feed(running, asyncio.create_task(kill(running, seen, arguments, rng)), arguments.domains)
        killed_seconds = time.monotonic() - begun
        begun = time.monotonic()
        await start_again(running, seen)
        for id in tasks:
            await running.finished(id, seconds=DRAIN_SECONDS)
        drained_seconds = time.monotonic() - begun
        watching.cancel()
        found = await faults(running, tasks, seen)
        attempts = await running.database.fetch("SELECT attempt, count(*) FROM chunk GROUP BY 1 ORDER BY 1")
        stalls = await running.database.fetchval("SELECT max(stalls) FROM chunk")
        failed = await running.database.fetchval("SELECT sum(failed) FROM task")
        held = await running.database.fetchval("SELECT count(*) FROM pgqueuer WHERE status = 'failed'")
    addresses = sum(map(len, tasks.values()))
    print(
        f"{dict(seen.kills)} kills in {killed_seconds:.0f} s, {WORKERS} workers, {len(tasks)} tasks"
        f" of {addresses} addresses; starts in vain: {seen.false_starts}"
    )
    print(f"jobs in hand at a kill: {sum(seen.in_hand) / max(len(seen.in_hand), 1):.0f} on average, of all workers")
    print(f"after the last kill everything was done in {drained_seconds:.1f} s")
    print("chunks by attempts: " + ", ".join(f"{attempt}: {count}" for attempt, count in attempts))
    print(f"attempts without progress: at most {stalls}; addresses given up: {failed}; failed jobs: {held}")
    print(f"longest time that a chunk in work was left alone: {seen.quiet_seconds:.1f} s")
    for fault in found[:20]:
        print("WRONG:", fault)
    print("all right" if not found else f"{len(found)} faults")
    return 1 if found else 0


def main() -> int:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--everything", action="store_true")
    parser.add_argument("--domains", type=int, default=60)
    parser.add_argument("--greylist-seconds", type=float, default=None)
    parser.add_argument("--seed", type=int, default=time.time_ns())
    return asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
