"""Chunks: taken with a fencing token, written under it, put off, ended. Whoever lost the token writes nothing.

Every function locks the chunk before its task.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from uuid import UUID

from verifier.store.database import Connection, Pool
from verifier.store.queries import jobs, results


@dataclass(slots=True)
class Taken:
    """A chunk in our hands. `numbers` has each address that lacks a verdict, with its numbers in the task.

    `stalls` counts the times it was taken since anything was last written, this one included.
    """

    id: UUID
    task_id: UUID
    token: int
    mail_host: str | None
    is_in_zone: bool
    priority: int
    stalls: int
    retries: int
    numbers: dict[str, list[int]]

    @property
    def open_count(self) -> int:
        """Return how many addresses still lack a verdict, duplicates counted."""
        return sum(map(len, self.numbers.values()))


class TokenLostError(Exception):
    """Another worker has taken the chunk since."""


class Ending(Enum):
    """What becomes of a chunk after a write."""

    GOES_ON = auto()
    IS_DONE = auto()
    IS_RELEASED = auto()  # asked again at once, by the same job; that it was taken does not count
    IS_PUT_OFF = auto()  # asked again after a delay, by a new job


async def take(pool: Pool, job: jobs.ChunkJob) -> Taken | None:
    """Take a chunk; None where it has ended, is not due, or its task was canceled."""
    async with pool.acquire() as connection, connection.transaction():
        row = await connection.fetchrow(
            """
            UPDATE chunk SET token = nextval('chunk_token'), attempt = attempt + 1, stalls = stalls + 1,
                state = 'running', updated_at = now()
            WHERE id = $1 AND state IN ('queued', 'running') AND retries = $2
            RETURNING id, task_id, token, mail_host, is_in_zone, priority, stalls, retries, ns, in_flight
            """,
            job.chunk_id, job.retries,
        )  # fmt: skip
        if row is None:
            return None
        fields = dict(row)
        was_in_flight, ns = fields.pop("in_flight"), fields.pop("ns")
        taken = Taken(**fields, numbers=await _numbers(connection, fields["task_id"], ns))
        is_live = await connection.fetchval(
            """
            UPDATE task SET processing = processing + $2, started_at = coalesce(started_at, now()),
                last_requested_at = now(), updated_at = now()
            WHERE id = $1 AND canceled_at IS NULL RETURNING true
            """,
            taken.task_id, taken.open_count - was_in_flight,
        )  # fmt: skip
        await connection.execute(
            "UPDATE chunk SET in_flight = $2, state = $3 WHERE id = $1",
            taken.id, taken.open_count, "running" if is_live else "dropped",
        )  # fmt: skip
        return taken if is_live else None


async def _numbers(connection: Connection, task_id: UUID, ns: Sequence[int]) -> dict[str, list[int]]:
    numbers: dict[str, list[int]] = {}
    for n, normalised in await connection.fetch(
        """
        SELECT n, normalised FROM address WHERE task_id = $1 AND n = ANY($2::int[])
        AND NOT EXISTS (SELECT FROM result WHERE result.task_id = $1 AND result.n = address.n) ORDER BY n
        """,
        task_id, ns,
    ):  # fmt: skip
        numbers.setdefault(normalised, []).append(n)
    return numbers


async def write(
    pool: Pool, taken: Taken, verdicts: Sequence[results.Verdict], ending: Ending, *, delay_seconds: float = 0
) -> None:
    """Write verdicts of a chunk and what becomes of it, in one transaction.

    Raises TokenLostError where another worker has it now, results.TaskCanceledError where the task was canceled.
    """
    async with pool.acquire() as connection, connection.transaction():
        goes_on, is_put_off = ending is Ending.GOES_ON, ending is Ending.IS_PUT_OFF
        left = taken.open_count - len(verdicts)
        kept = await connection.fetchval(
            """
            UPDATE chunk SET state = $3, in_flight = $4, retries = retries + $5, stalls = $6,
                not_before = now() + make_interval(secs => $7), updated_at = now()
            WHERE id = $1 AND token = $2 AND state = 'running' RETURNING true
            """,
            taken.id, taken.token, _state(ending), left if goes_on else 0, int(is_put_off),
            taken.stalls - 1 if ending is Ending.IS_RELEASED and not verdicts else 0, delay_seconds,
        )  # fmt: skip
        if kept is None:
            raise TokenLostError
        was_processing = len(verdicts) if goes_on else taken.open_count
        await results.write(connection, taken.task_id, verdicts, was_processing=was_processing)
        if is_put_off:
            again = jobs.ChunkJob(taken.id, taken.mail_host, taken.priority, taken.retries + 1, delay_seconds)
            await jobs.enqueue_chunks(connection, [again])
    _strike_off(taken, verdicts)


def _state(ending: Ending) -> str:
    return {Ending.GOES_ON: "running", Ending.IS_DONE: "done"}.get(ending, "queued")


def _strike_off(taken: Taken, verdicts: Sequence[results.Verdict]) -> None:
    written = {verdict.n for verdict in verdicts}
    taken.numbers = {
        email: left for email, ns in taken.numbers.items() if (left := [n for n in ns if n not in written])
    }


async def drop(pool: Pool, taken: Taken) -> None:
    """End a chunk of a canceled task."""
    await pool.execute("UPDATE chunk SET state = 'dropped' WHERE id = $1 AND token = $2", taken.id, taken.token)
