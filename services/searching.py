"""Parts sent to an upstream that gives no id for them: found in its list, or given up; never guessed between two."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from db.models import TaskPart
from db.queries import parts as queries
from db.queries.parts import PartKey
from db.session import Database
from services import adoption
from services.upstream.contract import Upstream, UpstreamTask
from services.upstream_keys import UpstreamKeys

LOOKED_AT = 300
"""Newest tasks upstream among which a part is looked for."""
_BEFORE, _AFTER = timedelta(minutes=5), timedelta(hours=1)
"""How far from the moment of sending upstream may say that it made the task: clocks differ, and files wait in line."""


async def find(
    db: Database, upstream: Upstream, keys: UpstreamKeys, reader: UUID | None, now: datetime, poll: timedelta
) -> list[UUID]:
    """Look for the parts that were sent by those whom `reader` reads for; what is found runs now. Its tasks' ids."""
    found = await keys.reading(reader, partial(adoption.newest, upstream, count=LOOKED_AT))
    async with db.read() as session:
        everyones = await queries.sent(session)
        known = await queries.by_upstream_ids(session, [task.id for task in found])
    sent = {key: part for key, part in everyones.items() if keys.reader_of(part[0].account_id) == reader}
    links = matches(sent, [task for task in found if task.id not in known], upstream.callback_of)
    for key, upstream_id in links.items():
        async with db.transaction() as session:
            await queries.mark_running(session, key, upstream_id, now, poll)
    return [task_id for task_id, _ in links]


def matches(
    sent: Mapping[PartKey, tuple[TaskPart, int]],
    found: Sequence[UpstreamTask],
    callback_of: Callable[[str], str | None],
) -> dict[PartKey, UUID]:
    """Which part (with its number of addresses) is which task: by its mark where it is echoed, else by time and count.

    Without a mark, only where one task alone can be the part, and one part alone can be the task.
    """
    marked = {task.callback_url: task.id for task in found if task.callback_url is not None}
    links = {
        key: marked[url]
        for key, (part, _) in sent.items()
        if (url := callback_of(part.idempotency_key)) is not None and url in marked
    }
    unmarked = [task for task in found if task.callback_url is None]
    candidates = {
        key: [task.id for task in unmarked if _may_be(part, count, task)]
        for key, (part, count) in sent.items()
        if key not in links
    }
    claims = [task_id for task_ids in candidates.values() for task_id in task_ids]
    for key, task_ids in candidates.items():
        if len(task_ids) == 1 and claims.count(task_ids[0]) == 1:
            links[key] = task_ids[0]
    return links


def _may_be(part: TaskPart, count: int, task: UpstreamTask) -> bool:
    if part.sent_at is None or task.created_at is None or task.total != count:
        return False
    return part.sent_at - _BEFORE <= task.created_at <= part.sent_at + _AFTER
