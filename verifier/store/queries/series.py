"""A task's results by the day of their check, in UTC; days outlive the results, which are purged."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from uuid import UUID

from verifier.store.database import Connection, Pool

# What was given up by a fault of ours is written as `other` without anything seen (dispatch/verdicts.py).
_COUNTS: Final = """
    (checked_at AT TIME ZONE 'UTC')::date AS day,
    count(*) FILTER (WHERE NOT (reason = 'other' AND evidence = '[]')) AS completed,
    count(*) FILTER (WHERE reason = 'other' AND evidence = '[]') AS failed,
    count(*) FILTER (WHERE status = 'exists') AS exists_count,
    count(*) FILTER (WHERE status = 'not_exists') AS not_exists_count,
    count(*) FILTER (WHERE status = 'catchall') AS catchall_count,
    count(*) FILTER (WHERE status = 'invalid_syntax') AS invalid_syntax_count,
    count(*) FILTER (WHERE status = 'unknown') AS unknown_count,
    count(*) FILTER (WHERE role_based) AS role_based_count,
    count(*) FILTER (WHERE disposable) AS disposable_count,
    max(checked_at) AS last_checked_at
"""


@dataclass(frozen=True, slots=True)
class Day:
    """What was settled on one day, counted."""

    day: date
    completed: int
    failed: int
    exists_count: int
    not_exists_count: int
    catchall_count: int
    invalid_syntax_count: int
    unknown_count: int
    role_based_count: int
    disposable_count: int
    last_checked_at: datetime


async def of_task(pool: Pool, task_id: UUID, *, first: date, last: date) -> list[Day]:
    """Return the days from `first` to `last`, both included, on which anything was settled, in order."""
    rows = await pool.fetch(
        f"""
        WITH everything AS (
            SELECT {_COUNTS} FROM result WHERE task_id = $1 GROUP BY 1
            UNION ALL
            SELECT day, completed, failed, exists_count, not_exists_count, catchall_count, invalid_syntax_count,
                unknown_count, role_based_count, disposable_count, last_checked_at
            FROM task_day WHERE task_id = $1
        )
        SELECT day, sum(completed)::int AS completed, sum(failed)::int AS failed,
            sum(exists_count)::int AS exists_count, sum(not_exists_count)::int AS not_exists_count,
            sum(catchall_count)::int AS catchall_count, sum(invalid_syntax_count)::int AS invalid_syntax_count,
            sum(unknown_count)::int AS unknown_count, sum(role_based_count)::int AS role_based_count,
            sum(disposable_count)::int AS disposable_count,
            max(last_checked_at) AS last_checked_at
        FROM everything WHERE day BETWEEN $2 AND $3 GROUP BY day ORDER BY day
        """,  # noqa: S608 - our own columns
        task_id, first, last,
    )  # fmt: skip
    return [Day(**row) for row in rows]


async def keep(connection: Connection, task_ids: Sequence[UUID]) -> None:
    """Note the days of these tasks' results. To be called in the transaction that deletes all of these results."""
    await connection.execute(
        f"""
        INSERT INTO task_day AS kept (task_id, day, completed, failed, exists_count, not_exists_count, catchall_count,
            invalid_syntax_count, unknown_count, role_based_count, disposable_count, last_checked_at)
        SELECT task_id, {_COUNTS} FROM result WHERE task_id = ANY($1::uuid[]) GROUP BY task_id, 2
        ON CONFLICT (task_id, day) DO UPDATE SET
            completed = kept.completed + excluded.completed, failed = kept.failed + excluded.failed,
            exists_count = kept.exists_count + excluded.exists_count,
            not_exists_count = kept.not_exists_count + excluded.not_exists_count,
            catchall_count = kept.catchall_count + excluded.catchall_count,
            invalid_syntax_count = kept.invalid_syntax_count + excluded.invalid_syntax_count,
            unknown_count = kept.unknown_count + excluded.unknown_count,
            role_based_count = kept.role_based_count + excluded.role_based_count,
            disposable_count = kept.disposable_count + excluded.disposable_count,
            last_checked_at = greatest(kept.last_checked_at, excluded.last_checked_at)
        """,  # noqa: S608 - our own columns
        list(task_ids),
    )
