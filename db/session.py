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
from sqlalchemy import event, exc
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from db import acting, hot

ReadSession = NewType("ReadSession", AsyncSession)
"""Reads alone, each statement for itself; a query that writes does not take it."""

Session = NewType("Session", ReadSession)
"""One transaction: commits when the block ends, rolls back when it raises. No network inside."""


class Database:
    """A pool of connections to one PostgreSQL (15 or later)."""

    def __init__(self, engine: AsyncEngine, reads: hot.Reads) -> None:
        """Use an open engine in autocommit, and hot reads; `open` makes them from a URL."""
        self.engine = engine
        self.hot = reads
        event.listen(engine.sync_engine, "checkout", _see_that_it_lives)
        self._read = async_sessionmaker(engine, expire_on_commit=False, autoflush=False)
        self._acting = async_sessionmaker(engine, expire_on_commit=False)
        self._write = async_sessionmaker(
            engine.execution_options(isolation_level="READ COMMITTED"), expire_on_commit=False
        )

    @classmethod
    async def open(cls, url: str, *, pool_size: int = 10) -> Self:
        """Make the pools, `pool_size` connections for sessions and as many for hot reads, opened when first needed.

        A statement is cut off after 30 seconds.
        """
        server_settings = {"application_name": "mailverdict", "statement_timeout": "30000"}
        engine = create_async_engine(
            make_url(url).set(drivername="postgresql+asyncpg"),
            pool_size=pool_size,
            max_overflow=0,
            isolation_level="AUTOCOMMIT",  # spares each read its BEGIN and ROLLBACK
            json_deserializer=orjson.loads,
            hide_parameters=True,  # errors are logged: values are addresses, notes, cells of files
            connect_args={"server_settings": server_settings},
        )
        return cls(engine, hot.Reads(url, size=pool_size, server_settings=server_settings))

    async def close(self) -> None:
        """Close every connection."""
        self.hot.close()
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
    """Hold a transaction in which role and claims are those of an account; both end with it."""
    connection = await session.connection()
    driver: Any = (await connection.get_raw_connection()).driver_connection
    is_over = False
    try:
        await driver.execute(acting.begin(account_id, begin))
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


def _see_that_it_lives(connection: Any, _record: Any, _proxy: Any) -> None:  # noqa: ANN401 - the driver's own
    """Have the pool open another connection for one that the server has closed: a ping would take three round trips."""
    if connection.driver_connection.is_closed():
        raise exc.DisconnectionError
