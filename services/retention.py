"""What is kept for a time only, and removed when that is over."""

from datetime import datetime

from db.queries import retention as queries
from db.session import Database
from services.keys import REVOKED_SHOWN


async def count_expired(db: Database, now: datetime) -> int:
    """How many sessions, links and revoked keys `remove_expired` would remove by one call."""
    async with db.read() as session:
        return await queries.count_expired(session, now, revoked_before=now - REVOKED_SHOWN)


async def remove_expired(db: Database, now: datetime) -> int:
    """Remove sessions and links past their end, and keys 90 days after they were revoked; how many those were.

    At most a thousand of each, so that no transaction is long: call it again while it finds something.
    """
    async with db.transaction() as session:
        return await queries.remove_expired(session, now, revoked_before=now - REVOKED_SHOWN)
