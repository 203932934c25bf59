"""Measures the GraphQL API beside peers on the same database: A the first page, B a list of 100 tasks, C one task."""

import argparse
import asyncio
import contextlib
import json
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import asyncpg

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # started by its path

from app.devdb import DevCluster
from benchmarks import machine, stored, subscribers
from benchmarks.peers import graphql as peers

SECRET = "the-secret-key-of-the-benchmark-0123456789abcdef"  # noqa: S105 - of a service that lives as long as a run
QUERIES = ("A", "B", "C")
SIZES = (100, 1000, 10_000)
CONNECTIONS = 16
WARM_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Run:
    """One measurement. CPU is the server's processor time a request; PostgreSQL's is not in it."""

    rate: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float


class Load:
    """The load generator, in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Use a running `benchmarks.load`."""
        self._process = process

    async def run(self, api: peers.Api, requests: Sequence[str], connections: int, seconds: float) -> Run:
        """Ask an API for so long."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        job = {"port": api.port, "connections": connections, "seconds": seconds, "requests": list(requests)}
        before = machine.cpu_seconds(api.pid)
        self._process.stdin.write(json.dumps(job).encode() + b"\n")
        line = await self._process.stdout.readline()
        if not line:
            sys.exit(f"{api.name} cannot be measured")
        told: dict[str, float] = json.loads(line)
        used = machine.cpu_seconds(api.pid) - before
        return Run(told["rate"], told["p50_ms"], told["p99_ms"], used * 1000 / told["requests"])


@contextlib.asynccontextmanager
async def load() -> AsyncIterator[Load]:
    """Run the load generator until the block ends."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.load", cwd=peers.ROOT, limit=1 << 24,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield Load(process)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@dataclass(frozen=True, slots=True)
class Service:
    """Our API at work, and the database behind everybody."""

    pid: int
    port: int
    database_url: str
    folder: Path
    connection: Any

    @property
    def graphql(self) -> str:
        """The URL of the API."""
        return f"http://127.0.0.1:{self.port}/graphql"

    async def user(self, name: str, tasks: int, *, is_running: bool = False) -> stored.User:
        """Make an account with so many tasks."""
        return await stored.user(self.connection, self.graphql, name, tasks, is_running=is_running)

    async def settle(self) -> None:
        """Let PostgreSQL look at what it has."""
        await self.connection.execute("VACUUM ANALYZE")

    def others(self, user: stored.User) -> contextlib.AbstractAsyncContextManager[list[peers.Api]]:
        """Everybody else at work on the same rows."""
        keys_url = f"http://127.0.0.1:{self.port}/auth/v1/.well-known/jwks.json"
        return peers.peers(self.database_url, SECRET, user, keys_url, self.folder)

    def api(self, user: stored.User) -> peers.Api:
        """Us, as a contestant."""
        return peers.Api(peers.OURS, "this tree", self.pid, self.port, peers.ours(self.port, user))


@contextlib.asynccontextmanager
async def service() -> AsyncIterator[Service]:
    """Run `python -m app serve`, as in production but for the address of its upstream, which is never asked."""
    async with contextlib.AsyncExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="mailverdict-benchmark-")))
        folder.chmod(0o711)  # as root, PostgreSQL runs under another user
        cluster = await running.enter_async_context(DevCluster(folder / "cluster", is_durable=False))
        running.callback(cluster.remove)
        url = cluster.url("mailverdict")
        port = peers.free_port()
        environment = {
            "ENVIRONMENT": "production", "DATABASE_URL": url, "SECRET_KEY": SECRET, "PORT": str(port),
            "PUBLIC_URL": f"http://127.0.0.1:{port}", "UPSTREAM_URL": "http://127.0.0.1:9/api/v1",
            "UPSTREAM_KEY": "none", "RATE_LIMIT": "1000000000", "RATE_LIMIT_SIGNED_OUT": "1000000",
            "LOG_FORMAT": "json", "WELCOME_CREDITS": "1000000", "DATA_DIR": str(folder / "data"),
        }  # fmt: skip
        migrating = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "app", "migrate", cwd=peers.ROOT, env={**os.environ, **environment}
        )
        if await migrating.wait():
            sys.exit("the tables could not be made")
        command = [sys.executable, "-m", "app", "serve"]
        process = await running.enter_async_context(peers.program(command, port, folder / "app.log", environment))
        # Foreign keys of rows made in bulk are not looked up one by one.
        connection = await asyncpg.connect(url, server_settings={"session_replication_role": "replica"})
        running.push_async_callback(connection.close)
        yield Service(process.pid, port, url, folder, connection)


async def compare(given: argparse.Namespace) -> None:
    """Measure everybody in turns, then ourselves on more and more rows, and print tables and bars."""
    async with service() as running, load() as generator:
        users = [await running.user(f"owner-of-{size}", size) for size in given.tasks]
        await running.settle()
        us = running.api(users[-1])
        async with running.others(users[-1]) as others:
            everybody = [others[0], us, *others[1:]]
            found = await rounds(generator, everybody, given)
        results = users[-1].tasks * stored.ADDRESSES_A_TASK
        print(f"A, B and C of an account with {users[-1].tasks} tasks and {results} results;")
        print(f"{given.connections} connections, medians of {given.rounds} rounds of {given.seconds:g} s in turns\n")
        for line in [*table(everybody, found), "", *bars(found)]:
            print(line)
        print()
        for line in await growth(running, generator, users, given):
            print(line)


async def subscriptions(count: int) -> None:
    """Measure so many subscriptions."""
    async with service() as running:
        await subscribers.measure(running, count)


Found = Mapping[tuple[str, str], list[Run]]


async def rounds(generator: Load, everybody: Sequence[peers.Api], given: argparse.Namespace) -> Found:
    """Ask everybody for everything in turns, after a while to warm up."""
    found: dict[tuple[str, str], list[Run]] = {(api.name, query): [] for api in everybody for query in QUERIES}
    for api in everybody:
        for query in QUERIES:
            await generator.run(api, api.requests[query], given.connections, WARM_SECONDS)
    for _ in range(given.rounds):
        for query in QUERIES:
            for api in everybody:
                run = await generator.run(api, api.requests[query], given.connections, given.seconds)
                found[api.name, query].append(run)
    return found


def table(everybody: Sequence[peers.Api], found: Found) -> list[str]:
    """Everybody's figures. The ratio is to the hand-written service, by requests and by processor time."""
    lines = [_row("", "requests/s", "range", "p50 ms", "p99 ms", "p99/p50", "CPU ms", "x REST", "x REST CPU")]
    for query in QUERIES:
        rest = found[peers.REST, query]
        for api in everybody:
            runs = found[api.name, query]
            lines.append(
                _row(
                    f"{query}  {api.name} {api.version}",
                    f"{_median(runs, 'rate'):.0f}",
                    f"{min(r.rate for r in runs):.0f}-{max(r.rate for r in runs):.0f}",
                    f"{_median(runs, 'p50_ms'):.1f}",
                    f"{_median(runs, 'p99_ms'):.1f}",
                    f"{_spread(runs):.1f}",
                    f"{_median(runs, 'cpu_ms'):.3f}",
                    f"{_ratio(runs, rest):.2f}",
                    f"{_median(rest, 'cpu_ms') / _median(runs, 'cpu_ms'):.2f}",
                )
            )
    return lines


def bars(found: Found) -> list[str]:
    """What must hold, and whether it does. Ratios are medians of the ratios of each round."""
    lines = []
    for peer, least in ((peers.REST, 0.5), (peers.GUARDED, 1.2), (peers.POSTGRAPHILE, 1.2)):
        for query in QUERIES:
            if (peer, query) in found:
                ratio = _ratio(found[peers.OURS, query], found[peer, query])
                lines.append(
                    _bar(f"{query}: requests/s, times {peer}", f"{ratio:.2f}", f"at least {least}", ratio >= least)
                )
    for query in QUERIES:
        spread = _spread(found[peers.OURS, query])
        lines.append(_bar(f"{query}: p99 / p50", f"{spread:.1f}", "at most 4", spread <= 4))
    return lines


async def growth(
    running: Service, generator: Load, users: Sequence[stored.User], given: argparse.Namespace
) -> list[str]:
    """Measure what ten and a hundred times the stored rows cost."""
    queries = (*QUERIES, "D")
    found: dict[tuple[str, int], list[Run]] = {(query, user.tasks): [] for query in queries for user in users}
    for _ in range(given.rounds):
        for query in queries:
            for user in users:
                api = running.api(user)
                asked = api.requests.get(query) or peers.graphql(
                    running.port, user.token, stored.RESULTS, [{"id": i} for i in user.public_task_ids]
                )
                found[query, user.tasks].append(await generator.run(api, asked, 1, given.seconds / 2))
    lines = ["cost against stored rows: server CPU ms a request (p50 ms), one connection; D: 100 results of one task"]
    lines.append(_row("tasks, results of the account", *queries))
    for user in users:
        cells = [
            f"{_median(found[q, user.tasks], 'cpu_ms'):.2f} ({_median(found[q, user.tasks], 'p50_ms'):.2f})"
            for q in queries
        ]
        lines.append(_row(f"{user.tasks}, {user.tasks * stored.ADDRESSES_A_TASK}", *cells))
    for query in queries:
        least, most = (_median(found[query, users[n].tasks], "p50_ms") for n in (0, -1))
        lines.append(
            _bar(
                f"{query}: p50 at 100 times the rows, times that at 1",
                f"{most / least:.2f}",
                "flat",
                most < 1.3 * least,
            )
        )
    return lines


def _median(runs: Sequence[Run], name: str) -> float:
    return float(statistics.median(getattr(run, name) for run in runs))


def _ratio(runs: Sequence[Run], others: Sequence[Run]) -> float:
    return statistics.median(run.rate / other.rate for run, other in zip(runs, others, strict=True))


def _spread(runs: Sequence[Run]) -> float:
    return statistics.median(run.p99_ms / run.p50_ms for run in runs)


def _row(name: str, *cells: str) -> str:
    return f"{name:<30}" + "".join(f"{cell:>14}" for cell in cells)


def _bar(what: str, is_: str, should: str, is_met: bool) -> str:  # noqa: FBT001 - a table of its own
    return f"{'met   ' if is_met else 'MISSED'}  {what:<56}{is_:>8}   {should}"


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", choices=("compare", "subscriptions", "setup"), default="compare")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each (3)")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of each (2)")
    parser.add_argument("--connections", type=int, default=CONNECTIONS, help=f"open at a time ({CONNECTIONS})")
    parser.add_argument("--tasks", type=int, nargs=3, default=SIZES, help="of the three accounts (100 1000 10000)")
    parser.add_argument("--subscribers", type=int, default=2000, help="connections that follow a task each (2000)")
    given = parser.parse_args()
    if given.what == "setup":
        peers.setup()
        return
    packages = ("strawberry-graphql", "graphql-core", "starlette", "uvicorn", "sqlalchemy", "asyncpg", "orjson")
    print("machine   " + machine.described())
    print("versions  " + ", ".join([f"Python {platform.python_version()}", *(f"{p} {version(p)}" for p in packages)]))
    if given.what == "compare":
        asyncio.run(compare(given))
    else:
        subscribers.allow_files()
        asyncio.run(subscriptions(given.subscribers))


if __name__ == "__main__":
    main()
