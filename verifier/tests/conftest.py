"""What the verifier's tests share: a migrated database each, the lab, the REST process and a worker, all real."""

import asyncio
import os
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest

from verifier.api import server
from verifier.dispatch import worker
from verifier.lab.internet import Lab
from verifier.settings import Need, Settings
from verifier.store import database, migrations
from verifier.tests import contract, postgres
from verifier.tests.rest import Rest

SERVICE_KEY = "the-service-credential-of-the-tests-0123456789"


@pytest.fixture(scope="session")
def postgres_server_url() -> Iterator[str]:
    """The `postgres` database of a server: our own, or the one that TEST_POSTGRES_URL names."""
    if url := os.environ.get("TEST_POSTGRES_URL"):
        yield url
        return
    directory = Path(tempfile.mkdtemp(prefix="verifier-"))
    try:
        with postgres.cluster(directory) as own_url:
            yield own_url
    finally:
        shutil.rmtree(directory)


@pytest.fixture(scope="session")
def template(postgres_server_url: str) -> str:
    """A migrated database that tests copy."""
    name = f"template_{uuid.uuid4().hex[:12]}"

    async def create() -> None:
        connection = await asyncpg.connect(postgres_server_url)
        await connection.execute(f"CREATE DATABASE {name}")
        await connection.close()

    asyncio.run(create())
    migrations.upgrade(_with_database(postgres_server_url, name))
    return name


@pytest.fixture(scope="session")
def emptied(postgres_server_url: str) -> Iterator[list[str]]:
    """Databases that a test has left and that were emptied: to make and to drop one takes longer than most tests."""
    names: list[str] = []
    yield names
    for name in names:
        asyncio.run(_drop(postgres_server_url, name))


@pytest.fixture
async def database_url(postgres_server_url: str, template: str, emptied: list[str]) -> AsyncIterator[str]:
    """An empty database with all tables."""
    if not emptied:
        name = f"test_{uuid.uuid4().hex[:12]}"
        connection = await asyncpg.connect(postgres_server_url)
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        await connection.close()
        emptied.append(name)
    name = emptied.pop()
    yield _with_database(postgres_server_url, name)
    if await _empty(_with_database(postgres_server_url, name)):
        emptied.append(name)
    else:
        await _drop(postgres_server_url, name)


async def _empty(url: str) -> bool:
    """Delete every row of a database; False where it is gone, is in use, or is not what the migrations make."""
    try:
        connection = await asyncpg.connect(url)
    except asyncpg.InvalidCatalogNameError:
        return False
    try:
        others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        names = {row["tablename"] for row in tables}
        if "alembic_version" not in names or await connection.fetchval(others):
            return False
        deletes = "".join(f"DELETE FROM {name};" for name in names - {"alembic_version"})
        await connection.execute(f"SET session_replication_role = replica; {deletes}")
        return True
    finally:
        await connection.close()


async def _drop(server_url: str, name: str) -> None:
    connection = await asyncpg.connect(server_url)
    await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    await connection.close()


def _with_database(url: str, name: str) -> str:
    return urlsplit(url)._replace(path=f"/{name}").geturl()


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[database.Pool]:
    pool = await database.open_pool(database_url, size=5)
    yield pool
    await pool.close()


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    async with Lab() as running:
        yield running


@pytest.fixture
def env(database_url: str) -> dict[str, str]:
    """The environment of the verifier's processes, without a sandbox."""
    return {
        "VERIFIER_DATABASE_URL": database_url,
        "VERIFIER_PORT": "0",
        "VERIFIER_SERVICE_KEY": SERVICE_KEY,
        "VERIFIER_HELO": "verifier.example.com",
        "VERIFIER_ZONE_RETRY_SECONDS": "0.5,1,1",
    }


@pytest.fixture
async def rest(env: dict[str, str]) -> AsyncIterator[Rest]:
    """The REST process without a worker and without a sandbox, behind a client that holds it to the contract."""
    async with _serving(env) as client:
        yield client


@pytest.fixture
async def sandbox(env: dict[str, str], lab: Lab) -> AsyncIterator[Rest]:
    """The REST process over the lab, without a worker."""
    env["VERIFIER_ZONES"] = lab.zone_setting
    async with _serving(env) as client:
        yield client


@pytest.fixture
async def working(sandbox: Rest, env: dict[str, str]) -> AsyncIterator[Rest]:
    """The REST process and a worker over the lab."""
    stopping, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(worker.run(Settings.from_env(env, set(Need)), stopping, ready.set))
    is_ready = asyncio.create_task(ready.wait())
    await asyncio.wait({task, is_ready}, return_when=asyncio.FIRST_COMPLETED)
    is_ready.cancel()
    yield sandbox
    stopping.set()
    await task


@asynccontextmanager
async def _serving(env: dict[str, str]) -> AsyncIterator[Rest]:
    stopping = asyncio.Event()
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(server.run(Settings.from_env(env, set(Need)), stopping, url.set_result))
    task.add_done_callback(lambda ended: url.done() or url.cancel())
    async with httpx.AsyncClient(
        base_url=await url,
        headers={"Authorization": f"Bearer {SERVICE_KEY}"},
        event_hooks={"response": [contract.hold]},
        timeout=30,
        verify=False,  # noqa: S501 - loopback without TLS, and loading certificates takes longer than most tests
    ) as client:
        yield Rest(client)
    stopping.set()
    await task
