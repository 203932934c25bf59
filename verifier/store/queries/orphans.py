"""What no live job serves although it should: found and enqueued again."""

from datetime import timedelta

from verifier.store.database import Connection, Pool
from verifier.store.queries import jobs

LOCK_KEY = 7_205_759_404  # one worker looks at a time
BATCH = 1000


async def enqueue(pool: Pool, *, quiet_for: timedelta) -> int:
    """Enqueue due chunks and unplanned tasks that lack a live job and were quiet for a while; return how many.

    Deliveries for workers of which none lives are handed to any other.
    """
    async with pool.acquire() as connection, connection.transaction():
        if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", LOCK_KEY):
            return 0
        found = await _chunks(connection, quiet_for) + await _plans(connection, quiet_for)
        return found + await jobs.adopt(connection)


async def _chunks(connection: Connection, quiet_for: timedelta) -> int:
    rows = await connection.fetch(
        """
        SELECT id, mail_host, priority, retries FROM chunk
        WHERE state IN ('queued', 'running') AND not_before <= now() AND updated_at < now() - $1::interval
        AND NOT EXISTS (
            SELECT FROM pgqueuer WHERE dedupe_key = chunk.id::text || ':' || chunk.retries
            AND status IN ('queued', 'picked')
        ) LIMIT $2
        """,
        quiet_for, BATCH,
    )  # fmt: skip
    await jobs.enqueue_chunks(
        connection, [jobs.ChunkJob(row["id"], row["mail_host"], row["priority"], row["retries"]) for row in rows]
    )
    return len(rows)


async def _plans(connection: Connection, quiet_for: timedelta) -> int:
    rows = await connection.fetch(
        """
        SELECT id, email_count FROM task
        WHERE planned_at IS NULL AND canceled_at IS NULL AND updated_at < now() - $1::interval
        AND NOT EXISTS (
            SELECT FROM pgqueuer WHERE dedupe_key = 'plan:' || task.id AND status IN ('queued', 'picked')
        ) LIMIT $2
        """,
        quiet_for, BATCH,
    )  # fmt: skip
    for row in rows:
        await jobs.enqueue_plan(connection, row["id"], addresses=row["email_count"])
    return len(rows)
