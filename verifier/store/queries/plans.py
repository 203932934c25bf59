"""A task's plan: which addresses are asked together. Written once, beside the jobs that carry it out."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from verifier.store import text
from verifier.store.database import Connection, Pool
from verifier.store.queries import jobs, results

ATTEMPTS_MAX = 5
LEVEL = 64
"""Priorities that share one level; the more chunks a plan has, the lower it stands within its levels."""


@dataclass(frozen=True, slots=True)
class Unplanned:
    """A task's addresses: malformed ones as sent, by number; the rest by normal form, with all numbers of each."""

    task_id: UUID
    attempts: int
    malformed: dict[int, str]
    numbers: dict[str, list[int]]

    @property
    def is_short(self) -> bool:
        """Tell whether it is planned without asking for mail hosts."""
        return sum(map(len, self.numbers.values())) <= jobs.SHORT_MAX


@dataclass(frozen=True, slots=True)
class NewChunk:
    """Addresses (by number) that are asked together. `mail_host` is None where they have several."""

    mail_host: str | None
    is_in_zone: bool
    ns: Sequence[int]


async def begin(pool: Pool, task_id: UUID) -> Unplanned | None:
    """Count an attempt and load what is to be planned; None where that is done or the task was canceled."""
    attempts = await pool.fetchval(
        """
        UPDATE task SET plan_attempts = plan_attempts + 1
        WHERE id = $1 AND planned_at IS NULL AND canceled_at IS NULL RETURNING plan_attempts
        """,
        task_id,
    )
    if attempts is None:
        return None
    unplanned = Unplanned(task_id, attempts, {}, {})
    for n, email, normalised in await pool.fetch(
        "SELECT n, email, normalised FROM address WHERE task_id = $1 ORDER BY n", task_id
    ):
        if normalised is None:
            unplanned.malformed[n] = text.decode(email)
        else:
            unplanned.numbers.setdefault(normalised, []).append(n)
    return unplanned


async def write(pool: Pool, task_id: UUID, *, settled: Sequence[results.Verdict], chunks: Sequence[NewChunk]) -> int:
    """Write the plan, the verdicts that need no network, and the chunks' jobs. Returns how many jobs were made.

    A chunk's priority makes users share: the k-th queued chunk of a user stands k levels behind what is served now.
    Within a level short plans come first.
    """
    async with pool.acquire() as connection, connection.transaction():
        share_key = await connection.fetchval(
            """
            UPDATE task SET planned_at = now()
            WHERE id = $1 AND planned_at IS NULL AND canceled_at IS NULL RETURNING coalesce(user_id, id)
            """,
            task_id,
        )
        if share_key is None:
            return 0
        if settled:
            await results.write(connection, task_id, settled, was_processing=0)
        return await _write_chunks(connection, task_id, share_key, chunks)


async def _write_chunks(connection: Connection, task_id: UUID, share_key: UUID, chunks: Sequence[NewChunk]) -> int:
    front = await jobs.front_priority(connection)
    waiting = await connection.fetchval(
        "SELECT count(*) FROM chunk WHERE share_key = $1 AND state = 'queued'", share_key
    )
    level = front // LEVEL - waiting
    bonus = max(LEVEL - len(chunks) - waiting, 0)
    placed = [(uuid4(), chunk, (level - place) * LEVEL + bonus) for place, chunk in enumerate(chunks)]
    await connection.copy_records_to_table(
        "chunk",
        columns=("id", "task_id", "share_key", "mail_host", "is_in_zone", "ns", "priority"),
        records=[
            (id, task_id, share_key, chunk.mail_host, chunk.is_in_zone, list(chunk.ns), priority)
            for id, chunk, priority in placed
        ],
    )
    await jobs.enqueue_chunks(
        connection, [jobs.ChunkJob(id, chunk.mail_host, priority) for id, chunk, priority in placed]
    )
    return len(placed)
