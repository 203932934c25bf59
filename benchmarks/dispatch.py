"""Measures the verifier from the list that goes in over REST to the last result that comes out, PostgreSQL included."""

import argparse
import asyncio
import json
import os
import platform
import statistics
import sys
import tempfile
import time
import urllib.parse
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import asyncpg
import httpx

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # started by its path

from app.devdb import DevCluster
from benchmarks import lab, machine, workload

ROOT = Path(__file__).resolve().parent.parent
SERVICE_KEY = "the-service-credential-of-the-benchmark-0123456789"
READY_SECONDS = 60.0
DONE_SECONDS = 300.0
STOP_SECONDS = 15.0
POLL_SECONDS = 0.05
PAGE = 1000
BAR_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Run:
    """One task; seconds begin before the list is sent."""

    accepted_seconds: float
    """Until the task was there."""
    first_seconds: float
    """Until the first result was read."""
    seconds: float
    """Until the last result was read."""
    right: int
    counted: Mapping[str, Any]
    cpu_seconds: Mapping[str, float]
    """Processor time that the task took, by part."""


@asynccontextmanager
async def program(command: str, folder: Path, env: Mapping[str, str]) -> AsyncIterator[dict[str, Any]]:
    """Run `python -m verifier <command>` until the block ends; gives what its ready file says."""
    ready = Path(tempfile.mkdtemp(dir=folder)) / "ready"
    with ready.with_name("log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "verifier", command, "--ready-file", ready,
            cwd=ROOT, env={**os.environ, **env}, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + READY_SECONDS
        while not ready.exists():
            if process.returncode is not None or time.monotonic() > deadline:
                sys.exit(f"`verifier {command}` did not start:\n" + ready.with_name("log").read_text(errors="replace"))
            await asyncio.sleep(POLL_SECONDS)
        yield json.loads(ready.read_text() or "{}")
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), STOP_SECONDS)


async def fresh_database(cluster: DevCluster, name: str) -> str:
    """Make a database with all tables and nothing in them; gives its URL."""
    connection = await asyncpg.connect(cluster.url("postgres"))
    try:
        await connection.execute(f'CREATE DATABASE "{name}"')
    finally:
        await connection.close()
    url = urllib.parse.urlsplit(cluster.url("verifier"))._replace(path=f"/{name}").geturl()
    migrating = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "verifier", "migrate", cwd=ROOT, env={**os.environ, "VERIFIER_DATABASE_URL": url}
    )
    if await migrating.wait():
        sys.exit("the tables could not be made")
    return url


async def job(url: str, addresses: list[str]) -> tuple[float, float, float, list[dict[str, Any]]]:
    """Send the list, read results as they come; gives the seconds until accepted, first and last, and the results."""
    headers = {"Authorization": f"Bearer {SERVICE_KEY}"}
    async with httpx.AsyncClient(base_url=url.rstrip("/"), headers=headers, timeout=60.0, trust_env=False) as client:
        started_at = time.monotonic()
        created = (await client.post("/tasks", json={"emails": addresses})).raise_for_status().json()
        accepted_seconds, first_seconds = time.monotonic() - started_at, 0.0
        results: list[dict[str, Any]] = []
        while len(results) < len(addresses):
            where = {"after": results[-1]["seq"] if results else 0, "limit": PAGE}
            response = await client.get(f"/tasks/{created['id']}/results", params=where)
            page = response.raise_for_status().json()["results"]
            if page and not results:
                first_seconds = time.monotonic() - started_at
            results += page
            if time.monotonic() - started_at > DONE_SECONDS:
                sys.exit(f"{len(results)} of {len(addresses)} results after {DONE_SECONDS:.0f} s")
            if len(page) < PAGE:
                await asyncio.sleep(POLL_SECONDS)
        return accepted_seconds, first_seconds, time.monotonic() - started_at, results


async def run(
    cluster: DevCluster, name: str, folder: Path, given: argparse.Namespace, delay_ms: int, workers: int
) -> Run:
    """Start everything afresh, so that nothing is remembered from another run, and carry out one task."""
    addresses = workload.addresses(given.addresses, given.domains)
    env = {
        "VERIFIER_DATABASE_URL": await fresh_database(cluster, name),
        "VERIFIER_PORT": "0",
        "VERIFIER_SERVICE_KEY": SERVICE_KEY,
        "VERIFIER_HELO": "benchmark.example.org",
    }
    async with (
        AsyncExitStack() as running,
        lab.running(domains=given.domains, hosts=given.hosts, delay_ms=delay_ms) as network,
    ):
        env["VERIFIER_ZONES"] = network.zone
        service = await running.enter_async_context(program("serve", folder, env))
        at_work = [await running.enter_async_context(program("work", folder, env)) for _ in range(workers)]
        pids = {"lab": [network.pid], "REST": [service["pid"]], "workers": [each["pid"] for each in at_work]}
        pids["client"] = [os.getpid()]
        await network.reset()
        before = {part: sum(map(machine.cpu_seconds, each)) for part, each in pids.items()}
        accepted, first, seconds, results = await job(service["url"], addresses)
        cpu_seconds = {part: sum(map(machine.cpu_seconds, each)) - before[part] for part, each in pids.items()}
        counted = await network.figures()
    if Counter(result["email"] for result in results) != Counter(addresses):
        sys.exit("not every address came back once")
    right = sum(result["status"] == workload.status(result["email"]) for result in results)
    return Run(accepted, first, seconds, right, counted, cpu_seconds)


async def main(given: argparse.Namespace) -> None:
    """Run one and two workers in turns, for each round trip, and print the table."""
    _print_head(given)
    medians: dict[tuple[int, int], float] = {}
    with tempfile.TemporaryDirectory(prefix="dispatch-") as name:
        folder = Path(name)
        async with DevCluster(folder / "cluster") as cluster:
            for delay_ms in given.delay_ms:
                runs: dict[int, list[Run]] = {workers: [] for workers in given.workers}
                for number in range(given.rounds):
                    for workers, done in runs.items():
                        done.append(
                            await run(cluster, f"b{delay_ms}_{number}_{workers}", folder, given, delay_ms, workers)
                        )
                for workers, done in runs.items():
                    medians[delay_ms, workers] = statistics.median(each.seconds for each in done)
                    print(_row(delay_ms, workers, done, given.addresses), flush=True)
        cluster.remove()
    _print_bars(medians)


def _print_head(given: argparse.Namespace) -> None:
    packages = ", ".join(f"{name} {version(name)}" for name in ("pgqueuer", "asyncpg", "uvloop"))
    print(f"machine   {machine.described()}")
    print(f"versions  Python {platform.python_version()}, {packages}")
    print(f"{given.addresses} addresses on {given.domains} domains of {given.hosts} mail hosts, every second unknown;")
    print("lab, REST, workers and PostgreSQL (durable) share this machine; a fresh database, lab and fresh workers for")
    print(f"each run; medians of {given.rounds} runs in turns (range)\n")
    print(
        f"{'round trip':>10}{'workers':>9}{'accepted':>12}{'first':>10}{'all results':>13}{'range':>14}"
        f"{'addresses/s':>13}{'right':>9}{'connections':>13}{'open a host':>13}{'refused':>9}{'DNS':>6}"
        "   CPU s: lab, REST, workers, client"
    )


def _print_bars(medians: Mapping[tuple[int, int], float]) -> None:
    print()
    for (delay_ms, workers), seconds in medians.items():
        if delay_ms == 0 and workers == 1:
            print(f"{_met(seconds <= BAR_SECONDS)}  no delay, one worker: {seconds:.2f} s (bar: {BAR_SECONDS:.0f} s)")
        if delay_ms and workers > 1 and (delay_ms, 1) in medians:
            ratio = medians[delay_ms, 1] / seconds
            print(
                f"{_met(ratio > 1)}  {delay_ms} ms: {workers} workers are {ratio:.2f} times as fast as one (bar: more)"
            )


def _row(delay_ms: int, workers: int, runs: list[Run], total: int) -> str:
    seconds = [each.seconds for each in runs]
    median = statistics.median(seconds)
    return (
        f"{delay_ms:>7} ms{workers:>9}{statistics.median(each.accepted_seconds for each in runs):>10.2f} s"
        f"{statistics.median(each.first_seconds for each in runs):>8.2f} s{median:>11.2f} s"
        f"{f'{min(seconds):.2f}-{max(seconds):.2f}':>14}{total / median:>13.0f}"
        f"{100 * min(each.right for each in runs) / total:>7.1f} %"
        f"{statistics.median(each.counted['connections'] for each in runs):>13.0f}"
        f"{max(each.counted['open_max_a_host'] for each in runs):>13}"
        f"{max(each.counted['refusals_max'] for each in runs):>9}"
        f"{statistics.median(each.counted['questions'] for each in runs):>6.0f}   "
        + ", ".join(f"{statistics.median(each.cpu_seconds[part] for each in runs):.1f}" for part in runs[0].cpu_seconds)
    )


def _met(is_met: bool) -> str:  # noqa: FBT001 - the only thing it is told
    return "met   " if is_met else "MISSED"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--addresses", type=int, default=10_000, help="how many (10000)")
    parser.add_argument("--domains", type=int, default=200, help="domains (200)")
    parser.add_argument("--hosts", type=int, default=40, help="mail hosts that the domains share (40)")
    parser.add_argument("--delay-ms", type=int, nargs="+", default=[0, 40], help="round trips of the lab (0 40)")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="numbers of workers (1 2)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each (3)")
    asyncio.run(main(parser.parse_args()))
