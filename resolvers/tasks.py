"""Tasks: one, many, and the mutations that make and stop them."""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol, Unpack
from uuid import UUID

import strawberry

from db import ids, models
from db.models import ApiKeyScope, ColumnRole, OrderDirection, TaskOrderField, TaskStatus
from db.queries import tasks as queries
from db.queries.tasks import TaskConditions
from resolvers import filters, outcomes, pages
from resolvers.context import Context, Info, Parts
from services import adoption, drafts, freshness, integrations, retries, tasks, webhooks
from services.errors import BadRequest, Required
from services.keep import Keep

_NAME_CHARACTERS_MAX = 100
_LIST_SECONDS_MAX = 300.0
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
    stale = freshness.stale(rows, context.parts.now())
    if not stale:
        return list(rows)
    newer = await context.load.refreshed_task.load_many(stale)
    by_id = {row.id: row for row in newer if isinstance(row, models.Task)}
    return [by_id.get(row.id, row) for row in rows]


async def by_uuid(context: Context, task_id: UUID | None) -> models.Task | None:
    """One task that the caller may see."""
    row = await context.reached(context.load.task, task_id, ApiKeyScope.TASKS_READ)
    return (await fresh(context, [row]))[0] if row is not None else None


async def task(info: Info, id: str) -> models.Task | None:
    """One task of the caller's."""
    return await by_uuid(info.context, ids.parse("task", id))


async def tasks_page(
    info: Info,
    filter: Filter | None = None,
    order_by: Order | None = None,
    **at: Unpack[pages.Place],
) -> pages.Page[models.Task]:
    """The caller's tasks."""
    account_id = info.context.require(ApiKeyScope.TASKS_READ).account_id
    return await page_of(info.context, account_id, filter=filter, order_by=order_by, **at)


async def page_of(
    context: Context,
    account_id: UUID | None,
    *,
    filter: Filter | None,
    order_by: Order | None = None,
    **at: Unpack[pages.Place],
) -> pages.Page[models.Task]:
    """Tasks of an account; of everybody when None, which is for the caller to guard."""
    order = order_by.field if order_by else TaskOrderField.CREATED_AT
    is_descending = order_by.direction is OrderDirection.DESC if order_by else True
    window = pages.window(**at, decode=lambda values: _sort_values(order, values))
    matching = conditions(filter)
    db = context.parts.db
    is_plain = matching == TaskConditions() and order is TaskOrderField.CREATED_AT and is_descending
    if is_plain and account_id is not None and not window.is_backward and window.before is None:
        found = await queries.newest(db.hot, account_id, window)
    else:
        async with db.read() as session:
            found = await queries.page(session, account_id, matching, window, order=order, is_descending=is_descending)
    rows = await fresh(context, [row for row, _ in found.rows])
    edges = [pages.Edge((value, row.id), row) for row, (_, value) in zip(rows, found.rows, strict=True)]

    async def count() -> int:
        async with db.read() as session:
            return await queries.count(session, account_id, matching)

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


def conditions(given: Filter | None) -> TaskConditions:
    """What a filter asks for."""
    if given is None:
        return TaskConditions()
    if given.integration is not None:
        if not 1 <= len(given.integration) <= _INTEGRATIONS_MAX:
            raise BadRequest(f"`integration` takes 1 to {_INTEGRATIONS_MAX} values.")
        integrations.require_slugs(given.integration)
    return TaskConditions(
        given.created_after,
        given.created_before,
        filters.choices("status", given.status),
        given.integration,
        filters.text("nameContains", given.name_contains, characters_max=_NAME_CHARACTERS_MAX),
    )


@outcomes.gives("task")
async def create_task(
    info: Info,
    *,
    emails: list[str],
    name: str | None = None,
    webhook_url: str | None = None,
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
        webhook_url=await _webhook_url(parts, webhook_url),
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
    column_mapping: object = None,
    start: bool = True,
    webhook_url: str | None = None,
    integration: str | None = None,
    idempotency_key: str | None = None,
) -> models.Task:
    """Make a task from a file."""
    parts, actor = info.context.parts, info.context.require(ApiKeyScope.TASKS_WRITE)
    if not file.filename:
        raise Required("Send the file's name with the file part.", field=("input", "file"))
    await parts.upstream_keys.require(actor.account_id)
    url = await _webhook_url(parts, webhook_url)
    info.context.take_longer(_LIST_SECONDS_MAX)
    async with parts.reading:
        return await drafts.upload(
            parts.db,
            parts.announcer,
            actor,
            upload=drafts.Upload(file.file, file.filename, has_header, _mapping(column_mapping), integration, url),
            name=name,
            is_started=start,
            idempotency_key=idempotency_key,
            bytes_max=parts.upload_bytes_max,
            now=parts.now(),
        )


@outcomes.gives("task")
async def start_task(info: Info, *, task_id: str, idempotency_key: str | None = None) -> models.Task:
    """Start a draft."""
    parts = info.context.parts
    actor = info.context.require(ApiKeyScope.TASKS_WRITE)
    uuid = ids.parse("task", task_id)
    return await drafts.start(parts.db, parts.announcer, actor, uuid, idempotency_key=idempotency_key, now=parts.now())


@outcomes.gives("task")
async def update_task(
    info: Info,
    *,
    task_id: str,
    name: str | None = None,
    column_mapping: object = None,
    webhook_url: str | Keep | None = Keep.AS_IT_IS,
) -> models.Task:
    """Rename a task, map its columns anew, or name another address for its end."""
    parts = info.context.parts
    actor = info.context.require(ApiKeyScope.TASKS_WRITE)
    uuid = ids.parse("task", task_id)
    mapping = _mapping(column_mapping) if column_mapping is not None else None
    url = webhook_url if isinstance(webhook_url, Keep) else await _webhook_url(parts, webhook_url)
    if mapping is not None:
        info.context.take_longer(_LIST_SECONDS_MAX)
    async with parts.reading if mapping is not None else contextlib.nullcontext():
        return await drafts.update(
            parts.db, parts.announcer, actor, uuid, name=name, mapping=mapping, webhook_url=url, now=parts.now()
        )


async def _webhook_url(parts: Parts, given: str | None) -> str | None:
    return await webhooks.checked_url(parts.outgoing, given, "webhookUrl") if given is not None else None


async def quote(info: Info, root: models.Task) -> models.TaskQuote | None:
    """What an uploaded list holds; None for one sent inline."""
    if root.file is None:
        return None
    sample = await info.context.load.sample.load(root.id)
    return models.TaskQuote(root.email_count, root.well_formed_count, root.malformed_row_count, sample or [])


async def task_quote(info: Info, emails: list[str]) -> models.TaskQuote:
    """What a list would cost."""
    info.context.require(ApiKeyScope.TASKS_READ)
    return await asyncio.to_thread(drafts.quote, emails)


def _mapping(given: object) -> dict[ColumnRole, str | int]:
    mapping: dict[ColumnRole, str | int] = {}
    for role in ColumnRole:
        ref = getattr(given, role.value.lower(), None)
        if ref:
            mapping[role] = ref.name.value if ref.name is not None else ref.index.value
    return mapping


@outcomes.gives("task")
async def retry_task(info: Info, *, task_id: str, idempotency_key: str | None = None) -> models.Task:
    """Ask for the unknown addresses of a task again."""
    parts = info.context.parts
    actor = info.context.require(ApiKeyScope.TASKS_WRITE)
    uuid = ids.parse("task", task_id)
    return await retries.retry(parts.db, parts.announcer, actor, uuid, idempotency_key=idempotency_key, now=parts.now())


@outcomes.gives("changed_count")
async def refresh_tasks(info: Info, *, first: int) -> int:
    """Ask upstream for the caller's tasks."""
    parts = info.context.parts
    actor = info.context.require(ApiKeyScope.TASKS_WRITE)
    return await adoption.refresh(
        parts.db, parts.announcer, parts.upstream, parts.upstream_keys, actor, first=first, now=parts.now()
    )


@outcomes.gives("deleted_task_id")
async def delete_task(info: Info, *, task_id: str) -> str:
    """Delete a task."""
    actor = info.context.require(ApiKeyScope.TASKS_WRITE)
    parts = info.context.parts
    uuid = await tasks.delete(parts.db, actor, ids.parse("task", task_id), parts.now())
    return ids.global_id("task", uuid)


@outcomes.gives("task")
async def cancel_task(info: Info, *, task_id: str) -> models.Task:
    """Stop a task."""
    parts = info.context.parts
    actor = info.context.require(ApiKeyScope.TASKS_WRITE)
    return await tasks.cancel(parts.db, parts.announcer, actor, ids.parse("task", task_id), parts.now())
