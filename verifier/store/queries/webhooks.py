"""Webhooks: the secrets that sign them, and which ended task is still to be told to its receiver."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from verifier.store.database import Pool

NOBODY = UUID(int=0)
"""Stands for the service's own credential, which has no user."""

OLD_SECRET_LIFETIME = timedelta(hours=24)
WAITING_MAX = 1000
"""Deliveries that are looked at when turns are given; more than that wait in the order in which they are due."""


@dataclass(frozen=True, slots=True)
class Secret:
    """What a user's webhooks are signed with; `old` is the one before, as long as it is still used beside it."""

    secret: bytes
    old: bytes | None
    rotated_at: datetime


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery in our hands: nobody else takes it before the lease is over. `tries` includes the coming one."""

    task_id: UUID
    user_id: UUID | None
    url: str
    tries: int


async def secret_of(pool: Pool, user_id: UUID | None, *, fresh: bytes) -> Secret:
    """Return a user's secret; `fresh` becomes it where there is none yet."""
    await pool.execute(
        "INSERT INTO webhook_secret (user_id, secret) VALUES ($1, $2) ON CONFLICT DO NOTHING", user_id or NOBODY, fresh
    )
    row = await pool.fetchrow(
        """
        SELECT secret, CASE WHEN rotated_at > now() - $2::interval THEN old_secret END AS old, rotated_at
        FROM webhook_secret WHERE user_id = $1
        """,
        user_id or NOBODY, OLD_SECRET_LIFETIME,
    )  # fmt: skip
    return Secret(**row)


async def rotate(pool: Pool, user_id: UUID | None, *, fresh: bytes) -> Secret:
    """Give a user another secret; for a day the old one signs beside it."""
    row = await pool.fetchrow(
        """
        INSERT INTO webhook_secret AS present (user_id, secret) VALUES ($1, $2)
        ON CONFLICT (user_id) DO UPDATE SET secret = $2, old_secret = present.secret, rotated_at = now()
        RETURNING secret, old_secret AS old, rotated_at
        """,
        user_id or NOBODY, fresh,
    )  # fmt: skip
    return Secret(**row)


async def take(pool: Pool, *, count: int, lease_seconds: float, busy: Iterable[UUID | None] = ()) -> list[Due]:
    """Take deliveries that are due, for so long that a worker which dies meanwhile is not waited for.

    Users take turns, and `busy` has the user of each delivery that the caller has under way: one whose receivers hang
    does not hold up the others.
    """
    rows = await pool.fetch(
        """
        WITH waiting AS (
            SELECT task_id, due_at FROM webhook_delivery WHERE due_at <= now() ORDER BY due_at LIMIT $4
        ), turns AS (
            SELECT task_id, due_at, row_number() OVER (PARTITION BY coalesce(user_id, $3) ORDER BY due_at)
                + (SELECT count(*) FROM unnest($5::uuid[]) AS busy WHERE busy = coalesce(user_id, $3)) AS turn
            FROM waiting JOIN task ON task.id = task_id ORDER BY turn, due_at LIMIT $1
        ), due AS (
            SELECT task_id FROM webhook_delivery WHERE task_id IN (SELECT task_id FROM turns) AND due_at <= now()
            FOR UPDATE SKIP LOCKED
        )
        UPDATE webhook_delivery SET tries = tries + 1, due_at = now() + make_interval(secs => $2)
        FROM task WHERE task.id = webhook_delivery.task_id AND webhook_delivery.task_id IN (SELECT task_id FROM due)
        RETURNING task.id AS task_id, task.user_id, task.webhook_url AS url, tries
        """,
        count, lease_seconds, NOBODY, WAITING_MAX, [user_id or NOBODY for user_id in busy],
    )  # fmt: skip
    return [Due(**row) for row in rows]


async def delivered(pool: Pool, due: Due, status: int) -> None:
    """Note that the receiver took it."""
    await pool.execute(
        """
        UPDATE webhook_delivery SET due_at = NULL, delivered_at = now(), last_status = $3, last_problem = NULL
        WHERE task_id = $1 AND tries = $2
        """,
        due.task_id, due.tries, status,
    )  # fmt: skip


async def refused(pool: Pool, due: Due, *, status: int | None, problem: str, delay_seconds: float | None) -> None:
    """Note a try that failed; the next is due after the delay, None for no other."""
    await pool.execute(
        """
        UPDATE webhook_delivery SET due_at = now() + make_interval(secs => $3::float8), last_status = $4,
            last_problem = $5, given_up_at = CASE WHEN $3::float8 IS NULL THEN now() END
        WHERE task_id = $1 AND tries = $2
        """,
        due.task_id, due.tries, delay_seconds, status, problem,
    )  # fmt: skip
