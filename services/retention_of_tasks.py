"""What is kept of tasks, and for how long: drafts 7 days; rows and verdicts 90 days after the end. Counters stay."""

from datetime import datetime, timedelta

from db.queries import purges as queries
from db.session import Database
from services import retention
from services.actor import Actor
from services.errors import Forbidden

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
        return await count(db, now) + await retention.count_expired(db, now)
    return await purge(db, now) + await retention.remove_expired(db, now)


async def count(db: Database, now: datetime) -> int:
    """How many drafts and rows are past their time."""
    async with db.read() as session:
        drafts = await queries.expired_drafts(session, now - DRAFTS_KEPT)
        lists = await queries.expired_lists(session, now - RESULTS_KEPT)
    return len(drafts) + sum(lists.values())


async def purge(db: Database, now: datetime) -> int:
    """Remove drafts and rows past their time, a task a transaction; how many."""
    async with db.read() as session:
        drafts = await queries.expired_drafts(session, now - DRAFTS_KEPT)
        lists = await queries.expired_lists(session, now - RESULTS_KEPT)
    removed = 0
    for task_id in drafts:
        async with db.transaction() as writing:
            removed += await queries.remove_draft(writing, task_id)
    for task_id in lists:
        async with db.transaction() as writing:
            removed += await queries.remove_list(writing, task_id, now)
    return removed
