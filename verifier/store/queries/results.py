"""Verdicts: written once each, read by sequence while the task runs, or by input order as a file."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Final
from uuid import UUID

from verifier.store import text
from verifier.store.database import Connection, Pool, Record

DOWNLOAD_PAGE = 2000


@dataclass(frozen=True, slots=True)
class Verdict:
    """One row of results before it has its place in the sequence. `evidence` is JSON; `n` the address's number."""

    n: int
    status: str
    reason: str | None
    role_based: bool
    disposable: bool
    free_provider: bool
    suggestion: str | None
    score: int | None
    score_reasons: Sequence[str]
    mail_host: str | None
    evidence: str
    checked_at: datetime
    is_failure: bool = False


SEPARATOR: Final = "\x1f"  # between reasons, which are words of ours; an array of arrays could not be unnested
_TYPES: Final = {
    "n": "int", "role_based": "boolean", "disposable": "boolean", "free_provider": "boolean", "score": "smallint",
    "checked_at": "timestamptz",
}  # fmt: skip
_READ: Final = {
    "score_reasons": "CASE score_reasons WHEN '' THEN '{}' ELSE string_to_array(score_reasons, E'\\x1f') END",
    "evidence": "evidence::jsonb",
}
_COUNTERS: Final = 11
_WRITTEN: Final = tuple(field.name for field in fields(Verdict) if field.name != "is_failure")
_UNNESTED: Final = ", ".join(
    f"${place}::{_TYPES.get(name, 'text')}[]" for place, name in enumerate(_WRITTEN, start=_COUNTERS + 1)
)


class TaskCanceledError(Exception):
    """The task takes no more verdicts."""


async def write(connection: Connection, task_id: UUID, verdicts: Sequence[Verdict], *, was_processing: int) -> None:
    """Write verdicts and move the counters, in the caller's transaction; the task's row lock gives `seq`.

    `was_processing` addresses leave the counter of those being asked. Raises TaskCanceledError.
    """
    given = arguments(verdicts, was_processing=was_processing)
    source = f"SELECT ${len(given) + 1}::uuid AS task_id"
    row = await connection.fetchrow(statement(source), *given, task_id)
    if row["last_seq"] is None:
        raise TaskCanceledError


def statement(source: str) -> str:
    """Return the one statement that writes verdicts of the task whose `task_id` the CTE `source` yields.

    It takes `arguments` and after them those of `source`; it returns how many tasks `source` named, and `last_seq`,
    which is null where the task takes no more verdicts. One statement, because the task's row is locked from its
    update to the commit, and all chunks of a task wait for that lock: no round trip should lie between the two.
    """
    return f"""
        WITH source AS ({source}),
        moved AS (
            UPDATE task SET
                last_seq = last_seq + $1, processing = processing - $2, completed = completed + $3,
                failed = failed + $4, exists_count = exists_count + $5, not_exists_count = not_exists_count + $6,
                catchall_count = catchall_count + $7, invalid_syntax_count = invalid_syntax_count + $8,
                unknown_count = unknown_count + $9, role_based_count = role_based_count + $10,
                disposable_count = disposable_count + $11, updated_at = now(),
                started_at = coalesce(started_at, now()),
                last_completed_at = CASE WHEN $1 > 0 THEN now() ELSE last_completed_at END,
                finished_at = CASE WHEN completed + failed + $1 >= email_count THEN now() END
            FROM source WHERE task.id = source.task_id AND canceled_at IS NULL RETURNING id, last_seq
        ),
        written AS (
            INSERT INTO result (task_id, seq, {", ".join(_WRITTEN)})
            SELECT moved.id, moved.last_seq - $1 + row.place, {", ".join(_READ.get(name, name) for name in _WRITTEN)}
            FROM moved, unnest({_UNNESTED}) WITH ORDINALITY AS row ({", ".join(_WRITTEN)}, place)
        )
        SELECT (SELECT count(*) FROM source) AS found, (SELECT last_seq FROM moved) AS last_seq
    """  # noqa: S608 - our own column names


def arguments(verdicts: Sequence[Verdict], *, was_processing: int) -> list[object]:
    """Return what `statement` takes: changes of the counters, then the verdicts column by column."""
    columns: list[object] = [
        [SEPARATOR.join(verdict.score_reasons) for verdict in verdicts]
        if name == "score_reasons"
        else [getattr(verdict, name) for verdict in verdicts]
        for name in _WRITTEN
    ]
    return [*_changes(verdicts, was_processing), *columns]


def _changes(verdicts: Sequence[Verdict], was_processing: int) -> tuple[int, ...]:
    statuses = [verdict.status for verdict in verdicts]
    failures = sum(verdict.is_failure for verdict in verdicts)
    return (
        len(verdicts),
        was_processing,
        len(verdicts) - failures,
        failures,
        *(statuses.count(status) for status in ("exists", "not_exists", "catchall", "invalid_syntax", "unknown")),
        sum(verdict.role_based for verdict in verdicts),
        sum(verdict.disposable for verdict in verdicts),
    )


async def page(pool: Pool, task_id: UUID, *, after: int, limit: int) -> list[Record]:
    """Return results with a sequence number over `after`, in order; note where that was the last of them."""
    rows: list[Record] = await pool.fetch(
        """
        WITH page AS (
            SELECT result.*, address.email FROM result JOIN address USING (task_id, n)
            WHERE task_id = $1 AND seq > $2 ORDER BY seq LIMIT $3
        ),
        read AS (
            UPDATE task SET read_at = now() WHERE id = $1 AND read_at IS NULL AND finished_at IS NOT NULL
            AND last_seq <= greatest((SELECT max(seq) FROM page), $2)
        )
        SELECT * FROM page ORDER BY seq
        """,
        task_id, after, limit,
    )  # fmt: skip
    return rows


async def in_input_order(pool: Pool, task_id: UUID) -> AsyncIterator[Sequence[Record]]:
    """Yield all results page by page; no connection is held between pages, so a slow reader blocks nobody.

    What is written meanwhile may stand on a page that was read already: read to the last is only what was there before.
    """
    last = -1
    last_seq = await pool.fetchval("SELECT last_seq FROM task WHERE id = $1", task_id)
    while True:
        rows = await pool.fetch(
            """
            SELECT address.email, result.n, status, reason, role_based, disposable, free_provider, suggestion,
                checked_at
            FROM result JOIN address USING (task_id, n) WHERE task_id = $1 AND result.n > $2 ORDER BY result.n LIMIT $3
            """,
            task_id, last, DOWNLOAD_PAGE,
        )  # fmt: skip
        if not rows:
            await pool.execute(
                """
                UPDATE task SET read_at = now()
                WHERE id = $1 AND read_at IS NULL AND finished_at IS NOT NULL AND last_seq <= $2
                """,
                task_id, last_seq,
            )  # fmt: skip
            return
        yield rows
        last = rows[-1]["n"]


def email_of(record: Record) -> str:
    """Return the address as it was sent."""
    return text.decode(record["email"])
