"""Tasks: one, many, and the mutations that make and stop them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import strawberry

from db import ids, models
from db.models import ApiKeyScope, ColumnRole, OrderDirection, TaskOrderField, TaskStatus
from db.queries import tasks as queries
from db.queries.tasks import TaskConditions
from resolvers import outcomes, pages
from resolvers.context import Context, Info
from services import freshness, tasks
from services.errors import BadRequest, Required

_NAME_CHARACTERS_MAX = 100
_INTEGRATIONS_MAX = 20


class Filter(Protocol):
    """The shape of a TaskFilter."""

    created_after: datetime | None
    created_before: datetime | None
    status: list[TaskStatus] | None
    integration: list[str] | None
    name_contains: str | None


class Order(Protocol):
    """The shape of a TaskOrder."""

    field: TaskOrderField
    direction: OrderDirection


async def fresh(context: Context, rows: Sequence[models.Task]) -> list[models.Task]:
    """The rows, those of running tasks brought up to date where they have grown old: one call upstream for all."""
    now = context.parts.now()
    stale = [row.id for row in rows if freshness.is_stale(row, now)]
    if not stale:
        return list(rows)
    newer = await context.load.refreshed_task.load_many(stale)
    by_id = {row.id: row for row in newer if isinstance(row, models.Task)}
    return [by_id.get(row.id, row) for row in rows]


async def by_uuid(context: Context, task_id: UUID | None) -> models.Task | None:
    """One task that the caller may see."""
    actor = context.require(ApiKeyScope.TASKS_READ)
    row = await context.load.task.load(task_id) if task_id is not None else None
    if row is None or not actor.reaches(row.account_id):
        return None
    return (await fresh(context, [row]))[0]


async def task(info: Info, id: str) -> models.Task | None:
    """One task of the caller's."""
    return await by_uuid(info.context, ids.parse("task", id))


async def tasks_page(
    info: Info,
    first: int | None = None,
    after: str | None = None,
    last: int | None = None,
    before: str | None = None,
    filter: Filter | None = None,
    order_by: Order | None = None,
) -> pages.Page[models.Task]:
    """The caller's tasks."""
    actor = info.context.require(ApiKeyScope.TASKS_READ)
    order = order_by.field if order_by else TaskOrderField.CREATED_AT
    is_descending = order_by.direction is OrderDirection.DESC if order_by else True
    window = pages.window(first, after, last, before, lambda values: _sort_values(order, values))
    conditions = _conditions(filter)
    db = info.context.parts.db
    is_plain = conditions == TaskConditions() and order is TaskOrderField.CREATED_AT and is_descending
    if is_plain and not window.is_backward and window.before is None:
        found = await queries.newest(db.hot, actor.account_id, window)
    else:
        async with db.read() as session:
            found = await queries.page(
                session, actor.account_id, conditions, window, order=order, is_descending=is_descending
            )
    rows = await fresh(info.context, [row for row, _ in found.rows])
    edges = [pages.Edge((value, row.id), row) for row, (_, value) in zip(rows, found.rows, strict=True)]

    async def count() -> int:
        async with db.read() as session:
            return await queries.count(session, actor.account_id, conditions)

    return pages.Page(edges, found.has_next, found.has_previous, count)


def _sort_values(order: TaskOrderField, values: list[Any]) -> tuple[Any, ...]:
    value, task_id = values
    match order:
        case TaskOrderField.CREATED_AT:
            value = datetime.fromisoformat(value)
        case TaskOrderField.NAME:
            value = str(value)
        case TaskOrderField.TOTAL:
            value = int(value)
    return value, UUID(task_id)


def _conditions(given: Filter | None) -> TaskConditions:
    if given is None:
        return TaskConditions()
    if given.status is not None and not given.status:
        message = "`status` takes 1 to 6 values."
        raise BadRequest(message)
    if given.integration is not None and not 1 <= len(given.integration) <= _INTEGRATIONS_MAX:
        message = f"`integration` takes 1 to {_INTEGRATIONS_MAX} values."
        raise BadRequest(message)
    text = given.name_contains
    if text is not None and not (1 <= len(text) <= _NAME_CHARACTERS_MAX and "\0" not in text):
        message = f"`nameContains` takes 1 to {_NAME_CHARACTERS_MAX} characters."
        raise BadRequest(message)
    return TaskConditions(given.created_after, given.created_before, given.status, given.integration, text)


@outcomes.gives("task")
async def create_task(
    info: Info,
    *,
    emails: list[str],
    name: str | None = None,
    integration: str | None = None,
    idempotency_key: str | None = None,
) -> models.Task:
    """Make a task from addresses."""
    parts, actor = info.context.parts, info.context.require(ApiKeyScope.TASKS_WRITE)
    await parts.upstream_keys.require(actor.account_id)
    return await tasks.create(
        parts.db,
        parts.announcer,
        actor,
        emails=emails,
        name=name,
        integration=integration,
        idempotency_key=idempotency_key,
        now=parts.now(),
    )


class ColumnRef(Protocol):
    """The shape of a ColumnRefInput: one of the two is set."""

    name: strawberry.Some[str] | None
    index: strawberry.Some[int] | None


class UploadedFile(Protocol):
    """The shape of a file part."""

    file: Any
    filename: str | None


@outcomes.gives("task")
async def upload_task_file(
    info: Info,
    *,
    file: UploadedFile,
    name: str | None = None,
    has_header: bool = True,
    column_mapping: Any = None,  # noqa: ANN401 - a ColumnMappingInput
    integration: str | None = None,
    idempotency_key: str | None = None,
) -> models.Task:
    """Make a task from a file."""
    parts, actor = info.context.parts, info.context.require(ApiKeyScope.TASKS_WRITE)
    if not file.filename:
        message = "Send the file's name with the file part."
        raise Required(message, field=("input", "file"))
    await parts.upstream_keys.require(actor.account_id)
    return await tasks.upload(
        parts.db,
        parts.announcer,
        actor,
        upload=tasks.Upload(file.file, file.filename, integration),
        name=name,
        has_header=has_header,
        mapping=_mapping(column_mapping),
        idempotency_key=idempotency_key,
        bytes_max=parts.upload_bytes_max,
        now=parts.now(),
    )


def _mapping(given: Any) -> dict[ColumnRole, str | int]:  # noqa: ANN401 - a ColumnMappingInput
    mapping: dict[ColumnRole, str | int] = {}
    for role in ColumnRole:
        ref = getattr(given, role.value.lower(), None)
        if ref:
            mapping[role] = ref.name.value if ref.name is not None else ref.index.value
    return mapping


@outcomes.gives("task")
async def cancel_task(info: Info, *, task_id: str) -> models.Task:
    """Stop a task."""
    parts = info.context.parts
    actor = info.context.require(ApiKeyScope.TASKS_WRITE)
    return await tasks.cancel(parts.db, parts.announcer, actor, ids.parse("task", task_id), parts.now())
