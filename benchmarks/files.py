"""Measures uploads and downloads of long lists: seconds, rows a second, and the memory of every process of ours.

uv run benchmarks/files.py downloads [--rows 1000000]
uv run benchmarks/files.py uploads
"""

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # started by its path

from app.devdb import DevCluster
from benchmarks import machine
from db import ids, migrations
from services.tokens import Tokens

ROOT = Path(__file__).resolve().parent.parent
READY_SECONDS = 60.0
SECRET = secrets.token_hex(24)
CSV_ROWS, XLSX_ROWS = 1_000_000, 250_000
QUOTE_SECONDS_MAX, MEMORY_MIB_MAX, COPY_RATIO_MIN = 30.0, 300, 0.5
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
LINK = "query($id: ID!, $format: DownloadFormat!) { task(id: $id) { download(format: $format) { url } } }"
UPLOAD = """mutation($input: UploadTaskFileInput!) { uploadTaskFile(input: $input) {
  task { id status quote { rowCount uniqueCount duplicateCount invalidCount cost } } userErrors { code message } } }"""

FILL = (
    """INSERT INTO task (id, account_id, name, status, source, email_count, domain_count, total_count, malformed_count,
    processing_count, completed_count, failed_count, exists_count, not_exists_count, catchall_count,
    invalid_syntax_count, unknown_count, role_based_count, disposable_count, chargeable_count,
    file_name, file_size_bytes, file_sha256, file_columns, created_at, updated_at, refreshed_at, finished_at)
  VALUES ($1, $2, 'benchmark', 'COMPLETED', 'FILE', $3, 1000, $3, 0, 0, $3, 0, $3, 0, 0, 0, 0, 0, 0, 0, 'list.csv', 1,
    '', '[{"name": "id", "role": null}, {"name": "name", "role": null}, {"name": "email", "role": "EMAIL"}]',
    now(), now(), now(), now())""",
    """INSERT INTO task_address (task_id, n, part, email, domain, verdict, reason, score, is_role, is_disposable,
    is_free, mx_host, verified_at)
  SELECT $1, n, n / 10000 + 1, 'person.' || n || '@domain' || n % 1000 || '.example',
    'domain' || n % 1000 || '.example', 'EXISTS', 'ACCEPTED', 90, false, false, false,
    'mx.domain' || n % 1000 || '.example', now()
  FROM generate_series(1, $2::int) n""",
    """INSERT INTO task_row (task_id, row_number, address_n, input, cells)
  SELECT $1, n, n, email, ARRAY[n::text, 'Person ' || n, email] FROM task_address WHERE task_id = $1""",
)
COPY = """COPY (SELECT r.cells[1], r.cells[2], r.cells[3], a.email, a.verdict, a.reason, a.score, a.is_role,
    a.is_disposable, a.is_free, a.mx_host, a.suggestion, a.verified_at
  FROM task_row r JOIN task_address a ON a.task_id = r.task_id AND a.n = r.address_n
  WHERE r.task_id = '{}' ORDER BY r.row_number) TO STDOUT (FORMAT csv)"""


@dataclass
class Service:
    """The API as a process of its own over a PostgreSQL of its own, and an account there."""

    url: str
    pid: int
    token: str
    account_id: UUID
    database_url: str
    client: httpx.AsyncClient


@dataclass
class Memory:
    """The most that each process was seen to hold, in MiB, by its command."""

    peaks: dict[str, int] = field(default_factory=dict)

    @contextlib.asynccontextmanager
    async def watched(self, pid: int) -> AsyncIterator[None]:
        """Look at a process and all below it fifty times a second."""

        async def watch() -> None:
            while True:
                for name, mebibytes in _resident(pid):
                    self.peaks[name] = max(self.peaks.get(name, 0), mebibytes)
                await asyncio.sleep(0.02)

        watching = asyncio.create_task(watch())
        try:
            yield
        finally:
            watching.cancel()


def _resident(pid: int) -> Iterator[tuple[str, int]]:
    with contextlib.suppress(OSError, ValueError, IndexError):
        command = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
        name = " ".join(Path(word).name if "/" in word else word for word in command.split()[:4])
        # The high-water mark: what came and went between two looks counts too.
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        yield name, int(status["VmHWM"].split()[0]) >> 10
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield from _resident(int(child))


@contextlib.asynccontextmanager
async def service() -> AsyncIterator[Service]:
    """Start PostgreSQL and the API, and stop both."""
    folder = Path(tempfile.mkdtemp(prefix="mailverdict-files-"))
    folder.chmod(0o711)  # PostgreSQL may run as another user
    cluster = DevCluster(folder / "cluster")
    with cluster:
        maintenance = await asyncpg.connect(cluster.url("postgres"))
        await maintenance.execute("CREATE DATABASE benchmark")
        await maintenance.close()
        url = cluster.url("benchmark")
        await asyncio.to_thread(migrations.upgrade, url)
        account_id = uuid4()
        connection = await asyncpg.connect(url)
        await connection.execute(
            "INSERT INTO account (id, email, role, created_at) VALUES ($1, 'owner@example.com', 'MEMBER', now())",
            account_id,
        )
        await connection.close()
        async with _api(url) as (process, where):
            token = Tokens(SECRET, f"{where}/auth/v1").issue(
                account_id, "owner@example.com", now=datetime.now(UTC), lifetime=timedelta(hours=2)
            )
            headers = {"Authorization": f"Bearer {token}"}
            async with httpx.AsyncClient(headers=headers, timeout=600, trust_env=False) as client:
                yield Service(where, process.pid, token, account_id, url, client)
    cluster.remove()


@contextlib.asynccontextmanager
async def _api(url: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    where = f"http://127.0.0.1:{port}"
    env = {
        **os.environ,
        "DATABASE_URL": url,
        "SECRET_KEY": SECRET,
        "PUBLIC_URL": where,
        "UPSTREAM_URL": "http://127.0.0.1:9/api/v1",  # nobody is asked
        "UPSTREAM_KEY": "none",
        "PORT": str(port),
        "LOG_LEVEL": "warning",
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "app", "serve", cwd=ROOT, env=env)
    try:
        async with asyncio.timeout(READY_SECONDS), httpx.AsyncClient(trust_env=False) as client:
            while True:
                with contextlib.suppress(httpx.TransportError):
                    if (await client.get(f"{where}/health/live")).is_success:
                        break
                await asyncio.sleep(0.05)
        yield process, where
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def downloads(arguments: argparse.Namespace) -> list[str]:
    """Download one list in every format, beside COPY of the same rows."""
    rows, missed = arguments.rows, []
    async with service() as running:
        connection = await asyncpg.connect(running.database_url, statement_cache_size=0)
        task_id = uuid4()
        await connection.execute(FILL[0], task_id, running.account_id, rows)
        await connection.execute(FILL[1], task_id, rows)
        await connection.execute(FILL[2], task_id)
        await connection.execute("VACUUM ANALYZE task_row, task_address")
        memory = Memory()
        best: dict[str, float] = {}
        async with memory.watched(running.pid):
            for _ in range(arguments.repeat):
                for name, bytes_read, seconds in [
                    await _copied(connection, task_id),
                    *[await _downloaded(running, task_id, name) for name in ("CSV", "TXT", "NDJSON", "XLSX")],
                ]:
                    best[name] = min(seconds, best.get(name, seconds))
                    print(f"{name:24} {seconds:7.2f} s {rows / seconds:12,.0f} rows/s {bytes_read / 2**20:8.1f} MiB")
        await connection.close()
    ratio = best["COPY"] / best["CSV"]
    print(f"csv at {ratio:.2f} of the rate of COPY (at least {COPY_RATIO_MIN}); memory: {memory.peaks}")
    missed += ["csv"] if ratio < COPY_RATIO_MIN else []
    return missed + [name for name, peak in memory.peaks.items() if peak > MEMORY_MIB_MAX]


async def _copied(connection: "asyncpg.Connection[asyncpg.Record]", task_id: UUID) -> tuple[str, int, float]:
    total, begun = 0, time.perf_counter()

    async def count(data: bytes) -> None:
        nonlocal total
        total += len(data)

    await connection._copy_out(COPY.format(task_id), count, None)  # noqa: SLF001 - COPY as it is written above
    return "COPY", total, time.perf_counter() - begun


async def _downloaded(running: Service, task_id: UUID, name: str) -> tuple[str, int, float]:
    given = {"query": LINK, "variables": {"id": ids.global_id("task", task_id), "format": name}}
    answer = (await running.client.post(f"{running.url}/graphql", json=given)).json()
    total, begun = 0, time.perf_counter()
    async with running.client.stream("GET", answer["data"]["task"]["download"]["url"]) as response:
        response.raise_for_status()
        async for piece in response.aiter_raw():
            total += len(piece)
    return name, total, time.perf_counter() - begun


async def uploads(_arguments: argparse.Namespace) -> list[str]:
    """Upload a csv and an xlsx as long as they may be, and ask for the quote."""
    missed: list[str] = []
    for name, rows, write in (("list.csv", CSV_ROWS, _csv), ("list.xlsx", XLSX_ROWS, _xlsx)):
        async with service() as running:
            path = Path(tempfile.mkdtemp()) / name
            await asyncio.to_thread(write, path, rows)
            memory = Memory()
            begun = time.perf_counter()
            async with memory.watched(running.pid):
                answer = await _uploaded(running, path)
            seconds = time.perf_counter() - begun
            size = path.stat().st_size / 2**20
            path.unlink()
            print(f"{name}: {rows:,} rows, {size:.1f} MiB: quote in {seconds:.1f} s; MiB at most: {memory.peaks}")
            print(f"  {answer}")
            missed += [f"{name}: {seconds:.0f} s"] if seconds > QUOTE_SECONDS_MAX else []
            missed += [f"{name}: {who}" for who, peak in memory.peaks.items() if peak > MEMORY_MIB_MAX]
    return missed


async def _uploaded(running: Service, path: Path) -> dict[str, Any]:
    operations = json.dumps({"query": UPLOAD, "variables": {"input": {"file": None, "start": False}}})
    with path.open("rb") as file:
        response = await running.client.post(
            f"{running.url}/graphql",
            data={"operations": operations, "map": json.dumps({"0": ["variables.input.file"]})},
            files={"0": (path.name, file)},
        )
    answer: dict[str, Any] = response.json()
    return answer


def _line(n: int) -> tuple[str, str, str, str]:
    return str(n), f"Person Number {n}", f"person.{n}@domain{n % 50_000}.example.com", f"Street {n % 900}, Town"


def _csv(path: Path, rows: int) -> None:
    with path.open("w") as file:
        file.write("id,name,email,address\n")
        file.writelines('{},{},{},"{}"\n'.format(*_line(n)) for n in range(rows))


def _xlsx(path: Path, rows: int) -> None:
    import xlsxwriter  # noqa: PLC0415 - needed for this alone

    book = xlsxwriter.Workbook(str(path))  # with shared strings, as spreadsheet programs write them
    sheet = book.add_worksheet()
    for number, cells in enumerate([("id", "name", "email", "address"), *map(_line, range(rows))]):
        sheet.write_row(number, 0, cells)
    book.close()


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("downloads", "uploads"))
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=2)
    arguments = parser.parse_args()
    print(machine.described())
    missed = asyncio.run({"downloads": downloads, "uploads": uploads}[arguments.what](arguments))
    sys.exit(f"missed: {', '.join(missed)}" if missed else 0)


if __name__ == "__main__":
    main()
