"""API keys: only a hash of the secret is kept."""

from uuid import UUID

from verifier.store.database import Pool


async def create(pool: Pool, *, id: UUID, user_id: UUID, secret_hash: bytes) -> None:
    """Keep a new key of a user."""
    await pool.execute("INSERT INTO api_key (id, user_id, secret_hash) VALUES ($1, $2, $3)", id, user_id, secret_hash)


async def user_of(pool: Pool, secret_hash: bytes) -> UUID | None:
    """Return whose key this is; None for an unknown or revoked one."""
    user_id: UUID | None = await pool.fetchval(
        "SELECT user_id FROM api_key WHERE secret_hash = $1 AND revoked_at IS NULL", secret_hash
    )
    return user_id
