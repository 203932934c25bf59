"""Uploaded lists: read, told what they would cost, mapped anew, started."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePosixPath
from typing import BinaryIO
from uuid import UUID

from db.models import ApiKeyScope, ColumnRole, Task, TaskFileColumn, TaskQuote, TaskSource, TaskStatus
from db.queries import rows as row_queries
from db.queries import tasks as queries
from db.session import Database, Session
from services import audit, files, idempotency, lists, spreadsheets, tasks
from services.actor import Actor
from services.errors import BadRequest, Invalid, WrongState
from services.files import ColumnRef
from services.intake import PART_ADDRESSES_MAX, InputRow, Intake, inline_rows
from services.keep import Keep
from services.progress import Announcer

FILE_ADDRESSES_MAX = 1_000_000
_BATCH_ROWS = 5_000


@dataclass(frozen=True, slots=True)
class Upload:
    """A received file: an open binary file on disk, its name as sent, and how it is to be read."""

    file: BinaryIO
    name: str
    has_header: bool = True
    mapping: Mapping[ColumnRole, ColumnRef] = field(default_factory=dict)
    integration: str | None = None
    """The integration that it is for, by slug."""
    webhook_url: str | None = None
    """Told when the task ends; `webhooks.checked_url` has checked it."""


async def upload(
    db: Database,
    announcer: Announcer,
    actor: Actor,
    *,
    upload: Upload,
    name: str | None,
    is_started: bool = True,
    idempotency_key: str | None,
    bytes_max: int,
    now: datetime,
) -> Task:
    """Make a task from a csv, txt or xlsx file; a DRAFT unless it is started. Read in a thread, in bounded memory.

    Raises:
        UnreadableFile, Required, Invalid, TooLarge: what is wrong with the file, in words.
        IdempotencyConflict: the key was used with other input.
        InsufficientCredits: fewer credits are available than there are different addresses.

    """
    actor.require(ApiKeyScope.TASKS_WRITE)
    file_name = files.safe_name(upload.name)
    checked_name = tasks.checked_name(name, file_name)
    with _blaming_the_file():
        async with AsyncExitStack() as opened:
            file, size, sha256 = upload.file, *await asyncio.to_thread(files.digest, upload.file, bytes_max)
            if PurePosixPath(file_name.lower()).suffix == files.XLSX:
                file = await opened.enter_async_context(spreadsheets.as_csv(upload.file))
            layout = await asyncio.to_thread(
                files.inspect, file, file_name, has_header=upload.has_header, mapping=upload.mapping
            )
            task = tasks.new(actor, checked_name, TaskSource.FILE, upload.integration, now)
            task.webhook_url = upload.webhook_url
            task.file_name, task.file_size_bytes, task.file_sha256 = file_name, size, sha256
            task.file_columns = _stored(layout.columns)
            layout_asked = (str(layout.columns), str(layout.has_header), str(is_started))
            asked = (name or "", task.integration or "", task.webhook_url or "", file_name, sha256.hex(), *layout_asked)
            key = idempotency.key(actor, "uploadTaskFile", idempotency_key, asked, task.id, now)
            rows = opened.enter_context(closing(files.read(file, layout)))
            return await tasks.store(
                db,
                announcer,
                actor,
                task,
                rows,
                addresses_max=FILE_ADDRESSES_MAX,
                is_started=is_started,
                key=key,
                now=now,
            )


@contextmanager
def _blaming_the_file() -> Iterator[None]:
    """What is not acceptable and names no other field is the file."""
    try:
        yield
    except Invalid as error:
        error.field = error.field or ["input", "file"]
        raise


async def start(
    db: Database,
    announcer: Announcer,
    actor: Actor,
    task_id: UUID | None,
    *,
    idempotency_key: str | None,
    now: datetime,
) -> Task:
    """Put a DRAFT in line and hold its cost; without the credits it stays what it is.

    Raises:
        NotFound: no such task, or another's.
        WrongState: it was started before.
        InsufficientCredits: fewer are available than it may cost.
        IdempotencyConflict: the key was used for another task.

    """
    actor.require(ApiKeyScope.TASKS_WRITE)
    async with db.transaction() as session:
        if task_id is not None:
            key = idempotency.key(actor, "startTask", idempotency_key, [str(task_id)], task_id, now)
            if (first := await tasks.repeated(session, actor, key)) is not None:
                return first
        task = await _draft(session, actor, task_id)
        await lists.queue(session, task, now)
        await audit.record_reach(session, "task.start", now, actor, task)
    announcer.changed([task.id, task.account_id])
    return task


async def update(
    db: Database,
    announcer: Announcer,
    actor: Actor,
    task_id: UUID | None,
    *,
    name: str | None,
    mapping: Mapping[ColumnRole, ColumnRef] | None,
    webhook_url: str | Keep | None = Keep.AS_IT_IS,
    now: datetime,
) -> Task:
    """Rename a task, change whom its end is told; map the columns of a DRAFT anew, from the cells that are kept of it.

    Raises:
        NotFound: no such task, or another's.
        Invalid, TooLarge: the name or a column is not acceptable.
        WrongState: columns of a task that was started, or came without a file.

    """
    actor.require(ApiKeyScope.TASKS_WRITE)
    async with db.transaction() as session:
        task = await tasks.owned(session, actor, task_id)
        task.name, task.updated_at = tasks.checked_name(name, task.name), now
        if not isinstance(webhook_url, Keep):
            task.webhook_url = webhook_url
        if mapping is not None:
            await _map_anew(session, await _draft(session, actor, task_id), mapping, now)
        await audit.record_reach(session, "task.update", now, actor, task)
    announcer.changed([task.id, task.account_id])
    return task


async def _draft(session: Session, actor: Actor, task_id: UUID | None) -> Task:
    task = await tasks.owned(session, actor, task_id)
    if task.status is not TaskStatus.DRAFT:
        raise WrongState(f"The task is {task.status.value}; this takes a DRAFT.", field=("input", "taskId"))
    return task


async def _map_anew(session: Session, task: Task, mapping: Mapping[ColumnRole, ColumnRef], now: datetime) -> None:
    names = [column.name for column in task.columns]
    first = await row_queries.cells(session, task.id, after=0, limit=files.SAMPLE_ROWS)
    columns = files.columns(names, [cells for _, cells in first], mapping)
    email, reference = files.position(columns, ColumnRole.EMAIL), files.position(columns, ColumnRole.REFERENCE)
    await queries.forget_addresses(session, task.id)
    intake, after = Intake(FILE_ADDRESSES_MAX), 0
    while found := await row_queries.cells(session, task.id, after=after, limit=_BATCH_ROWS):
        rows = [
            InputRow(number, cells[email or 0], cells[reference] if reference is not None else None, cells)
            for number, cells in found
        ]
        addresses, records = await asyncio.to_thread(intake.take, rows)
        until = found[-1][0]
        await row_queries.forget(session, task.id, after=after, until=until)
        await lists.write_batch(session, task, addresses, records, now)
        after = until
    lists.count(task, intake)
    task.file_columns = _stored(columns)


def _stored(columns: Sequence[TaskFileColumn]) -> list[dict[str, str | None]]:
    return [{"name": c.name, "role": c.role.value if c.role else None} for c in columns]


def quote(emails: Sequence[str]) -> TaskQuote:
    """What a list would cost, before a task is made of it.

    Raises:
        BadRequest: it is empty, or has more than 10,000 entries.

    """
    if not 1 <= len(emails) <= PART_ADDRESSES_MAX:
        raise BadRequest(f"`emails` takes 1 to {PART_ADDRESSES_MAX:,} addresses. Upload longer lists.")
    intake = Intake(PART_ADDRESSES_MAX)
    _, records = intake.take(inline_rows(emails))
    sample = [[record[2]] for record in records[: row_queries.SAMPLE_ROWS]]
    return TaskQuote(len(records), intake.well_formed_count, intake.malformed_row_count, sample)
