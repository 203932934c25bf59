"""Hold the running verifier to verifier/openapi.yaml with schemathesis: `python -m slow.contract_fuzz [--examples N]`.

PostgreSQL, the lab, the REST process and a worker run for as long as it takes, on free ports of loopback. schemathesis
lives in a scratch environment of its own, made at the first run. The exit status is schemathesis's: 0, nothing found.
"""

import argparse
import asyncio
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import httpx

from verifier.api import server
from verifier.dispatch import worker
from verifier.files import writing
from verifier.lab.internet import Lab
from verifier.settings import Need, Settings
from verifier.store import migrations
from verifier.tests import postgres

ROOT = Path(__file__).resolve().parent.parent
VERSION = "4.32.5"
SCRATCH = ROOT / ".scratch" / f"schemathesis-{VERSION}"
TASK_FILE, SHEET_FILE = "task-id", "list.xlsx"  # where the hooks find a task that is there, and a list
CONTRACT = ROOT / "verifier" / "openapi.yaml"
HOOKS = Path(__file__).with_name("contract_fuzz_hooks.py")
CONFIGURATION = Path(__file__).with_name("contract_fuzz.toml")
KEY = "the-service-credential-of-the-fuzzing-0123456789"
EMAILS = ["alice@ok.mailverdict.test", "nobody@ok.mailverdict.test", "=1+1@ok.mailverdict.test", "no address"]


def install() -> Path:
    """Return the program, installed where it is not yet."""
    program = SCRATCH / "bin" / "schemathesis"
    if not program.exists():
        uv = shutil.which("uv") or sys.exit("contract_fuzz needs uv: pip install uv")
        subprocess.run([uv, "venv", "--quiet", "--clear", str(SCRATCH)], check=True)
        packages = ["--python", str(SCRATCH / "bin" / "python"), f"schemathesis=={VERSION}"]
        subprocess.run([uv, "pip", "install", "--quiet", *packages], check=True)
    return program


def spreadsheet() -> bytes:
    """Return an honest xlsx file."""
    sheet = writing.Spreadsheet()
    sheet.add([dict.fromkeys(writing.COLUMNS, email) for email in EMAILS])
    with sheet.close() as file:
        return file.read()


def only_here(_: str, port: int, *__: object, **___: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
    """Resolve every name to loopback, where webhooks do not go: made-up URLs are nobody's to call."""
    return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port))]


@asynccontextmanager
async def verifier(postgres_url: str) -> AsyncIterator[str]:
    """Run all of the verifier over the lab; yields the URL of its contract."""
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("CREATE DATABASE fuzzed")
    await connection.close()
    database_url = urlsplit(postgres_url)._replace(path="/fuzzed").geturl()
    await asyncio.to_thread(migrations.upgrade, database_url)
    setattr(socket, "getaddrinfo", only_here)  # noqa: B010 - a function
    async with Lab() as lab:
        environment = {
            "VERIFIER_DATABASE_URL": database_url,
            "VERIFIER_PORT": "0",
            "VERIFIER_SERVICE_KEY": KEY,
            "VERIFIER_HELO": "verifier.example.com",
            "VERIFIER_NAMESERVERS": f"127.0.0.1:{lab.dns_port}",  # no question leaves this machine
            "VERIFIER_ZONES": lab.zone_setting,
            "VERIFIER_SERVICE_RATE_LIMIT": "0",
        }
        settings, stopping = Settings.from_env(environment, set(Need)), asyncio.Event()
        url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        running = [
            asyncio.create_task(server.run(settings, stopping, url.set_result)),
            asyncio.create_task(worker.run(settings, stopping, lambda: None)),
        ]
        try:
            yield await url
        finally:
            stopping.set()
            await asyncio.gather(*running)


async def fuzz(program: Path, url: str, examples: int, more: list[str]) -> int:
    """Make a task that paths can name, then let schemathesis loose; return its exit status."""
    headers = {"Authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(base_url=url, headers=headers) as client:
        task = (await client.post("/tasks", json={"emails": EMAILS})).raise_for_status().json()
    command = [
        str(program), "--config-file", str(CONFIGURATION),
        "run", str(CONTRACT), "--url", url, "--header", f"Authorization: Bearer {KEY}",
        "--max-examples", str(examples), "--request-timeout", "30", *more,
    ]  # fmt: skip
    (SCRATCH / TASK_FILE).write_text(task["id"])
    (SCRATCH / SHEET_FILE).write_bytes(spreadsheet())
    environment = {"SCHEMATHESIS_HOOKS": str(HOOKS), "LC_ALL": "C.UTF-8", "PYTHONUNBUFFERED": "1"}
    process = await asyncio.create_subprocess_exec(*command, env=environment, cwd=SCRATCH)
    return await process.wait()


async def main() -> int:
    """Run it all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--examples", type=int, default=50, metavar="N", help="examples an operation (50)")
    arguments, more = parser.parse_known_args()
    program = install()
    with (
        tempfile.TemporaryDirectory(prefix="contract-fuzz-") as directory,
        postgres.cluster(Path(directory)) as postgres_url,
    ):
        async with verifier(postgres_url) as url:
            return await fuzz(program, url, arguments.examples, more)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
