"""kill -9 of workers at random moments: each address one verdict, written once; bounded attempts; nothing stuck.

`uv run -m slow.kills [--kills 100] [--seed N]`. Exit status 1 where anything is not as it should be.
"""

import argparse
import asyncio
import random
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

from slow import machine
from slow.machine import Machine

WORKERS = 3
TASK = 3000
STUCK_SECONDS = 60.0
DRAIN_SECONDS = 120.0
PAUSE_SECONDS_MAX = 1.6
STATUSES = ("exists", "not_exists", "catchall", "invalid_syntax", "unknown")


@dataclass(slots=True)
class Seen:
    """What was seen on the way."""

    kills: int = 0
    quiet_seconds: float = 0.0
    in_hand: list[int] = field(default_factory=list)


def emails(number: int, domains: int) -> list[str]:
    """Return a list with every kind of address: known, unknown, malformed, twice the same, a name without mail."""
    plain = [f"{'alice' if n % 2 else 'nobody'}+{number}.{n}@d{n % domains}.mailverdict.test" for n in range(TASK - 4)]
    return [*plain, "nonsense", "nonsense", plain[0], f"alice@none-{number}.mailverdict.test"]


async def kill(running: Machine, seen: Seen, kills: int, rng: random.Random) -> None:
    """Kill one worker after the other, each at a random moment, and start another in its place."""
    while seen.kills < kills:
        await asyncio.sleep(rng.uniform(0.05, PAUSE_SECONDS_MAX))
        victim = rng.choice(running.workers)
        seen.in_hand.append(await running.database.fetchval("SELECT count(*) FROM pgqueuer WHERE status = 'picked'"))
        victim.send_signal(signal.SIGKILL)
        await victim.wait()
        running.workers.remove(victim)
        seen.kills += 1
        await running.start_worker()
        if seen.kills % 10 == 0:
            print(f"{seen.kills} kills", flush=True)


async def watch(running: Machine, seen: Seen) -> None:
    """Note the longest time that a due chunk was left untouched."""
    while True:
        await asyncio.sleep(1)
        quiet = await running.database.fetchval(
            """
            SELECT coalesce(max(extract(epoch FROM now() - greatest(updated_at, not_before))), 0)::float
            FROM chunk WHERE state = 'running' AND not_before <= now()
            """
        )
        seen.quiet_seconds = max(seen.quiet_seconds, quiet)


async def feed(running: Machine, until: asyncio.Task[None], domains: int) -> dict[str, list[str]]:
    """Keep two tasks open until the kills are over; return what each was asked."""
    tasks: dict[str, list[str]] = {}
    while not until.done():
        left = await running.database.fetchval("SELECT count(*) FROM task WHERE finished_at IS NULL")
        if left < 2:
            asked = emails(len(tasks), domains)
            tasks[await running.create(asked)] = asked
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
        tasks = await feed(running, asyncio.create_task(kill(running, seen, arguments.kills, rng)), arguments.domains)
        killed_seconds = time.monotonic() - begun
        begun = time.monotonic()
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
    print(f"{seen.kills} kills in {killed_seconds:.0f} s, {WORKERS} workers, {len(tasks)} tasks, {addresses} addresses")
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
    parser.add_argument("--domains", type=int, default=60)
    parser.add_argument("--greylist-seconds", type=float, default=None)
    parser.add_argument("--seed", type=int, default=time.time_ns())
    return asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
