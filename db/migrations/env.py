"""Alembic's entry: runs the revisions on asyncpg, one process at a time."""

import asyncio

from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from db.models import Table

_LOCK = 0x6D61696C  # an arbitrary number that every process of the service shares


def _migrate(connection: Connection) -> None:
    # Batches of processes start at the same time; the second waits here and then finds nothing to do.
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    context.configure(connection=connection, target_metadata=Table.metadata, compare_type=True)
    context.run_migrations()
    _close(connection)


def _close(connection: Connection) -> None:
    """Show our tables to their owner alone, whatever was granted: a Supabase project grants new ones to everybody."""
    query = text(
        "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND NOT relrowsecurity "
        "AND relkind = 'r' AND relname = ANY (:names)"
    )
    for name in connection.scalars(query, {"names": [*Table.metadata.tables, "alembic_version"]}):
        connection.execute(text(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY"))


async def _run(url: str) -> None:
    engine = create_async_engine(make_url(url).set(drivername="postgresql+asyncpg"), poolclass=NullPool)
    async with engine.begin() as connection:
        await connection.run_sync(_migrate)
    await engine.dispose()


asyncio.run(_run(context.config.attributes["url"]))
