"""The front page: one statement for its numbers, one each for what hangs on it."""

from db import models
from db.models import ApiKeyScope
from db.queries import pages
from db.queries import series as series_queries
from db.queries import tasks as task_queries
from resolvers import ranges, tasks
from resolvers.context import Info
from resolvers.ranges import Range
from services import usage
from services.errors import BadRequest
from services.ranges import Days

DAYS_DEFAULT = 30
RECENT_MAX = 20


async def own(info: Info, range: Range | None = None) -> models.Overview:
    """The caller's front page."""
    parts, account_id = info.context.parts, info.context.require(ApiKeyScope.USAGE_READ).account_id
    days = ranges.days(range, parts.now(), default=DAYS_DEFAULT)
    counted, metrics = await series_queries.tasks_by_status(
        parts.db.hot,
        account_id,
        first=days.first,
        last=days.last,
        starts_at=days.starts_at,
        ends_at=days.ends_at,
    )
    return models.Overview(account_id, days.first, days.last, counted, metrics)


async def use(info: Info, root: models.Overview) -> models.UsageSeries:
    """Use in the span."""
    return await usage.series(info.context.parts.db, root.account_id, Days(root.first_day, root.last_day))


async def recent_tasks(info: Info, root: models.Overview, first: int) -> list[models.Task]:
    """The newest tasks, in the span or not."""
    context = info.context
    context.require(ApiKeyScope.TASKS_READ)
    if not 1 <= first <= RECENT_MAX:
        raise BadRequest(f"`first` takes 1 to {RECENT_MAX}.")
    found = await task_queries.newest(context.parts.db.hot, root.account_id, pages.Window(first))
    return await tasks.fresh(context, [row for row, _ in found.rows])
