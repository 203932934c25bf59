"""What is kept for a time only, and removed when that is over.

Drafts are kept for 7 days, rows and verdicts for 90 after the end of their task; its counters stay. Sessions and links
go at their end, keys 90 days after they were revoked.
"""

from datetime import datetime, timedelta

from db.queries import purges
from db.queries import retention as queries
from db.session import Database
from services.actor import Actor
from services.errors import Forbidden
from services.keys import REVOKED_SHOWN

DRAFTS_KEPT = timedelta(days=7)
RESULTS_KEPT = timedelta(days=90)


async def purge_expired(db: Database, actor: Actor, *, is_dry_run: bool, now: datetime) -> int:
    """Remove what is past its time, for an administrator; how many drafts, rows and credentials that was, or would be.

    At most a thousand drafts, lists, and credentials of each kind: call it again while it finds something.

    Raises:
        Forbidden: the caller is no administrator.

    """
    actor.require(None)
    if not actor.is_admin:
        raise Forbidden("Only an administrator removes what is past its retention.")
    if is_dry_run:
        return await _count_tasks(db, now) + await count_credentials(db, now)
    return await purge_tasks(db, now) + await remove_credentials(db, now)


async def _count_tasks(db: Database, now: datetime) -> int:
    """How many drafts and rows are past their time."""
    async with db.read() as session:
        drafts = await purges.expired_drafts(session, now - DRAFTS_KEPT)
        lists = await purges.expired_lists(session, now - RESULTS_KEPT)
    return len(drafts) + sum(lists.values())


async def purge_tasks(db: Database, now: datetime) -> int:
    """Remove drafts and rows past their time, a task a transaction; how many."""
    async with db.read() as session:
        drafts = await purges.expired_drafts(session, now - DRAFTS_KEPT)
        lists = await purges.expired_lists(session, now - RESULTS_KEPT)
    removed = 0
    for task_id in drafts:
        async with db.transaction() as writing:
            removed += await purges.remove_draft(writing, task_id)
    for task_id in lists:
        async with db.transaction() as writing:
            removed += await purges.remove_list(writing, task_id, now)
    return removed


async def count_credentials(db: Database, now: datetime) -> int:
    """How many sessions, links and revoked keys `remove_credentials` would remove by one call."""
    async with db.read() as session:
        return await queries.count_expired(session, now, revoked_before=now - REVOKED_SHOWN)


async def remove_credentials(db: Database, now: datetime) -> int:
    """Remove sessions and links past their end, and keys 90 days after they were revoked; how many those were.

    At most a thousand of each, so that no transaction is long: call it again while it finds something.
    """
    async with db.transaction() as session:
        return await queries.remove_expired(session, now, revoked_before=now - REVOKED_SHOWN)
