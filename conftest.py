"""What every test of the repository may ask for: a real PostgreSQL, databases in it, and the whole program running."""

import shutil
import tempfile
import uuid
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from app.devdb import DevCluster

NewDatabase = Callable[..., Awaitable[str]]


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
