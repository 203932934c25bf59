"""Leases of mail hosts, shared by all workers: so many slots a host, each lent for a short time."""

from collections.abc import Collection
from uuid import UUID

from verifier.store.database import Pool


async def acquire(pool: Pool, mail_host: str, *, holder: UUID, seconds: float) -> bool:
    """Lend a free slot of a mail host to `holder`; False where all are lent."""
    slot = await pool.fetchval(
        """
        WITH gate AS (INSERT INTO mx_gate (mail_host) VALUES ($1) ON CONFLICT DO NOTHING RETURNING slots),
        slots AS (SELECT slots FROM gate UNION ALL SELECT slots FROM mx_gate WHERE mail_host = $1)
        INSERT INTO mx_slot (mail_host, slot, holder, until)
        SELECT $1, n, $2, now() + make_interval(secs => $3) FROM slots, generate_series(1, slots) AS n
        WHERE NOT EXISTS (SELECT FROM mx_slot WHERE mail_host = $1 AND slot = n AND until > now())
        ORDER BY n LIMIT 1
        ON CONFLICT (mail_host, slot) DO UPDATE SET holder = excluded.holder, until = excluded.until
        WHERE mx_slot.until <= now() RETURNING slot
        """,
        mail_host, holder, seconds,
    )  # fmt: skip
    return slot is not None


async def renew(pool: Pool, holders: Collection[UUID], *, seconds: float) -> None:
    """Lend all these slots for longer."""
    await pool.execute(
        "UPDATE mx_slot SET until = now() + make_interval(secs => $2) WHERE holder = ANY($1::uuid[]) AND until > now()",
        list(holders), seconds,
    )  # fmt: skip


async def release(pool: Pool, mail_host: str, *, holder: UUID) -> None:
    """Give a slot back."""
    await pool.execute("DELETE FROM mx_slot WHERE mail_host = $1 AND holder = $2", mail_host, holder)
