"""Chunks: taken with a fencing token, written under it, put off, ended. Whoever lost the token writes nothing.

Every function locks the chunk before its task.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from uuid import UUID, uuid4

from verifier.store.database import Connection, Pool
from verifier.store.queries import jobs, results


@dataclass(slots=True)
class Taken:
    """A chunk in our hands. `numbers` has each address that lacks a verdict, with its numbers in the task.

    `stalls` counts the times it was taken since anything was last written, this one included; `retries` the rounds
    before this one, `waits` those after which an answer was to be asked for again, `pauses` those that a blocked mail
    host was waited for. `born_at` is when the task was planned.
    """

    id: UUID
    task_id: UUID
    token: int
    mail_host: str | None
    is_in_zone: bool
    priority: int
    stalls: int
    retries: int
    waits: int
    pauses: int
    born_at: datetime
    numbers: dict[str, list[int]]

    @property
    def open_count(self) -> int:
        """Return how many addresses still lack a verdict, duplicates counted."""
        return sum(map(len, self.numbers.values()))


SUSPECT_STALLS = 2


class TokenLostError(Exception):
    """Another worker has taken the chunk since."""


class SuspectError(Exception):
    """The chunk was taken several times without progress: it may be what kills workers, and is to be taken alone."""


class Cause(Enum):
    """Why addresses are put off."""

    TRANSIENT = auto()  # the answer may be another one later
    PAUSED = auto()  # the mail host blocks us
    BUSY = auto()  # all slots of the mail host were lent


@dataclass(frozen=True, slots=True)
class Rest:
    """Addresses of a chunk that are put off together; `mail_host` is None where they have several.

    `egress` names the workers that are to ask again, so that a greylist meets the address that it knows.
    """

    cause: Cause
    ns: Sequence[int]
    mail_host: str | None
    delay_seconds: float
    egress: str | None = None


class Ending(Enum):
    """What becomes of a chunk after a write."""

    GOES_ON = auto()
    IS_DONE = auto()
    IS_RELEASED = auto()  # asked again at once, by the same job; that it was taken does not count
    IS_PUT_OFF = auto()  # asked again after a delay, by new jobs: its rests, which become chunks of their own


async def take(pool: Pool, job: jobs.ChunkJob, *, is_alone: bool = True) -> Taken | None:
    """Take a chunk; None where it has ended, is not due, or its task was canceled.

    Raises SuspectError for what should be taken with `is_alone`, so that a chunk that kills its worker takes no
    blameless ones with it to their end.
    """
    # Statement by statement, each a transaction of its own: what a worker that dies in between leaves is consistent,
    # and nobody waits for the task's row while we are on our way to the next one.
    async with pool.acquire() as connection:
        row = await connection.fetchrow(
            """
            UPDATE chunk SET token = nextval('chunk_token'), attempt = attempt + 1, stalls = stalls + 1,
                state = 'running', updated_at = now()
            WHERE id = $1 AND state IN ('queued', 'running') AND retries = $2 AND (stalls < $3 OR $4)
            RETURNING id, task_id, token, mail_host, is_in_zone, priority, stalls, retries, waits, pauses,
                created_at AS born_at, ns, in_flight
            """,
            job.chunk_id, job.retries, SUSPECT_STALLS, is_alone,
        )  # fmt: skip
        if row is None:
            if not is_alone and await _is_suspect(connection, job):
                raise SuspectError
            return None
        fields = dict(row)
        was_in_flight, ns = fields.pop("in_flight"), fields.pop("ns")
        taken = Taken(**fields, numbers=await _numbers(connection, fields["task_id"], ns))
        is_live = await connection.fetchval(
            """
            WITH mine AS (UPDATE chunk SET in_flight = $3 WHERE id = $1 AND token = $2 RETURNING task_id)
            UPDATE task SET processing = processing + $3 - $4, started_at = coalesce(started_at, now()),
                last_requested_at = now(), updated_at = now()
            FROM mine WHERE task.id = mine.task_id AND canceled_at IS NULL RETURNING true
            """,
            taken.id, taken.token, taken.open_count, was_in_flight,
        )  # fmt: skip
        if is_live:
            return taken
        await drop(connection, taken)
        return None


async def _is_suspect(connection: Connection, job: jobs.ChunkJob) -> bool:
    found = await connection.fetchval(
        "SELECT true FROM chunk WHERE id = $1 AND state IN ('queued', 'running') AND retries = $2 AND stalls >= $3",
        job.chunk_id, job.retries, SUSPECT_STALLS,
    )  # fmt: skip
    return bool(found)


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
    pool: Pool, taken: Taken, verdicts: Sequence[results.Verdict], ending: Ending, rests: Sequence[Rest] = ()
) -> None:
    """Write verdicts of a chunk and what becomes of it, in one transaction; `rests` with IS_PUT_OFF alone.

    Raises TokenLostError where another worker has it now, results.TaskCanceledError where the task was canceled.
    """
    async with pool.acquire() as connection:
        if rests:
            async with connection.transaction():
                held = "SELECT true FROM chunk WHERE id = $1 AND token = $2 AND state = 'running' FOR UPDATE"
                if not await connection.fetchval(held, taken.id, taken.token):
                    raise TokenLostError
                await _put_off(connection, taken, rests)
                await _write(connection, taken, verdicts, ending)
        else:
            await _write(connection, taken, verdicts, ending)
    _strike_off(taken, verdicts)


async def _write(connection: Connection, taken: Taken, verdicts: Sequence[results.Verdict], ending: Ending) -> None:
    goes_on = ending is Ending.GOES_ON
    left = taken.open_count - len(verdicts)
    given = results.arguments(verdicts, was_processing=len(verdicts) if goes_on else taken.open_count)
    place = len(given)
    source = f"""
        UPDATE chunk SET state = ${place + 3}, in_flight = ${place + 4}, stalls = ${place + 5}, updated_at = now()
        WHERE id = ${place + 1} AND token = ${place + 2} AND state = 'running' RETURNING task_id
    """  # noqa: S608 - numbers of ours
    stalls = taken.stalls - 1 if ending is Ending.IS_RELEASED and not verdicts else 0
    row = await connection.fetchrow(
        results.statement(source), *given, taken.id, taken.token, _state(ending), left if goes_on else 0, stalls
    )
    if not row["found"]:
        raise TokenLostError
    if row["last_seq"] is None:
        raise results.TaskCanceledError


async def _put_off(connection: Connection, taken: Taken, rests: Sequence[Rest]) -> None:
    """Let the chunk go on with the first of its rests, make chunks of the others, and a job for each."""
    chunk_jobs: list[jobs.ChunkJob] = []
    for place, rest in enumerate(rests):
        counters = (
            taken.retries + 1,
            taken.waits + (rest.cause is Cause.TRANSIENT),
            taken.pauses + (rest.cause is Cause.PAUSED),
        )
        id = uuid4() if place else taken.id
        statement = (
            """
            INSERT INTO chunk (id, task_id, share_key, is_in_zone, priority, created_at,
                ns, mail_host, not_before, retries, waits, pauses)
            SELECT $2, task_id, share_key, is_in_zone, priority, created_at,
                $3, $4, now() + make_interval(secs => $5), $6, $7, $8 FROM chunk WHERE id = $1
            """
            if place
            else """
            UPDATE chunk SET ns = $3, mail_host = $4, not_before = now() + make_interval(secs => $5),
                retries = $6, waits = $7, pauses = $8 WHERE id = $1 AND id = $2
            """
        )
        await connection.execute(statement, taken.id, id, list(rest.ns), rest.mail_host, rest.delay_seconds, *counters)
        chunk_jobs.append(
            jobs.ChunkJob(id, rest.mail_host, taken.priority, taken.retries + 1, rest.delay_seconds, rest.egress)
        )
    await jobs.enqueue_chunks(connection, chunk_jobs)


def _state(ending: Ending) -> str:
    return {Ending.GOES_ON: "running", Ending.IS_DONE: "done"}.get(ending, "queued")


def _strike_off(taken: Taken, verdicts: Sequence[results.Verdict]) -> None:
    written = {verdict.n for verdict in verdicts}
    taken.numbers = {
        email: left for email, ns in taken.numbers.items() if (left := [n for n in ns if n not in written])
    }


async def drop(pool: Pool | Connection, taken: Taken) -> None:
    """End a chunk of a canceled task."""
    await pool.execute("UPDATE chunk SET state = 'dropped' WHERE id = $1 AND token = $2", taken.id, taken.token)


async def canceled(pool: Pool, task_ids: Collection[UUID]) -> set[UUID]:
    """Return those of some tasks that were canceled."""
    rows = await pool.fetch(
        "SELECT id FROM task WHERE id = ANY($1::uuid[]) AND canceled_at IS NOT NULL", list(task_ids)
    )
    return {row["id"] for row in rows}
