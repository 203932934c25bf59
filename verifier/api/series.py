"""A task's results by day, over REST."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from starlette.requests import Request
from starlette.responses import Response

from verifier.api import answers, errors, parameters, parts, pictures
from verifier.api import tasks as task_routes
from verifier.store.queries import series

DAYS_DEFAULT = 7
DAYS_MAX = 90


async def read(request: Request) -> Response:
    """GET /tasks/{id}/series: a row for every day, in UTC, that the range touches; whole days are counted."""
    task = await task_routes.visible(request)
    first, last = _range(request, datetime.now(UTC))
    found = {day.day: day for day in await series.of_task(parts.of(request).pool, task.id, first=first, last=last)}
    rows = [{"date": day, **pictures.day_metrics(found.get(day))} for day in _days(first, last)]
    return answers.json({"task_id": task.id, "series": rows})


def _range(request: Request, now: datetime) -> tuple[date, date]:
    start, end = parameters.date_time(request, "from"), parameters.date_time(request, "to")
    if start is None and end is None:
        return (now - timedelta(days=DAYS_DEFAULT - 1)).date(), now.date()
    if start is None or end is None:
        missing = "from" if start is None else "to"
        raise errors.BadRequest("give both `from` and `to`, or neither for the last 7 days", field=missing)
    if start > end:
        raise errors.BadRequest("`from` must not be later than `to`", field="from")
    if end - start > timedelta(days=DAYS_MAX):
        raise errors.BadRequest(f"a range has at most {DAYS_MAX} days", field="to")
    return start.date(), end.date()


def _days(first: date, last: date) -> Iterator[date]:
    return (first + timedelta(days=n) for n in range((last - first).days + 1))
