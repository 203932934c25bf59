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


_WRITTEN: Final = tuple(field.name for field in fields(Verdict) if field.name != "is_failure")


class TaskCanceledError(Exception):
    """The task takes no more verdicts."""


async def write(connection: Connection, task_id: UUID, verdicts: Sequence[Verdict], *, was_processing: int) -> None:
    """Write verdicts and move the counters, in the caller's transaction; the task's row lock gives `seq`.

    `was_processing` addresses leave the counter of those being asked. Raises TaskCanceledError.
    """
    last_seq = await connection.fetchval(
        """
        UPDATE task SET
            last_seq = last_seq + $2, processing = processing - $3, completed = completed + $4, failed = failed + $5,
            exists_count = exists_count + $6, not_exists_count = not_exists_count + $7,
            catchall_count = catchall_count + $8, invalid_syntax_count = invalid_syntax_count + $9,
            unknown_count = unknown_count + $10, role_based_count = role_based_count + $11,
            disposable_count = disposable_count + $12, updated_at = now(),
            started_at = coalesce(started_at, now()),
            last_completed_at = CASE WHEN $2 > 0 THEN now() ELSE last_completed_at END,
            finished_at = CASE WHEN completed + failed + $2 >= email_count THEN now() END
        WHERE id = $1 AND canceled_at IS NULL RETURNING last_seq
        """,
        task_id, *_changes(verdicts, was_processing),
    )  # fmt: skip
    if last_seq is None:
        raise TaskCanceledError
    first_seq = last_seq - len(verdicts) + 1
    if verdicts:
        await connection.copy_records_to_table(
            "result",
            columns=("task_id", "seq", *_WRITTEN),
            records=(
                (task_id, first_seq + place, *(getattr(verdict, name) for name in _WRITTEN))
                for place, verdict in enumerate(verdicts)
            ),
        )


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
    """Yield all results page by page; no connection is held between pages, so a slow reader blocks nobody."""
    last = -1
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
                "UPDATE task SET read_at = now() WHERE id = $1 AND read_at IS NULL AND finished_at IS NOT NULL", task_id
            )
            return
        yield rows
        last = rows[-1]["n"]


def email_of(record: Record) -> str:
    """Return the address as it was sent."""
    return text.decode(record["email"])
