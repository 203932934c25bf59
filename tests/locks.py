"""Who waits for whom in the database: how a test lets two transactions meet."""

import asyncio

from sqlalchemy import text

from db.session import Database

_WAITS = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")


async def somebody_waits(db: Database, seconds: float = 5.0) -> None:
    """Return when a transaction waits for a lock that another one has."""
    async with asyncio.timeout(seconds):
        while True:
            async with db.read() as session:
                if await session.scalar(_WAITS):
                    return
            await asyncio.sleep(0.01)
