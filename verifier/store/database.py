"""Connections to the verifier's PostgreSQL database."""

from typing import TypeAlias

import asyncpg

from verifier.store import revision

Pool: TypeAlias = asyncpg.Pool
Connection: TypeAlias = asyncpg.Connection
Record: TypeAlias = asyncpg.Record

# What tells that the database is gone, as opposed to a statement that it refused.
LOST = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what a command says whose connection was cut in its middle
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.InsufficientResourcesError,  # no connection is left, or no memory, or no disk
    asyncpg.InvalidCatalogNameError,  # the server is there, the database is not
)

CONNECT_TIMEOUT_SECONDS = 5.0
COMMAND_TIMEOUT_SECONDS = 60.0


class DatabaseUnusableError(Exception):
    """The database cannot be reached or was not migrated; the message says what to do."""


async def open_pool(url: str, *, size: int) -> Pool:
    """Open a pool of at most `size` connections to a migrated database; raise DatabaseUnusableError otherwise.

    One that a newer version migrated will do: versions run beside each other while they change.
    """
    try:
        pool = await asyncpg.create_pool(
            url,
            min_size=1,
            max_size=size,
            timeout=CONNECT_TIMEOUT_SECONDS,
            command_timeout=COMMAND_TIMEOUT_SECONDS,
            reset=_leave_session,
            server_settings={"application_name": "verifier", "jit": "off"},
        )
    except (*LOST, asyncpg.PostgresError, TimeoutError) as error:
        raise DatabaseUnusableError(f"VERIFIER_DATABASE_URL cannot be reached: {error}") from error
    found = await _revision(pool)
    if found is None or found < revision.head():
        await pool.close()
        lack = "our tables" if found is None else f"what came after revision {found}"
        raise DatabaseUnusableError(f"the database lacks {lack}: run `python -m verifier migrate` first")
    return pool


async def _leave_session(connection: Connection) -> None:
    """Do nothing when a connection goes back: we leave no session state, and a reset costs a round trip each time.

    asyncpg ends an open transaction all the same; the listener ends its own registrations.
    """


async def _revision(pool: Pool) -> str | None:
    try:
        found: str | None = await pool.fetchval("SELECT version_num FROM alembic_version")
    except asyncpg.UndefinedTableError:
        return None
    return found


async def probe(pool: Pool | Connection) -> None:
    """Ask the database for a sign of life."""
    await pool.fetchval("SELECT 1")
