"""What the service's tests share: its database, its parts with a real verifier upstream, and a GraphQL client."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import event, text

from app import server
from app.settings import Settings
from conftest import NewDatabase, RunningApp
from db import migrations
from db.listen import Listener, Notifier
from db.models import Account, Table
from db.session import Database
from resolvers.context import Parts
from services import progress
from services.authentication import Credentials
from services.identity.local import LocalIdentity
from services.links import Links
from services.mail import LogMailer
from services.outgoing import Outgoing
from services.sealing import Box
from services.signing import SigningKeys
from services.till import Till
from services.tokens import Tokens
from services.upstream.http import HttpUpstream
from services.upstream_keys import UpstreamKeys
from services.usage import Usage
from services.webhook_delivery import Deliveries
from services.webhooks import Secrets
from services.worker import Worker
from tests import factories
from tests.client import Client

SECRET = "the-secret-of-the-tests-0123456789abcdef"
PUBLIC_URL = "http://service.test"

Raw = Callable[..., Awaitable[list[Any]]]


@pytest.fixture(scope="session")
async def migrated(new_database: NewDatabase) -> str:
    """The name of a database with all tables and no rows: to clone it is quicker than to migrate another."""
    await asyncio.to_thread(migrations.upgrade, await new_database("migrated"))
    return "migrated"


@pytest.fixture(scope="session")
async def service_database_url(new_database: NewDatabase, migrated: str) -> str:
    """The database of the session; every test leaves it empty."""
    return await new_database("service_tests", template=migrated)


@pytest.fixture(scope="session")
async def open_db(service_database_url: str) -> AsyncIterator[Database]:
    """The session's connections, with what they and SQLAlchemy know of each statement once they have run it."""
    database = await Database.open(service_database_url, pool_size=5)
    yield database
    await database.close()


@pytest.fixture
async def db(open_db: Database) -> AsyncIterator[Database]:
    """The database, empty but for what the test writes."""
    yield open_db
    await empty(open_db)


TABLES = [table.name for table in reversed(Table.metadata.sorted_tables)]
EMPTY = f"""BEGIN; SET LOCAL session_replication_role = replica;
{"".join(f"DELETE FROM {name};" for name in TABLES)} COMMIT"""
"""One message that deletes every row; as a replica, because the ledger refuses that. TRUNCATE takes much longer."""


async def empty(database: Database) -> None:
    """Delete every row, once the ledger was found sound: whatever a test did, no invariant may be broken."""
    async with database.engine.connect() as connection:
        driver: Any = (await connection.get_raw_connection()).driver_connection
        violations = await driver.fetch("SELECT invariant, problem, subject_id FROM credit_violation")
        await driver.execute(EMPTY)
    assert violations == []


class Statements:
    """The SQL statements that a database was sent."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    @contextlib.contextmanager
    def counted(self) -> Iterator[list[str]]:
        """The statements of a block."""
        self.texts.clear()
        found: list[str] = []
        yield found
        found.extend(self.texts)


@pytest.fixture
def statements(db: Database) -> Iterator[Statements]:
    seen = Statements()

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.texts.append(statement)

    event.listen(db.engine.sync_engine, "before_cursor_execute", note)
    db.hot.heard = lambda text, _values: seen.texts.append(text)
    yield seen
    db.hot.heard = None
    event.remove(db.engine.sync_engine, "before_cursor_execute", note)


@pytest.fixture
async def upstream(running_app: RunningApp) -> AsyncIterator[HttpUpstream]:
    """The verifier of the session's running instance, over real HTTP."""
    client = HttpUpstream(f"{running_app.verifier}/api/v1")
    yield client
    await client.close()


@pytest.fixture
def upstream_key(running_app: RunningApp) -> str:
    return (Path(running_app.data_dir) / "verifier.key").read_text().strip()


@pytest.fixture
async def parts(
    db: Database, service_database_url: str, upstream: HttpUpstream, upstream_key: str
) -> AsyncIterator[Parts]:
    notifier = Notifier(service_database_url)
    hub, announcer = progress.Hub(), progress.Announcer(notifier)
    listener = Listener(service_database_url, progress.CHANNEL, hub.hear)
    announcing, listening = asyncio.create_task(announcer.run()), asyncio.create_task(listener.run())
    box = Box(SECRET)
    keys = SigningKeys(db, box)
    tokens = Tokens(SECRET, f"{PUBLIC_URL}/auth/v1", keys)
    identity = LocalIdentity(db, tokens, keys, LogMailer(is_link_shown=True), secret=SECRET, public_url=PUBLIC_URL)
    outgoing = Outgoing([ip_network("127.0.0.0/8")], is_http_allowed=True)
    secrets = Secrets(box)
    yield Parts(
        db=db,
        till=Till(db),
        upstream=upstream,
        upstream_keys=UpstreamKeys(db, box, upstream, upstream_key),
        credentials=Credentials(tokens, pepper=SECRET),
        links=Links(SECRET, PUBLIC_URL),
        hub=hub,
        announcer=announcer,
        upload_bytes_max=1 << 20,
        identity=identity,
        usage=Usage(db),
        outgoing=outgoing,
        webhook_secrets=secrets,
        deliveries=Deliveries(db, secrets, outgoing),
    )
    await outgoing.aclose()
    await identity.aclose()
    announcer.close()
    listening.cancel()
    await asyncio.wait((announcing, listening))
    await notifier.close()


@pytest.fixture
def worker(parts: Parts) -> Worker:
    """A worker that acts when a test says so."""
    return Worker(parts.db, parts.upstream, parts.upstream_keys, parts.hub, parts.announcer, parts.usage)


@pytest.fixture
async def account(db: Database) -> Account:
    return await factories.account(db)


@pytest.fixture
async def http(parts: Parts) -> AsyncIterator[httpx.AsyncClient]:
    """The ASGI application, spoken to without a socket."""
    settings = Settings.from_env({"PUBLIC_URL": PUBLIC_URL, "SECRET_KEY": SECRET})
    app = server.create_app(parts, settings)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=PUBLIC_URL) as client:
        yield client


@pytest.fixture
def client(http: httpx.AsyncClient, parts: Parts, account: Account) -> Client:
    """GraphQL as `account`."""
    return Client(http, token(parts, account))


@pytest.fixture
async def stranger(http: httpx.AsyncClient, parts: Parts, db: Database) -> Client:
    """GraphQL as somebody else."""
    return Client(http, token(parts, await factories.account(db, email="stranger@example.com")))


def token(parts: Parts, account: Account, lifetime: timedelta = timedelta(hours=1)) -> str:
    """A bearer token for an account."""
    return parts.credentials.tokens.issue(account.id, account.email, now=datetime.now(UTC), lifetime=lifetime)


@pytest.fixture
def raw(db: Database) -> Raw:
    """A function that runs SQL and gives its rows, for what a test must see behind the API."""

    async def run(sql: str, **values: Any) -> list[Any]:
        async with db.transaction() as session:
            return list(await session.execute(text(sql), values))

    return run
