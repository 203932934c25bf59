"""What every test of the repository may ask for: a real PostgreSQL, databases in it, and the whole program running."""

import asyncio
import contextlib
import dataclasses
import fcntl
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest
import structlog

from app import settings
from app.devdb import DevCluster

ROOT = Path(__file__).parent
READY_SECONDS = 60.0
STOP_SECONDS = 15.0

# Bytecode is kept, whatever this machine prefers: each of the suite's many processes would else compile all modules.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # noqa: TID251 - nothing is read: processes must not inherit it

NewDatabase = Callable[..., Awaitable[str]]
NewDataDir = Callable[[str], Path]


SLOW = (
    "tests/app/test_admin_command.py",
    "tests/app/test_devdb.py",
    "tests/app/test_doors.py",
    "tests/app/test_one_command.py",
    "tests/app/test_production.py",
    "tests/app/test_reconcile.py",
    "tests/app/test_upstream_key.py",
    "tests/app/test_verify.py",
    "tests/contract/test_auth_js.py",
    "tests/contract/test_hosted_contract.py",
    "tests/e2e/test_guide.py",
    "tests/e2e/test_restarts.py",
    "tests/edge/test_execution.py",
    "tests/services/test_charged_once.py",
    "tests/services/test_deletion.py",
    "tests/services/test_payments_kills.py",
    "tests/services/test_replicas.py",
    "tests/services/test_searching.py",
    "tests/services/test_supabase.py",
    "tests/services/test_throttle.py",
    "tests/services/worker/test_faults.py",
    "verifier/tests/dispatch/test_processes.py",
    "verifier/tests/dispatch/test_rests.py",
    "verifier/tests/lab/test_bulk_on_the_lab.py",
    "verifier/tests/lab/test_engine_on_the_lab.py",
)
"""Files whose tests start programs, wait for clocks, or try very many things: `pytest -m slow` runs these alone."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the slow ones, before they are chosen by it; begin with those that take longest.

    So no process is left alone with one of them at the end.
    """
    for item in items:
        if item.nodeid.startswith(SLOW):
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: "tests/e2e" not in item.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Remove what the processes of the suite shared, when the last of them has ended."""
    if not hasattr(session.config, "workerinput"):
        shutil.rmtree(shared_dir(session.config), ignore_errors=True)


def shared_dir(config: pytest.Config) -> Path:
    """The folder that all processes of this run of the suite share, named for the one that started them."""
    run = os.getppid() if hasattr(config, "workerinput") else os.getpid()
    return Path(tempfile.gettempdir()) / f"mailverdict-run-{run}"


@pytest.fixture(autouse=True)
async def _its_tasks() -> AsyncIterator[None]:
    """End what a test leaves running on the session's loop, as the end of a loop of its own would."""
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left)


@pytest.fixture
def plain_logging() -> Iterator[None]:
    """Undo what a test's program does to logging: its handler writes to a standard error that ends with the test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


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
def new_data_dir(request: pytest.FixtureRequest, open_temp_dir: Path) -> NewDataDir:
    """Give `new_data_dir(name)`: the data directory of an instance that was started on nothing, and stopped.

    A first start makes a cluster and migrates two databases, which is most of its cost: it is paid once a run, and
    every directory is a copy.
    """
    folder = shared_dir(request.config)
    folder.mkdir(mode=0o711, exist_ok=True)
    data_dir = folder / "started-once"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            with running_program(data_dir):
                pass
            for port in data_dir.rglob("*.port"):  # each instance finds its own
                port.unlink()
            (folder / "done").touch()

    def copy(name: str) -> Path:
        subprocess.run(["cp", "--archive", data_dir, open_temp_dir / name], check=True)  # noqa: S607 - found on PATH
        return open_temp_dir / name

    return copy


@pytest.fixture(scope="session")
def start_app(open_temp_dir: Path, new_data_dir: NewDataDir) -> StartApp:
    """Give `start_app(name, **environment)`: another instance, or the one of that name again."""

    def start(name: str, **environment: str) -> contextlib.AbstractContextManager[RunningApp]:
        data_dir = open_temp_dir / name
        return running_program(data_dir if data_dir.exists() else new_data_dir(name), **environment)

    return start


@pytest.fixture(scope="session")
def running_app(start_app: StartApp) -> Iterator[RunningApp]:
    """The whole program for the session; its sandbox answers with a round trip of 30 ms, so that tasks last."""
    with start_app("app", VERIFIER_LAB_DELAY_MS="30") as app:
        yield app
