"""The two doors to the database: `read()` for one batch of reads, `transaction()` for one use-case."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NewType, Self

from sqlalchemy import event, exc
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from db import hot

ReadSession = NewType("ReadSession", AsyncSession)
"""Reads alone, each statement for itself; a query that writes does not take it."""

Session = NewType("Session", ReadSession)
"""One transaction: commits when the block ends, rolls back when it raises. No network inside."""


class Database:
    """A pool of connections to one PostgreSQL (15 or later)."""

    def __init__(self, engine: AsyncEngine, reads: hot.Reads) -> None:
        """Use an open engine and hot reads; `open` makes them from a URL."""
        self.engine = engine
        self.hot = reads
        event.listen(engine.sync_engine, "checkout", _see_that_it_lives)
        self._write = async_sessionmaker(engine, expire_on_commit=False)
        # Autocommit spares each read its BEGIN and ROLLBACK.
        self._read = async_sessionmaker(
            engine.execution_options(isolation_level="AUTOCOMMIT"), expire_on_commit=False, autoflush=False
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
            connect_args={"server_settings": server_settings},
        )
        return cls(engine, await hot.Reads.open(url, size=pool_size, server_settings=server_settings))

    async def close(self) -> None:
        """Close every connection."""
        await self.hot.close()
        await self.engine.dispose()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[ReadSession]:
        """A session for one batch of reads."""
        async with self._read() as session:
            yield ReadSession(session)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session]:
        """A session for one use-case: all or nothing."""
        async with self._write.begin() as session:
            yield Session(ReadSession(session))


def _see_that_it_lives(connection: Any, _record: Any, _proxy: Any) -> None:  # noqa: ANN401 - the driver's own
    """Have the pool open another connection for one that the server has closed: a ping would take three round trips."""
    if connection.driver_connection.is_closed():
        raise exc.DisconnectionError
