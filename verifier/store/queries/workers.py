"""Workers that live: each says so every few seconds."""

from uuid import UUID

from verifier.store.database import Pool


async def seen(pool: Pool, id: UUID, *, egress: str) -> None:
    """Note that a worker lives, and which way out it has."""
    await pool.execute(
        """
        INSERT INTO worker (id, egress) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET seen_at = now()
        """,
        id, egress,
    )  # fmt: skip


async def gone(pool: Pool, id: UUID) -> None:
    """Forget a worker that stops."""
    await pool.execute("DELETE FROM worker WHERE id = $1", id)
