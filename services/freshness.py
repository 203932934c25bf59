"""Running tasks whose rows have grown old are brought up to date when someone looks: one call upstream for all."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

import structlog

from db.models import OPEN_STATUSES, Task
from db.queries import parts as part_queries
from db.queries import tasks as task_queries
from db.session import Database
from services import ingest
from services.errors import UpstreamError
from services.upstream.contract import LIST_IDS_MAX, Upstream
from services.upstream_keys import UpstreamKeys

log = structlog.get_logger(__name__)

STALE_AFTER = timedelta(seconds=5)
_WAIT_SECONDS = 1.0


def stale(tasks: Sequence[Task], now: datetime) -> list[UUID]:
    """Those that run and whose row is older than 5 seconds. A finished task never is."""
    horizon = now - STALE_AFTER
    return [task.id for task in tasks if task.status in OPEN_STATUSES and task.refreshed_at < horizon]


async def refresh(
    db: Database, upstream: Upstream, keys: UpstreamKeys, task_ids: Sequence[UUID], now: datetime
) -> dict[UUID, Task]:
    """The rows of these tasks, asked for upstream once for all, for at most a second; a failure serves the rows."""
    try:
        async with asyncio.timeout(_WAIT_SECONDS):
            await _ask(db, upstream, keys, task_ids, now)
    except (TimeoutError, UpstreamError) as error:
        log.info("refresh_failed", tasks=len(task_ids), error=type(error).__name__)
    async with db.read() as session:
        return await task_queries.by_ids(session, task_ids)


async def _ask(db: Database, upstream: Upstream, keys: UpstreamKeys, task_ids: Sequence[UUID], now: datetime) -> None:
    async with db.read() as session:
        running = await part_queries.running_of(session, task_ids)
    by_reader = defaultdict(list)
    for part in running[:LIST_IDS_MAX]:
        by_reader[keys.reader_of(part.account_id)].append(part)
    for reader, parts in by_reader.items():
        known = [part.upstream_id for part in parts if part.upstream_id is not None]
        found = await keys.reading(reader, partial(upstream.tasks, task_ids=known))
        for part in parts:
            task = found.get(part.upstream_id) if part.upstream_id is not None else None
            if task is not None:
                await ingest.record_snapshot(db, part.key, task.snapshot, now)
