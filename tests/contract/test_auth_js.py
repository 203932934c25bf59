"""The official JavaScript client of Supabase Auth: every flow of a person with a password, in `auth_js/flows.mjs`."""

import asyncio
import contextlib
import hashlib
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from conftest import ROOT, RunningApp
from db.session import Database
from services.mail import Letter
from tests.services import provider

SOURCE = Path(__file__).parent / "auth_js"
FLOWS_SECONDS_MAX = 60.0


@pytest.fixture(scope="session")
def auth_js() -> Path:
    """The folder with the client as npm installs it from the lock file, made once, and the flows beside it."""
    lock = (SOURCE / "package-lock.json").read_bytes()
    folder = ROOT / ".scratch" / f"auth-js-{hashlib.sha256(lock).hexdigest()[:12]}"
    if not folder.exists():
        new = folder.with_name(f"{folder.name}.{os.getpid()}")
        shutil.copytree(SOURCE, new, dirs_exist_ok=True)
        npm = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"]
        subprocess.run(npm, cwd=new, check=True, timeout=300)
        with contextlib.suppress(OSError):  # another process was quicker
            new.rename(folder)
        shutil.rmtree(new, ignore_errors=True)
    shutil.copy(SOURCE / "flows.mjs", folder)
    return folder


class Postbox:
    """A mail server that keeps the tokens of links."""

    is_real = True

    def __init__(self) -> None:
        self.tokens: asyncio.Queue[str] = asyncio.Queue()

    async def send(self, letter: Letter) -> None:
        if letter.link is not None:
            self.tokens.put_nowait(letter.link.partition("token=")[2])


@asynccontextmanager
async def flows(folder: Path, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        "node",
        "flows.mjs",
        *arguments,
        cwd=folder,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(FLOWS_SECONDS_MAX):
            yield process
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_the_javascript_client_goes_through_every_flow_of_the_running_service(
    auth_js: Path, running_app: RunningApp
) -> None:
    async with flows(auth_js, f"{running_app.web}/auth/v1", "open") as process:
        output, _ = await process.communicate()
    told = output.decode()
    assert process.returncode == 0, told
    assert told.splitlines()[-1] == "done"
    assert told.count("ok ") == 8


async def test_the_javascript_client_confirms_addresses_and_resets_passwords_by_links(
    auth_js: Path, db: Database
) -> None:
    postbox, told = Postbox(), []
    async with provider.serving(db, postbox) as url, flows(auth_js, f"{url}/auth/v1", "confirming") as process:
        assert process.stdout is not None
        assert process.stdin is not None
        async for line in process.stdout:
            told.append(line.decode().strip())
            if told[-1] == "letter":
                process.stdin.write(f"{await postbox.tokens.get()}\n".encode())
    assert process.returncode == 0, told
    assert told[-1] == "done"
    assert sum(line.startswith("ok ") for line in told) == 2
