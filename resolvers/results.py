"""Verdicts of a task, as a connection and as a file; one address verified now."""

from typing import Any, Protocol

from db import models
from db.models import ApiKeyScope, Verdict, VerdictReason
from db.queries import results as queries
from db.queries.pages import Slice
from db.queries.results import ResultConditions
from resolvers import filters, outcomes, pages
from resolvers.context import Info
from services import addresses, exports, verification
from services.exports import DownloadFormat
from services.links import Download, DownloadLink

_PART_CHARACTERS_MAX = 100


class Filter(Protocol):
    """The shape of a TaskResultFilter."""

    verdict: list[Verdict] | None
    reason: list[VerdictReason] | None
    domain: str | None
    email_contains: str | None


async def results(
    info: Info,
    root: models.Task,
    first: int | None = None,
    after: str | None = None,
    last: int | None = None,
    before: str | None = None,
    filter: Filter | None = None,
) -> pages.Page[models.TaskResult]:
    """Rows of a task with their verdicts, in the order of the input. Who only makes tasks does not read them."""
    info.context.require(ApiKeyScope.TASKS_READ)
    window = pages.window(first, after, last, before, lambda values: (_row_number(values),))
    conditions = _conditions(filter)
    load = info.context.load
    found: Slice[Any]
    if conditions == ResultConditions() and not window.is_backward and window.before is None:
        found = await load.hot_below(queries.hot_by_tasks, window).load(root.id)
    else:
        found = await load.below(queries.by_tasks, conditions, window).load(root.id)
    edges = [pages.Edge((row.row_number,), queries.to_result(row)) for row in found.rows]

    async def count() -> int:
        return await load.below(queries.counts, conditions).load(root.id)

    return pages.Page(edges, found.has_next, found.has_previous, count)


def _row_number(values: list[Any]) -> int:
    (number,) = values
    if not isinstance(number, int) or not 0 <= number < 1 << 31:
        raise ValueError
    return number


def _conditions(given: Filter | None) -> ResultConditions:
    if given is None:
        return ResultConditions()
    domain = filters.text("domain", given.domain, characters_max=addresses.ADDRESS_CHARACTERS_MAX)
    return ResultConditions(
        filters.choices("verdict", given.verdict),
        filters.choices("reason", given.reason),
        addresses.stored_domain(domain) if domain is not None else None,
        filters.text("emailContains", given.email_contains, characters_max=_PART_CHARACTERS_MAX),
    )


async def download(
    info: Info,
    root: models.Task,
    format: DownloadFormat,
    filter: Filter | None = None,
) -> DownloadLink | None:
    """A signed link to the results so far; None before the first, and once they are removed."""
    info.context.require(ApiKeyScope.TASKS_READ)
    conditions = _conditions(filter)
    parts = info.context.parts
    exports.check(root, format)
    if root.metrics.job_status.completed == 0 or root.results_purged_at is not None:
        return None
    return parts.links.make(Download(root.id, format, conditions), parts.now())


@outcomes.gives("verification")
async def verify_email(
    info: Info, *, email: str, timeout_ms: int, idempotency_key: str | None = None
) -> models.EmailVerification:
    """Verify one address now."""
    parts = info.context.parts
    return await verification.verify(
        parts.db,
        parts.upstream,
        parts.upstream_keys,
        parts.usage,
        info.context.require(ApiKeyScope.VERIFY),
        email=email,
        timeout_ms=timeout_ms,
        idempotency_key=idempotency_key,
        now=parts.now(),
    )
