"""What is deleted for good, in small transactions: results and lists of ended tasks, logs, stale pace and figures."""

from dataclasses import dataclass
from datetime import timedelta

from verifier.store.database import Connection, Pool
from verifier.store.queries import series

LOCK_KEY = 7_205_759_405  # one program purges at a time
BATCH = 20_000
LOG_KEPT = timedelta(days=1)
PACE_KEPT = timedelta(days=1)
FIGURES_KEPT = timedelta(days=30)


@dataclass(slots=True)
class Purged:
    """How much was deleted."""

    tasks: int = 0
    log_rows: int = 0
    mail_hosts: int = 0

    @property
    def count(self) -> int:
        """Return whether it was anything at all."""
        return self.tasks + self.log_rows + self.mail_hosts


async def everything(pool: Pool, *, read_for: timedelta, unread_for: timedelta) -> Purged:
    """Delete what is due. Results go that long after their task's end, sooner where they were read to their end."""
    purged = Purged()
    async with pool.acquire() as connection:
        if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK_KEY):
            return purged
        try:
            await _results(connection, purged, read_for, unread_for)
            await _queue_log(connection, purged)
            await _mail_hosts(connection, purged)
        finally:
            await connection.execute("SELECT pg_advisory_unlock($1)", LOCK_KEY)
    return purged


async def _results(connection: Connection, purged: Purged, read_for: timedelta, unread_for: timedelta) -> None:
    """Delete lists and results, task by task; the task with its counters stays."""
    while True:
        task_id = await connection.fetchval(
            """
            SELECT id FROM task WHERE finished_at IS NOT NULL AND purged_at IS NULL
            AND finished_at < now() - CASE WHEN read_at IS NOT NULL THEN $1::interval ELSE $2::interval END
            ORDER BY finished_at LIMIT 1
            """,
            read_for, unread_for,
        )  # fmt: skip
        if task_id is None:
            return
        async with connection.transaction():
            await series.keep(connection, [task_id])
            for table in ("result", "address", "chunk"):
                await connection.execute(f"DELETE FROM {table} WHERE task_id = $1", task_id)  # noqa: S608 - our tables
            await connection.execute("UPDATE task SET purged_at = now() WHERE id = $1", task_id)
        purged.tasks += 1


async def _queue_log(connection: Connection, purged: Purged) -> None:
    """Delete the queue's log and statistics, and the jobs that failed, which nobody reads after a day."""
    for table, since in (
        ("pgqueuer_log", "created"),
        ("pgqueuer_statistics", "created"),
        ("pgqueuer", "status = 'failed' AND updated"),
    ):
        while True:
            status = await connection.execute(
                f"""
                DELETE FROM {table} WHERE ctid = ANY(ARRAY(
                    SELECT ctid FROM {table} WHERE {since} < now() - $1::interval LIMIT $2
                ))
                """,  # noqa: S608 - our own names
                LOG_KEPT, BATCH,
            )  # fmt: skip
            deleted = _count(status)
            purged.log_rows += deleted
            if deleted < BATCH:
                break


async def _mail_hosts(connection: Connection, purged: Purged) -> None:
    """Forget the pace of mail hosts: what was learned a day ago is no longer true."""
    await connection.execute("DELETE FROM mx_slot WHERE until < now() - interval '1 hour'")
    await connection.execute("DELETE FROM worker WHERE seen_at < now() - interval '1 hour'")
    await connection.execute("DELETE FROM mail_host_figures WHERE updated_at < now() - $1::interval", FIGURES_KEPT)
    purged.mail_hosts += _count(
        await connection.execute(
            """
            DELETE FROM mx_gate WHERE used_at < now() - $1::interval AND paused_until < now()
            AND NOT EXISTS (SELECT FROM mx_slot WHERE mx_slot.mail_host = mx_gate.mail_host AND until > now())
            """,
            PACE_KEPT,
        )
    )


def _count(status: str) -> int:
    return int(status.rpartition(" ")[2])
