"""The queue: jobs go in beside the rows they are about, in one transaction. Jobs only deliver; rows are the truth."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Self
from uuid import UUID

import orjson
from pgqueuer import db as drivers
from pgqueuer.adapters.persistence.queries import Queries

from verifier.store.database import Connection, Pool

PLAN = "plan"  # of a short list: quick, and before every chunk
PLAN_LONG = "plan.long"  # apart, so that long lists take no place of chunks and of short lists
VERIFY = "verify"
RETRY = "verify.retry"  # apart, so that delayed jobs are not walked over at every pick of a fresh one

PLAN_PRIORITY = 2**30
SHORT_MAX = 50
"""A list of so many addresses is short: it is one chunk (two with a sandbox), whatever their mail hosts are."""
LONG_MAX = 10_000
ABSENT_AFTER = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class ChunkJob:
    """One delivery of one chunk; `retries` counts how often it was put off, so that each round is its own job.

    `egress` names the workers that the delivery is for.
    """

    chunk_id: UUID
    mail_host: str | None
    priority: int = 0
    retries: int = 0
    delay_seconds: float = 0
    egress: str | None = None

    @property
    def entrypoint(self) -> str:
        """Return which lane of the queue it takes."""
        if not self.retries:
            return VERIFY
        return RETRY if self.egress is None else retry_by(self.egress)

    @property
    def payload(self) -> bytes:
        """Return what the worker needs before it touches the chunk."""
        return orjson.dumps({"chunk": str(self.chunk_id), "mail_host": self.mail_host, "retries": self.retries})

    @property
    def dedupe_key(self) -> str:
        """Return the name that at most one live job has."""
        return f"{self.chunk_id}:{self.retries}"

    @classmethod
    def from_payload(cls, payload: bytes | None) -> Self:
        """Read a job's payload back."""
        fields = orjson.loads(payload or b"{}")
        return cls(UUID(fields["chunk"]), fields["mail_host"], retries=fields["retries"])


def retry_by(egress: str) -> str:
    """Return the lane of chunks that are to be asked again from where they were asked before."""
    return f"{RETRY}@{egress}"


async def enqueue_plan(connection: Connection, task_id: UUID, *, addresses: int) -> None:
    """Have a task cut into chunks; does nothing where that is waiting already.

    Of long ones, the k-th of a user comes after the first of every other, and shorter ones before longer ones.
    """
    if addresses <= SHORT_MAX:
        entrypoint, priority = PLAN, PLAN_PRIORITY
    else:
        waiting = await connection.fetchval(
            """
            SELECT count(*) FROM task WHERE planned_at IS NULL AND canceled_at IS NULL
            AND coalesce(user_id, id) = (SELECT coalesce(user_id, id) FROM task WHERE id = $1)
            """,
            task_id,
        )
        entrypoint, priority = PLAN_LONG, -(waiting * LONG_MAX + min(addresses, LONG_MAX))
    await _queries(connection).enqueue(
        entrypoint, str(task_id).encode(), priority, dedupe_key=f"plan:{task_id}", on_conflict="skip"
    )


async def enqueue_chunks(connection: Connection, chunk_jobs: Sequence[ChunkJob]) -> None:
    """Have chunks verified; a chunk that a live job serves already is left to it."""
    if not chunk_jobs:
        return
    await _queries(connection).enqueue(
        [job.entrypoint for job in chunk_jobs],
        [job.payload for job in chunk_jobs],
        [job.priority for job in chunk_jobs],
        [timedelta(seconds=job.delay_seconds) for job in chunk_jobs],
        [job.dedupe_key for job in chunk_jobs],
        on_conflict="skip",
    )


async def adopt(connection: Connection) -> int:
    """Hand deliveries to any worker that are for workers of which none lives; return how many."""
    status = await connection.execute(
        """
        UPDATE pgqueuer SET entrypoint = $1, status = 'queued', queue_manager_id = NULL, updated = now()
        WHERE starts_with(entrypoint, $1 || '@') AND execute_after <= now()
        AND (status = 'queued' OR (status = 'picked' AND heartbeat < now() - $2::interval))
        AND NOT EXISTS (
            SELECT FROM worker WHERE $1 || '@' || egress = pgqueuer.entrypoint AND seen_at > now() - $2::interval
        )
        """,
        RETRY, ABSENT_AFTER,
    )  # fmt: skip
    return int(status.rpartition(" ")[2])


async def front_priority(connection: Connection) -> int:
    """Return the priority that is served now: the highest queued one."""
    highest = await connection.fetchval(
        "SELECT max(priority) FROM pgqueuer WHERE status = 'queued' AND entrypoint = $1", VERIFY
    )
    return highest or 0


async def analyze(pool: Pool) -> None:
    """Tell the planner what the queue looks like; without it a pick sorts the whole backlog (38 ms against 1.6 ms)."""
    await pool.execute("ANALYZE pgqueuer")


def _queries(connection: Connection) -> Queries:
    return Queries(drivers.AsyncpgDriver(connection))
