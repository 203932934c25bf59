"""Many clients that each follow a task of their own over a WebSocket, while every task changes once a second.

`python -m benchmarks.subscribers` is the clients' process: it reads one job as JSON from standard input, {port, token,
tasks, seconds}, writes "open" when all of them follow, and then what they were told.
"""

import asyncio
import datetime as dt
import json
import resource
import statistics
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

import uvloop
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from benchmarks import machine, stored
from benchmarks.peers import graphql as peers

if TYPE_CHECKING:
    from benchmarks.graphql import Service

FOLLOW = f"""subscription($id: ID!) {{ taskProgress(taskId: $id) {{
  occurredAt task {{ id status updatedAt {stored.METRICS} }} }} }}"""
GROUPS = 10
"""The tasks change in so many groups, one after the other within a second."""
IDS_A_NOTICE = 150
SECONDS = 15.0
OPEN_SECONDS = 120.0
OPENING_MAX = 50

CHANGE = """UPDATE task SET processing_count = (processing_count + 1) % 100, updated_at = clock_timestamp()
WHERE id = ANY($1::uuid[])"""


async def follow(
    job: dict[str, Any], task_id: str, opening: asyncio.Semaphore, told: list[tuple[float, float]]
) -> None:
    """Follow one task until cancelled; notes when each update was heard of, and how long after the change."""
    url = f"ws://127.0.0.1:{job['port']}/graphql"
    async with opening:
        subprotocols = [Subprotocol("graphql-transport-ws")]
        socket = await connect(url, subprotocols=subprotocols, compression=None, proxy=None, ping_interval=None)
        shown = {"authorization": f"Bearer {job['token']}"}
        await socket.send(json.dumps({"type": "connection_init", "payload": shown}))
        await socket.recv()
        payload = {"query": FOLLOW, "variables": {"id": task_id}}
        await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
        first = json.loads(await socket.recv())
        assert first["type"] == "next", first
        assert "errors" not in first["payload"], first
    job["open"] += 1
    while True:
        message = json.loads(await socket.recv())
        now = time.time()
        changed_at = dt.datetime.fromisoformat(message["payload"]["data"]["taskProgress"]["task"]["updatedAt"])
        told.append((now, now - changed_at.timestamp()))


async def clients(job: dict[str, Any]) -> None:
    """Open them all, say so, and after the time print what they were told."""
    told: list[tuple[float, float]] = []
    job["open"], opening = 0, asyncio.Semaphore(OPENING_MAX)
    tasks = [asyncio.create_task(follow(job, task_id, opening, told)) for task_id in job["tasks"]]
    while job["open"] < len(tasks):
        for task in tasks:
            if task.done():
                await task
        await asyncio.sleep(0.1)
    print("open", flush=True)
    await asyncio.sleep(job["seconds"])
    since = time.time() - job["seconds"] + 2  # the first seconds are those of the start
    seconds = [latency for heard_at, latency in told if heard_at > since]
    cuts = statistics.quantiles(seconds, n=100)
    rate = len(seconds) / (job["seconds"] - 2)
    print(json.dumps({"rate": rate, "p50_ms": cuts[49] * 1000, "p99_ms": cuts[98] * 1000}), flush=True)


async def change(connection: Any, task_ids: Sequence[UUID]) -> None:  # noqa: ANN401 - asyncpg has no types
    """Change every task once a second until cancelled, and tell of it, as a worker does."""
    loop, turn = asyncio.get_running_loop(), 0
    started = loop.time()
    while True:
        group = task_ids[turn % GROUPS :: GROUPS]
        async with connection.transaction():
            await connection.execute(CHANGE, group)
            for start in range(0, len(group), IDS_A_NOTICE):
                ids = json.dumps([str(task_id) for task_id in group[start : start + IDS_A_NOTICE]])
                await connection.execute("SELECT pg_notify('mailverdict_task', $1)", ids)
        turn += 1
        await asyncio.sleep(max(0.0, started + turn / GROUPS - loop.time()))


async def measure(running: "Service", count: int) -> None:
    """Open so many subscriptions on one process and print what they cost and how soon they are told."""
    user = await running.user("subscriber", count, is_running=True)
    await running.settle()
    memory_before = machine.resident_bytes(running.pid)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.subscribers", cwd=peers.ROOT,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    job = {"port": running.port, "token": user.token, "tasks": user.public_task_ids, "seconds": SECONDS}
    process.stdin.write(json.dumps(job).encode())
    process.stdin.close()
    async with asyncio.timeout(OPEN_SECONDS):
        if await process.stdout.readline() != b"open\n":
            sys.exit("the subscriptions could not be opened")
    changing = asyncio.create_task(change(running.connection, user.task_ids))
    cpu_before = machine.cpu_seconds(running.pid)
    told: dict[str, float] = json.loads(await process.stdout.readline())
    used = (machine.cpu_seconds(running.pid) - cpu_before) / SECONDS
    each = (machine.resident_bytes(running.pid) - memory_before) / count
    changing.cancel()
    await asyncio.wait((changing,))
    await process.wait()
    print(f"\n{count} subscriptions on one process, every task changes once a second")
    print(f"updates/s {told['rate']:.0f} ({100 * told['rate'] / count:.0f} %), p50 {told['p50_ms']:.0f} ms, ", end="")
    print(f"p99 {told['p99_ms']:.0f} ms, {100 * used:.0f} % of a core, {each / 1024:.0f} KiB a connection\n")
    for is_met, what in (
        (told["rate"] > 0.95 * count, "every update arrives"),
        (told["p99_ms"] < 1000, "p99 below 1 s"),
        (each < 100_000, "below 100 KB a connection"),
    ):
        print(f"{'met   ' if is_met else 'MISSED'}  {what}")


def allow_files() -> None:
    """Let this process and those that it starts have as many open sockets as they may."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    allow_files()
    uvloop.run(clients(json.load(sys.stdin)))
