"""The two doors to the database: `read()` for one batch of reads, `transaction()` for one use-case.

Either can be gone through on behalf of an account: then the database itself shows and takes the rows of that account
alone, whatever the statements say (row-level security).
"""

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NewType, Self
from uuid import UUID

import asyncpg
import orjson
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

ReadSession = NewType("ReadSession", AsyncSession)
"""Reads alone, each statement for itself; a query that writes does not take it."""

Session = NewType("Session", ReadSession)
"""One transaction: commits when the block ends, rolls back when it raises. No network inside."""

ACTING_ROLE = "mailverdict_account"
"""What a transaction on behalf of an account may do in the database; made by the migrations."""


class Database:
    """A pool of connections to one PostgreSQL (15 or later)."""

    def __init__(self, engine: AsyncEngine) -> None:
        """Use an open engine in autocommit; `open` makes one from a URL."""
        self.engine = engine
        self._read = async_sessionmaker(engine, expire_on_commit=False, autoflush=False)
        self._acting = async_sessionmaker(engine, expire_on_commit=False)
        self._write = async_sessionmaker(
            engine.execution_options(isolation_level="READ COMMITTED"), expire_on_commit=False
        )

    @classmethod
    async def open(cls, url: str, *, pool_size: int = 10) -> Self:
        """Make the pool; connections are opened when first needed. A statement is cut off after 30 seconds."""
        engine = create_async_engine(
            make_url(url).set(drivername="postgresql+asyncpg"),
            pool_size=pool_size,
            max_overflow=0,
            pool_pre_ping=True,
            # Spares each read its BEGIN and ROLLBACK, and the ping before it too.
            isolation_level="AUTOCOMMIT",
            json_deserializer=orjson.loads,
            connect_args={"server_settings": {"application_name": "mailverdict", "statement_timeout": "30000"}},
        )
        return cls(engine)

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()

    @asynccontextmanager
    async def read(self, acting_for: UUID | None = None) -> AsyncIterator[ReadSession]:
        """A session for one batch of reads: of the rows of one account alone, or of all (None)."""
        if acting_for is None:
            async with self._read() as session:
                yield ReadSession(session)
        else:
            async with self._acting() as session, _acting(session, acting_for, "BEGIN READ ONLY"):
                yield ReadSession(session)

    @asynccontextmanager
    async def transaction(self, acting_for: UUID | None = None) -> AsyncIterator[Session]:
        """A session for one use-case, all or nothing: on the rows of one account alone, or on all (None)."""
        if acting_for is None:
            async with self._write.begin() as session:
                yield Session(ReadSession(session))
        else:
            async with self._acting() as session, _acting(session, acting_for, "BEGIN"):
                yield Session(ReadSession(session))


@asynccontextmanager
async def _acting(session: AsyncSession, account_id: UUID, begin: str) -> AsyncIterator[None]:
    """Hold a transaction in which role and claims are those of an account; both end with it.

    BEGIN, claims and role travel in one message, which the driver's simple protocol takes only without parameters.
    Names and form of the claims are Supabase's (`auth.uid()` reads them).
    """
    connection = await session.connection()
    driver: Any = (await connection.get_raw_connection()).driver_connection
    claims = f'{{"sub":"{UUID(int=account_id.int)}","role":"{ACTING_ROLE}"}}'
    become = f"SELECT set_config('request.jwt.claims', '{claims}', true), set_config('role', '{ACTING_ROLE}', true)"
    is_over = False
    try:
        await driver.execute(f"{begin}; {become}")
        yield
        await session.flush()
        await driver.execute("COMMIT")
        is_over = True
    except Exception:
        with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await driver.execute("ROLLBACK")
            is_over = True
        raise
    finally:
        # Cancelled, or without an answer: nobody knows what the server is at, so the connection is given up with
        # everything that was set in it.
        if not is_over:
            await connection.invalidate()
