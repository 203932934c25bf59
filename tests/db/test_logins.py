"""The logins that own a database, and the roles beside them: the second wall stands under each."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from app.devdb import DevCluster
from conftest import NewDatabase
from db import migrations
from db.acting import ROLE as ACTING_ROLE
from db.models import Table
from db.session import Database
from services import billing, profiles
from services.till import Till
from tests import factories
from tests.db.walls import TOLD, WALLED, counts, owners

Connection = Any
"""A connection of the driver, whose type cannot be subscripted at run time."""


@pytest.fixture
async def as_superuser(cluster: DevCluster) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(cluster.url("postgres"))
    yield connection
    await connection.close()


async def owned_by(connection: Connection, new_database: NewDatabase, login: str, rights: str = "") -> str:
    """The URL of a new database for its owner, who is no superuser."""
    await connection.execute(f"CREATE ROLE {login} LOGIN PASSWORD 'p' {rights}")
    url = await new_database(f"of_{login}")
    await connection.execute(f"ALTER DATABASE of_{login} OWNER TO {login}")
    _, _, place = url.rpartition("@")
    return f"postgresql://{login}:p@{place}"


async def test_an_ordinary_owner_migrates_and_only_the_acting_door_reads_for_a_member(
    as_superuser: Connection, new_database: NewDatabase
) -> None:
    url = await owned_by(as_superuser, new_database, "ordinary", "CREATEROLE")
    is_there = await as_superuser.fetchval("SELECT count(*) FROM pg_roles WHERE rolname = $1", ACTING_ROLE)
    if is_there:  # made by another test's database: then its administrator shares it
        await as_superuser.execute(f"GRANT {ACTING_ROLE} TO ordinary")
    await asyncio.to_thread(migrations.upgrade, url)
    db = await Database.open(url, pool_size=2)
    account = await factories.account(db)
    other = await factories.account(db, email="other@example.com")
    actor = factories.actor(account)
    await profiles.upsert(db, actor, document={"a": 1})
    assert await counts(db, None) == dict.fromkeys(WALLED, 2) | {"credit_entry": 4}
    assert await owners(db, account.id) == {account.id}
    async with db.read() as session:
        assert list(await session.execute(text("SELECT * FROM credit_violation"))) == []
    # Without the owner's policies its own door shows nothing; what is done for a member goes on.
    async with db.transaction() as session:
        for table in (*WALLED, *TOLD):
            await session.execute(text(f"DROP POLICY service ON {table}"))
    now = datetime.now(UTC)
    await billing.take(db, Till(db), actor, account_id=None, amount=7, note="n", idempotency_key="k", now=now)
    assert (await profiles.update(db, actor, patch={"b": 2})).profile.document == {"a": 1, "b": 2}
    assert await owners(db, other.id) == {other.id}
    await db.close()


async def test_a_login_that_may_make_no_role_is_told_what_to_run(
    as_superuser: Connection, new_database: NewDatabase, service_database_url: str
) -> None:
    del service_database_url  # its migration has made the role, which belongs to the whole cluster
    url = await owned_by(as_superuser, new_database, "powerless")
    with pytest.raises(migrations.NotPermitted, match=f"GRANT {ACTING_ROLE} TO powerless"):
        await asyncio.to_thread(migrations.upgrade, url)
    await as_superuser.execute(f"GRANT {ACTING_ROLE} TO powerless")
    await asyncio.to_thread(migrations.upgrade, url)
    db = await Database.open(url, pool_size=1)
    account = await factories.account(db)
    assert await owners(db, account.id) == {account.id}
    await db.close()


SUPABASE = """
CREATE SCHEMA auth;
CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE AS $$
  SELECT coalesce(nullif(current_setting('request.jwt.claim.sub', true), ''),
    nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid $$;
COMMENT ON FUNCTION auth.uid() IS 'theirs';
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO anon, authenticated;
"""


async def test_in_a_supabase_project_its_function_is_used_and_its_roles_see_nothing(
    as_superuser: Connection, new_database: NewDatabase
) -> None:
    await as_superuser.execute("CREATE ROLE anon NOLOGIN; CREATE ROLE authenticated NOLOGIN")
    url = await new_database()
    connection = await asyncpg.connect(url)
    await connection.execute(SUPABASE)
    await asyncio.to_thread(migrations.upgrade, url)
    assert await connection.fetchval("SELECT obj_description('auth.uid()'::regprocedure)") == "theirs"
    db = await Database.open(url, pool_size=1)
    account = await factories.account(db)
    assert await owners(db, account.id) == {account.id}
    await connection.execute("SELECT set_config('request.jwt.claims', $1, false)", json.dumps({"sub": str(account.id)}))
    for role in ("anon", "authenticated"):
        await connection.execute(f"SET ROLE {role}")
        for table in (*Table.metadata.tables, "alembic_version"):
            assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 0
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            await connection.execute("INSERT INTO signing_key VALUES ('k', '', now())")
        await connection.execute("RESET ROLE")
    await connection.close()
    await db.close()
