"""What every test of the repository may ask for: a real PostgreSQL, databases in it, and the whole program running."""

import contextlib
import dataclasses
import json
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from app import settings
from app.devdb import DevCluster

ROOT = Path(__file__).parent
READY_SECONDS = 60.0
STOP_SECONDS = 15.0

NewDatabase = Callable[..., Awaitable[str]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that take longest, so that no process is left alone with one of them at the end."""
    items.sort(key=lambda item: "tests/e2e" not in item.nodeid)


@pytest.fixture(scope="session")
def open_temp_dir() -> Iterator[Path]:
    """A folder for the session that another OS user may pass through: as root, PostgreSQL runs under another user."""
    folder = Path(tempfile.mkdtemp(prefix="mailverdict-tests-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def cluster(open_temp_dir: Path) -> Iterator[DevCluster]:
    """One PostgreSQL for the session, without any guard against a crash of the machine."""
    with DevCluster(open_temp_dir / "cluster", is_durable=False) as running:
        yield running
    running.remove()


@pytest.fixture(scope="session")
def new_database(cluster: DevCluster) -> NewDatabase:
    """Give a function that makes a database, a clone of `template`, and returns its URL (no driver in it).

    A template must have no open connections. Databases end with the session's cluster.
    """

    async def create(name: str | None = None, *, template: str = "template1") -> str:
        chosen = name or f"test_{uuid.uuid4().hex[:16]}"
        connection = await asyncpg.connect(cluster.url("postgres"))
        try:
            await connection.execute(f'CREATE DATABASE "{chosen}" TEMPLATE "{template}"')
        finally:
            await connection.close()
        return cluster.url(chosen)

    return create


@dataclasses.dataclass(frozen=True)
class RunningApp:
    """`python -m app` at work: where it is, and what it is made of."""

    pid: int
    data_dir: Path
    graphql: str
    web: str
    verifier: str
    token: str
    log: Path


StartApp = Callable[..., contextlib.AbstractContextManager[RunningApp]]
"""Starts an instance: `start_app(name, **environment)`."""


@contextlib.contextmanager
def running_program(data_dir: Path, **environment: str) -> Iterator[RunningApp]:
    """Run `python -m app` on free ports until the block ends; its output stands in `log`."""
    ready_file, log = data_dir.with_name(f"{data_dir.name}.ready"), data_dir.with_name(f"{data_dir.name}.log")
    ready_file.unlink(missing_ok=True)  # left by an instance that a test has killed
    command = [sys.executable, "-m", "app", "--port", "0", "--data-dir", str(data_dir), "--ready-file", str(ready_file)]
    inherited = settings.child_environment(settings.process_environment())
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=inherited | environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        deadline = time.monotonic() + READY_SECONDS
        while not ready_file.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(
                    f"`python -m app` is not ready (exit code {process.returncode}):\n{log.read_text()[-4000:]}"
                )
            time.sleep(0.02)
        facts = json.loads(ready_file.read_text())
        yield RunningApp(data_dir=data_dir, log=log, **facts)
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def running_app(open_temp_dir: Path) -> Iterator[RunningApp]:
    """The whole program for the session; its sandbox answers with a round trip of 30 ms, so that tasks last."""
    with running_program(open_temp_dir / "app", VERIFIER_LAB_DELAY_MS="30") as app:
        yield app


@pytest.fixture(scope="session")
def start_app(open_temp_dir: Path) -> StartApp:
    """Give `start_app(name, **environment)`: another instance, for tests that kill; `name` is its data directory."""

    def start(name: str, **environment: str) -> contextlib.AbstractContextManager[RunningApp]:
        return running_program(open_temp_dir / name, **environment)

    return start
