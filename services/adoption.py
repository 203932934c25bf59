"""Tasks that were made elsewhere with the account's own credential upstream: found there, and followed like any."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from db import ids
from db.models import ApiKeyScope, PartState, Task, TaskPart, TaskSource, TaskStatus
from db.queries import administration
from db.queries import parts as part_queries
from db.queries import tasks as queries
from db.session import Database
from services import ingest
from services.actor import Actor
from services.errors import Invalid
from services.progress import Announcer
from services.upstream.contract import LIST_IDS_MAX, Upstream, UpstreamTask
from services.upstream_keys import UpstreamKeys

FIRST_MAX = 1000
_CLOCKS_DIFFER_BY = timedelta(minutes=5)


async def refresh(
    db: Database,
    announcer: Announcer,
    upstream: Upstream,
    keys: UpstreamKeys,
    actor: Actor,
    *,
    first: int,
    now: datetime,
) -> int:
    """Look at the newest tasks upstream: bring those known up to date, adopt the others. How many were new or changed.

    Raises:
        Invalid: `first` is not 1 to 1,000.
        UpstreamError: upstream cannot be asked.

    """
    actor.require(ApiKeyScope.TASKS_WRITE)
    if not 1 <= first <= FIRST_MAX:
        raise Invalid(f"`first` is 1 to {FIRST_MAX:,}.", field=("input", "first"))
    found = await keys.asking(actor.account_id, partial(newest, upstream, count=first))
    async with db.read() as session:
        known = await part_queries.by_upstream_ids(session, [task.id for task in found])
    changed = set()
    for task in found:
        part = known.get(task.id)
        if part is not None and part.account_id == actor.account_id and _differs(part, task):
            await ingest.record_snapshot(db, part.key, task.snapshot, now)
            changed.add(part.task_id)
    changed |= set(await _adopt(db, actor.account_id, [task for task in found if task.id not in known], now))
    if changed:
        announcer.changed([*changed, actor.account_id])
    return len(changed)


async def newest(upstream: Upstream, key: str, *, count: int) -> list[UpstreamTask]:
    """The newest tasks upstream, page by page; one that moves to the next page meanwhile is seen once."""
    found: dict[UUID, UpstreamTask] = {}
    for offset in range(0, count, LIST_IDS_MAX):
        page = await upstream.newest(key, limit=min(LIST_IDS_MAX, count - offset), offset=offset)
        found |= {task.id: task for task in page}
        if len(page) < LIST_IDS_MAX:
            break
    return list(found.values())


def _differs(part: TaskPart, task: UpstreamTask) -> bool:
    s = task.snapshot
    told = (part.processing, part.completed, part.failed)
    return part.state is PartState.RUNNING and told != (s.processing, s.completed, s.failed)


async def _adopt(db: Database, account_id: UUID, found: Sequence[UpstreamTask], now: datetime) -> list[UUID]:
    if not found:
        return []
    async with db.transaction() as session:
        if await administration.lock_account(session, account_id) is None:  # it is being deleted
            return []
        upstream_ids = [task.id for task in found]
        known = await part_queries.by_upstream_ids(session, upstream_ids)
        # What was cancelled and deleted here would come back as if nobody had to pay for it.
        gone = await part_queries.were_ours(session, upstream_ids)
        # One of ours may be there already, and its answer still on the way: what is as young is left for another time.
        unknown_since = await part_queries.unknown_since(session, account_id)
        horizon = min(now, unknown_since or now) - _CLOCKS_DIFFER_BY
        adopted = []
        for one in found:
            if one.id in known or one.id in gone or one.created_at is None or one.created_at > horizon:
                continue
            task = _adopted(account_id, one, now)
            part = TaskPart(
                task_id=task.id,
                n=1,
                account_id=account_id,
                state=PartState.RUNNING,
                upstream_id=one.id,
                total=one.total,
                due_at=now,
                verdicts={},
            )
            await queries.add(session, task, [part])
            await part_queries.write_snapshot(session, part.key, one.snapshot)
            await queries.move_counters(session, task.id, now)
            adopted.append(task.id)
    return adopted


def _adopted(account_id: UUID, found: UpstreamTask, now: datetime) -> Task:
    created_at = found.created_at or now
    return Task(
        id=ids.new_uuid(),
        account_id=account_id,
        name=f"Made elsewhere {created_at:%Y-%m-%d %H:%M}",
        status=TaskStatus.RUNNING,
        source=TaskSource.UPSTREAM,
        email_count=found.total,
        domain_count=0,
        total_count=found.total,
        malformed_count=0,
        created_at=created_at,
        started_at=created_at,
        updated_at=now,
        refreshed_at=now,
    )
