"""The tables behind the second wall, and what there is to see of them."""

from uuid import UUID

from sqlalchemy import text

from db.session import Database

WALLED = ("profile", "credit_account", "credit_transaction", "credit_lot", "credit_entry")
TOLD = ("webhook", "webhook_delivery")
"""Read, and written, when a member's own change leaves few credits."""


async def counts(db: Database, acting_for: UUID | None) -> dict[str, int]:
    """How many rows of each walled table there are to see, without any WHERE."""
    async with db.read(acting_for) as session:
        found = {table: await session.scalar(text(f"SELECT count(*) FROM {table}")) for table in WALLED}
    return {table: count or 0 for table, count in found.items()}


async def owners(db: Database, acting_for: UUID) -> set[UUID]:
    """Whose rows there are to see, without any WHERE."""
    query = " UNION ".join(f"SELECT account_id FROM {table}" for table in WALLED if table != "credit_entry")
    async with db.read(acting_for) as session:
        return {UUID(str(found)) for found in await session.scalars(text(query))}
