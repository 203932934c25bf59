"""What is waiting: how much of it and for how long."""

from verifier.store.database import Pool, Record


async def read(pool: Pool) -> Record:
    """Return counts of open chunks, unplanned tasks and due webhooks, and how long the oldest has been due, in seconds.

    Each is read from an index that has the open ones alone.
    """
    return await pool.fetchrow(
        """
        SELECT chunks.count AS open_chunks, chunks.oldest AS oldest_chunk_seconds,
            tasks.count AS unplanned_tasks, tasks.oldest AS oldest_unplanned_seconds,
            webhooks.count AS due_webhooks, webhooks.oldest AS oldest_webhook_seconds
        FROM
            (SELECT count(*), extract(epoch FROM now() - min(not_before))::float8 AS oldest FROM chunk
             WHERE state IN ('queued', 'running') AND not_before <= now()) AS chunks,
            (SELECT count(*), extract(epoch FROM now() - min(created_at))::float8 AS oldest FROM task
             WHERE planned_at IS NULL AND canceled_at IS NULL) AS tasks,
            (SELECT count(*), extract(epoch FROM now() - min(due_at))::float8 AS oldest FROM webhook_delivery
             WHERE due_at <= now()) AS webhooks
        """
    )
