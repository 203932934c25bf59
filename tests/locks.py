"""Who waits for whom in the database: how a test lets two transactions meet."""

import asyncio

from sqlalchemy import text

from db.session import Database, Session

_BLOCKED = text("SELECT count(*) FROM pg_stat_activity WHERE :pid = ANY (pg_blocking_pids(pid))")


async def waited_for(db: Database, session: Session, seconds: float = 5.0) -> None:
    """Return when somebody waits for what this transaction has locked."""
    pid = await session.scalar(text("SELECT pg_backend_pid()"))
    async with asyncio.timeout(seconds), db.read() as reading:
        while not await reading.scalar(_BLOCKED, {"pid": pid}):
            await asyncio.sleep(0.01)
