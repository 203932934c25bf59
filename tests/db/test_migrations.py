"""Migrations: up, down and up again; and what they make is what the models say."""

import asyncio
import sys
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from conftest import ROOT, NewDatabase
from db import migrations
from db.models import Table


async def looked_at(url: str, look: Any) -> Any:
    engine = create_async_engine(make_url(url).set(drivername="postgresql+asyncpg"), poolclass=NullPool)
    async with engine.connect() as connection:
        found = await connection.run_sync(look)
    await engine.dispose()
    return found


def revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def differences(connection: Connection) -> list[Any]:
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
    return list(compare_metadata(context, Table.metadata))


def tables(connection: Connection) -> set[str]:
    query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    return {row[0] for row in connection.execute(text(query))} - {"alembic_version"}


async def test_migrations_go_up_down_and_up_again(new_database: NewDatabase) -> None:
    url = await new_database()
    for _ in range(2):
        await asyncio.to_thread(migrations.upgrade, url)
        assert await looked_at(url, revision) == migrations.head()
        assert await looked_at(url, tables) == set(Table.metadata.tables)
        await asyncio.to_thread(command.downgrade, migrations.config(url), "base")
        assert await looked_at(url, tables) == set()


async def test_a_database_that_is_up_to_date_is_left_alone(service_database_url: str) -> None:
    await asyncio.to_thread(migrations.upgrade, service_database_url)
    assert await looked_at(service_database_url, revision) == migrations.head()


async def test_the_models_are_what_the_migrations_make(service_database_url: str) -> None:
    assert await looked_at(service_database_url, differences) == []


async def test_processes_that_start_together_migrate_once(new_database: NewDatabase) -> None:
    url = await new_database()
    program = f"from db import migrations; migrations.upgrade({url!r})"
    command_line = (sys.executable, "-c", program)
    processes = [await asyncio.create_subprocess_exec(*command_line, cwd=ROOT) for _ in range(2)]
    assert [await process.wait() for process in processes] == [0, 0]
    assert await looked_at(url, revision) == migrations.head()
