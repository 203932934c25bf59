"""Tasks, plans and jobs as tests of the dispatcher want them, without REST and without a worker."""

from uuid import UUID

from verifier.store.database import Pool
from verifier.store.queries import chunks, jobs, plans, tasks

HOST = "mx.example.com"


async def task(pool: Pool, count: int = 3, user_id: UUID | None = None) -> tasks.Task:
    addresses = [(f"a{n}@example.com", f"a{n}@example.com") for n in range(count)]
    return await tasks.create(pool, tasks.NewTask(user_id, None, b"", None, addresses, 1))


async def planned(pool: Pool, *chunk_ns: list[int], user_id: UUID | None = None) -> tasks.Task:
    made = await task(pool, sum(map(len, chunk_ns)), user_id)
    await plans.write(pool, made.id, settled=(), chunks=[plans.NewChunk(HOST, True, ns) for ns in chunk_ns])
    return made


async def chunk_jobs(pool: Pool) -> list[jobs.ChunkJob]:
    rows = await pool.fetch("SELECT payload FROM pgqueuer WHERE entrypoint LIKE 'verify%' ORDER BY priority DESC, id")
    return [jobs.ChunkJob.from_payload(row["payload"]) for row in rows]


async def taken(pool: Pool, job: jobs.ChunkJob) -> chunks.Taken:
    found = await chunks.take(pool, job)
    assert found is not None
    return found


async def fresh(pool: Pool, made: tasks.Task) -> tasks.Task:
    found = await tasks.get(pool, made.id)
    assert found is not None
    return found
