"""The service with an upstream that misbehaves when it is told to."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog

from conftest import NewDatabase
from db.models import Account
from db.session import Database
from resolvers.context import Parts
from services.upstream import http
from services.upstream.http import HttpUpstream
from tests import factories, redis_server
from tests.services import faulty_upstream, hosted_upstream, shop
from tests.services.faulty_upstream import FaultyUpstream
from tests.services.hosted_upstream import HostedFake


@pytest.fixture
async def faulty() -> AsyncIterator[FaultyUpstream]:
    async with faulty_upstream.running() as upstream:
        yield upstream


@pytest.fixture
async def upstream(faulty: FaultyUpstream, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[HttpUpstream]:
    """The service's own client of that upstream, with less patience than in life."""
    monkeypatch.setattr(http, "_BACKOFF_SECONDS", 0.02)
    client = HttpUpstream(faulty.url, timeout_seconds=0.5, breaker_seconds=0.3)
    yield client
    await client.close()


@pytest.fixture
def upstream_key() -> str:
    return "the-key-of-the-tests"


@pytest.fixture
async def poor(db: Database) -> Account:
    """An account without credits."""
    return await factories.account(db, "poor@example.com", balance=0)


@pytest.fixture
async def buyer(db: Database) -> Account:
    return await factories.account(db, "buyer@example.com", balance=0)


@pytest.fixture(scope="session")
def redis_program() -> Path:
    return redis_server.find_program()


@pytest.fixture
def redis(redis_program: Path, tmp_path: Path) -> Iterator[redis_server.Redis]:
    with redis_server.running(redis_program, tmp_path) as running:
        yield running


@pytest.fixture(params=["mock", "stripe"], name="shop")
async def _shop(request: pytest.FixtureRequest, parts: Parts) -> AsyncIterator[shop.Shop]:
    """The service with each of the payment providers in turn."""
    async with shop.open_shop(parts, request.param) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _plain_log() -> Iterator[None]:
    """Exceptions that tests provoke are logged plainly: with all local variables, one takes minutes."""
    plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[structlog.processors.add_log_level, plain])
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
async def provider_db(new_database: NewDatabase, migrated: str) -> AsyncIterator[Database]:
    """The database of the stand-in for an identity provider; who writes to it leaves it empty."""
    database = await Database.open(await new_database("provider_tests", template=migrated), pool_size=5)
    yield database
    await database.close()


@pytest.fixture
async def hosted() -> AsyncIterator[HostedFake]:
    """A hosted verifier that tells no ids."""
    async with hosted_upstream.running() as fake:
        yield fake
