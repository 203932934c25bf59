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

PLAN = "plan"
VERIFY = "verify"
RETRY = "verify.retry"  # apart, so that delayed jobs are not walked over at every pick of a fresh one

PLAN_PRIORITY = 1_000_000  # before every chunk: a plan is short, and it decides how chunks share


@dataclass(frozen=True, slots=True)
class ChunkJob:
    """One delivery of one chunk; `retries` counts how often it was put off, so that each round is its own job."""

    chunk_id: UUID
    mail_host: str | None
    priority: int = 0
    retries: int = 0
    delay_seconds: float = 0

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


async def enqueue_plan(connection: Connection, task_id: UUID) -> None:
    """Have a task cut into chunks; does nothing where that is waiting already."""
    await _queries(connection).enqueue(
        PLAN, str(task_id).encode(), PLAN_PRIORITY, dedupe_key=f"plan:{task_id}", on_conflict="skip"
    )


async def enqueue_chunks(connection: Connection, chunk_jobs: Sequence[ChunkJob]) -> None:
    """Have chunks verified; a chunk that a live job serves already is left to it."""
    if not chunk_jobs:
        return
    await _queries(connection).enqueue(
        [RETRY if job.retries else VERIFY for job in chunk_jobs],
        [job.payload for job in chunk_jobs],
        [job.priority for job in chunk_jobs],
        [timedelta(seconds=job.delay_seconds) for job in chunk_jobs],
        [job.dedupe_key for job in chunk_jobs],
        on_conflict="skip",
    )


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
