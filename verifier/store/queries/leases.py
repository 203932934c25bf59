"""Leases of mail hosts, shared by all workers: so many slots a host, a gap between two of them, pauses.

Every statement locks the gates that it needs in the order of their names, and slots after gates. None waits for the
disk: what a crash of PostgreSQL may lose is a lease, which would be over in seconds.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from verifier.store.database import Pool

SLOTS_MAX = 20
SLOWER_AT_MOST_EVERY_SECONDS = 2.0
GAP_SECONDS_FIRST = 0.2
GAP_SECONDS_MAX = 10.0
GAP_SECONDS_NONE = 0.05
GAP_SHRINKS_TO = 0.8
"""Of its length, with every chunk that went well."""


class Word(StrEnum):
    """How it went with a mail host, told when its slot is given back."""

    FINE = "fine"
    NOTHING = "nothing"
    SLOWER = "slower"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a gate said. `wait_seconds` is the least time until asking again may help; `refusal` the block as JSON."""

    mail_host: str
    is_lent: bool
    is_paused: bool
    wait_seconds: float
    slots: int
    refusal: str | None


@dataclass(frozen=True, slots=True)
class Report:
    """How it went with one mail host. A block pauses it for `pause_seconds[n]` at the n-th block in a row."""

    mail_host: str
    word: Word
    pause_seconds: Sequence[float] = ()
    refusal: str | None = None


async def acquire(pool: Pool, mail_hosts: Collection[str], *, holder: UUID, seconds: float) -> dict[str, Answer]:
    """Lend `holder` one slot of each mail host that has one free now; a refusal changes nothing."""
    answers = await _acquire(pool, mail_hosts, holder, seconds)
    if missing := set(mail_hosts) - answers.keys():
        await pool.execute(
            "INSERT INTO mx_gate (mail_host) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING", sorted(missing)
        )
        answers |= await _acquire(pool, missing, holder, seconds)
    return answers


async def _acquire(pool: Pool, mail_hosts: Collection[str], holder: UUID, seconds: float) -> dict[str, Answer]:
    rows = await pool.fetch(
        """
        WITH gate AS MATERIALIZED (
            SELECT mail_host, greatest(floor(slots)::int, 1) AS slots, gap_seconds, refusal::text,
                extract(epoch FROM next_at - clock_timestamp())::float AS gap_left,
                extract(epoch FROM paused_until - clock_timestamp())::float AS pause_left
            FROM mx_gate WHERE mail_host = ANY($1::text[]) ORDER BY mail_host FOR UPDATE
        ),
        free AS (
            SELECT mail_host, (
                SELECT min(n) FROM generate_series(1, $4 + 1) AS n
                WHERE NOT EXISTS (
                    SELECT FROM mx_slot WHERE mx_slot.mail_host = gate.mail_host AND slot = n AND until > now()
                )
            ) AS slot
            FROM gate WHERE gap_left <= 0 AND pause_left <= 0 AND slots > (
                SELECT count(*) FROM mx_slot WHERE mx_slot.mail_host = gate.mail_host AND until > now()
            )
        ),
        lent AS (
            INSERT INTO mx_slot (mail_host, slot, holder, until)
            SELECT mail_host, slot, $2, now() + make_interval(secs => $3) FROM free
            ON CONFLICT (mail_host, slot) DO UPDATE SET holder = excluded.holder, until = excluded.until
            WHERE mx_slot.until <= now() RETURNING mail_host
        ),
        moved AS (
            UPDATE mx_gate SET next_at = clock_timestamp() + make_interval(secs => mx_gate.gap_seconds)
            FROM lent WHERE mx_gate.mail_host = lent.mail_host AND mx_gate.gap_seconds > 0
        )
        SELECT gate.mail_host, lent.mail_host IS NOT NULL AS is_lent, pause_left > 0 AS is_paused,
            greatest(gap_left, pause_left, 0) AS wait_seconds, slots, refusal
        FROM gate LEFT JOIN lent USING (mail_host), (SELECT set_config('synchronous_commit', 'off', true)) AS quick
        """,
        sorted(mail_hosts), holder, seconds, SLOTS_MAX,
    )  # fmt: skip
    return {row["mail_host"]: Answer(**row) for row in rows}


async def renew(pool: Pool, holders: Collection[UUID], *, seconds: float) -> None:
    """Lend all these slots for longer."""
    await pool.execute(
        "UPDATE mx_slot SET until = now() + make_interval(secs => $2) WHERE holder = ANY($1::uuid[]) AND until > now()",
        list(holders), seconds,
    )  # fmt: skip


async def release(pool: Pool, holder: UUID, reports: Sequence[Report]) -> dict[str, float]:
    """Give slots back and tell how it went; return how long the blocked mail hosts are paused now, in seconds.

    Slots grow by one a round of all slots and are halved at the first sign of trouble (AIMD); the gap is doubled,
    and shrinks with every chunk that went well. What went wrong in several chunks at once counts once.
    """
    rows = await pool.fetch(
        """
        WITH told AS (
            SELECT t.* FROM (SELECT set_config('synchronous_commit', 'off', true)) AS quick,
                unnest($2::text[], $3::text[], $4::text[], $5::text[]) AS t(mail_host, word, pauses, refusal)
        ),
        gate AS MATERIALIZED (
            SELECT mail_host FROM mx_gate WHERE mail_host = ANY($2::text[]) ORDER BY mail_host FOR UPDATE
        ),
        freed AS (
            DELETE FROM mx_slot USING gate WHERE mx_slot.mail_host = gate.mail_host AND holder = $1
        ),
        fine AS (
            UPDATE mx_gate AS g SET
                slots = least(slots + 1 / greatest(slots, 1), $6),
                gap_seconds = CASE WHEN gap_seconds * $7 < $8 THEN 0 ELSE gap_seconds * $7 END,
                pauses = 0, refusal = NULL, used_at = now()
            FROM told JOIN gate USING (mail_host)
            WHERE told.mail_host = g.mail_host AND word = 'fine' AND g.paused_until <= now()
            AND (slots < $6 OR gap_seconds > 0 OR g.pauses > 0 OR used_at < now() - interval '1 hour')
        ),
        slower AS (
            UPDATE mx_gate AS g SET
                slots = greatest(slots / 2, 1), gap_seconds = least(greatest(gap_seconds * 2, $9), $10),
                slowed_at = now(), used_at = now()
            FROM told JOIN gate USING (mail_host)
            WHERE told.mail_host = g.mail_host AND word = 'slower' AND slowed_at < now() - make_interval(secs => $11)
        ),
        blocked AS (
            UPDATE mx_gate AS g SET
                slots = 1, gap_seconds = least(greatest(gap_seconds * 2, $9), $10), slowed_at = now(), used_at = now(),
                pauses = g.pauses + 1, refusal = told.refusal::jsonb,
                paused_until = now() + make_interval(secs => (told.pauses::float[])[
                    least(g.pauses + 1, cardinality(told.pauses::float[]))])
            FROM told JOIN gate USING (mail_host)
            WHERE told.mail_host = g.mail_host AND word = 'blocked' AND paused_until <= now()
            AND cardinality(told.pauses::float[]) > 0
            RETURNING g.mail_host, paused_until
        )
        SELECT mail_host, extract(epoch FROM coalesce(blocked.paused_until, mx_gate.paused_until) - now())::float
        FROM mx_gate LEFT JOIN blocked USING (mail_host)
        WHERE mail_host IN (SELECT mail_host FROM told WHERE word = 'blocked')
        """,
        holder,
        [report.mail_host for report in reports],
        [report.word for report in reports],
        ["{" + ",".join(map(str, report.pause_seconds)) + "}" for report in reports],
        [report.refusal for report in reports],
        SLOTS_MAX, GAP_SHRINKS_TO, GAP_SECONDS_NONE, GAP_SECONDS_FIRST, GAP_SECONDS_MAX, SLOWER_AT_MOST_EVERY_SECONDS,
    )  # fmt: skip
    return {mail_host: max(seconds, 0.0) for mail_host, seconds in rows}
