"""Tasks: made from a list or a file, stopped, and kept fresh. One transaction each; no network inside."""

import asyncio
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO
from uuid import UUID

from db import ids
from db.models import ApiKeyScope, ColumnRole, IdempotencyKey, Task, TaskPart, TaskSource, TaskStatus
from db.queries import parts as part_queries
from db.queries import tasks as queries
from db.session import Database, Session
from services import credits, files, idempotency, integrations, webhooks
from services.actor import Actor
from services.errors import Invalid, NotFound, Required, ServiceError, TooLarge, WrongState
from services.intake import PART_ADDRESSES_MAX, AddressRecord, InputRow, Intake, RowRecord, inline_rows
from services.progress import Announcer

NAME_CHARACTERS_MAX = 200
FILE_ADDRESSES_MAX = 1_000_000
_BATCH_ROWS = 5_000


@dataclass(frozen=True, slots=True)
class Upload:
    """A received file: an open binary file on disk, its name as sent, and the integration that it is for, by slug."""

    file: BinaryIO
    name: str
    integration: str | None = None


async def create(
    db: Database,
    announcer: Announcer,
    actor: Actor,
    *,
    emails: Sequence[str],
    name: str | None,
    integration: str | None = None,
    idempotency_key: str | None,
    now: datetime,
) -> Task:
    """Make a task from 1 to 10,000 addresses and queue it.

    Raises:
        Required: the list is empty.
        TooLarge: more than 10,000 entries, or a name or key that is too long.
        Invalid: there is no such integration.
        IdempotencyConflict: the key was used with other input.
        InsufficientCredits: fewer credits are available than there are different addresses.

    """
    actor.require(ApiKeyScope.TASKS_WRITE)
    if not emails:
        message = "Send at least one address."
        raise Required(message, field=("input", "emails"))
    if len(emails) > PART_ADDRESSES_MAX:
        message = (
            f"At most {PART_ADDRESSES_MAX:,} addresses; this list has {len(emails):,}. Upload longer lists as a file."
        )
        raise TooLarge(message, field=("input", "emails"))
    checked_name = _checked_name(name, f"List of {now:%Y-%m-%d %H:%M}")
    task = _new_task(actor, checked_name, TaskSource.INLINE, integration, now)
    if task.integration is not None and actor.api_key_id is not None:
        task.source = TaskSource.INTEGRATION
    asked = (name or "", task.integration or "", *emails)
    key = idempotency.key(actor, "createTask", idempotency_key, asked, task.id, now)
    return await _store(db, announcer, task, inline_rows(emails), PART_ADDRESSES_MAX, key, now)


async def upload(
    db: Database,
    announcer: Announcer,
    actor: Actor,
    *,
    upload: Upload,
    name: str | None,
    has_header: bool,
    mapping: Mapping[ColumnRole, files.ColumnRef],
    idempotency_key: str | None,
    bytes_max: int,
    now: datetime,
) -> Task:
    """Make a task from a csv or txt file and queue it. The file is read in a thread, in bounded memory.

    Raises:
        UnreadableFile, Required, Invalid, TooLarge: what is wrong with the file, in words.
        IdempotencyConflict: the key was used with other input.
        InsufficientCredits: fewer credits are available than there are different addresses.

    """
    actor.require(ApiKeyScope.TASKS_WRITE)
    file_name = files.safe_name(upload.name)
    checked_name = _checked_name(name, file_name)
    try:
        size, sha256 = await asyncio.to_thread(files.digest, upload.file, bytes_max)
        layout = await asyncio.to_thread(files.inspect, upload.file, file_name, has_header=has_header, mapping=mapping)
    except ServiceError as error:
        error.field = error.field or ["input", "file"]
        raise
    task = _new_task(actor, checked_name, TaskSource.FILE, upload.integration, now)
    task.file_name, task.file_size_bytes, task.file_sha256 = file_name, size, sha256
    task.file_columns = [{"name": c.name, "role": c.role.value if c.role else None} for c in layout.columns]
    asked = (name or "", task.integration or "", file_name, sha256.hex(), str(layout.columns), str(layout.has_header))
    key = idempotency.key(actor, "uploadTaskFile", idempotency_key, asked, task.id, now)
    rows = files.read(upload.file, layout)
    try:
        return await _store(db, announcer, task, rows, FILE_ADDRESSES_MAX, key, now)
    except TooLarge as error:
        error.field = error.field or ["input", "file"]
        raise


async def cancel(db: Database, announcer: Announcer, actor: Actor, task_id: UUID | None, now: datetime) -> Task:
    """Stop an open task: verdicts so far are kept, the rest stays without one.

    Raises:
        NotFound: no such task, or another's.
        WrongState: it has ended.

    """
    actor.require(ApiKeyScope.TASKS_WRITE)
    async with db.transaction() as session:
        task = await _owned(session, actor, task_id)
        if not task.is_open:
            message = f"The task is {task.status.value} and cannot be cancelled."
            raise WrongState(message, field=("input", "taskId"))
        await part_queries.stop_all(session, task.id, now)
        await queries.finish(session, task.id, TaskStatus.CANCELED, now)
        await credits.release(session, task, now)
        await session.refresh(task)
        await webhooks.task_ended(session, task, now)
    announcer.changed([task.id, task.account_id])
    return task


async def _owned(session: Session, actor: Actor, task_id: UUID | None) -> Task:
    task = await queries.lock(session, task_id) if task_id is not None else None
    if task is None or not actor.reaches(task.account_id):
        message = "No such task."
        raise NotFound(message, field=("input", "taskId"))
    return task


def _new_task(actor: Actor, name: str, source: TaskSource, integration: str | None, now: datetime) -> Task:
    return Task(
        id=ids.new_uuid(),
        account_id=actor.account_id,
        name=name,
        status=TaskStatus.QUEUED,
        source=source,
        integration=integrations.checked(integration) or actor.integration,
        api_key_id=actor.api_key_id,
        created_at=now,
        updated_at=now,
        refreshed_at=now,
    )


def _checked_name(name: str | None, default: str) -> str:
    if name is None:
        return default[:NAME_CHARACTERS_MAX]
    name = name.strip()
    if not name or "\0" in name or not name.isprintable():
        message = "A name has 1 to 200 printable characters."
        raise Invalid(message, field=("input", "name"))
    if len(name) > NAME_CHARACTERS_MAX:
        message = f"A name has at most {NAME_CHARACTERS_MAX} characters; this one has {len(name)}."
        raise TooLarge(message, field=("input", "name"))
    return name


async def _store(
    db: Database,
    announcer: Announcer,
    task: Task,
    rows: Iterator[InputRow],
    addresses_max: int,
    key: IdempotencyKey | None,
    now: datetime,
) -> Task:
    """Write task, addresses, rows and parts in one transaction; a repeated request gives the first task again."""
    async with db.transaction() as session:
        first = await queries.remember(session, key) if key is not None else None
        if key is not None and first is not None:
            idempotency.hold_same(first, key)
            found = (await queries.by_ids(session, [first.subject_id])).get(first.subject_id)
            if found is None:
                message = "The task that this idempotency key made was deleted."
                raise NotFound(message, field=("input", "idempotencyKey"))
            return found
        # The counts are known once all rows are read; the row must be there before its addresses.
        task.email_count = task.domain_count = task.total_count = task.malformed_count = 0
        await queries.add(session, task, [])
        intake = Intake(addresses_max)
        while True:
            addresses, records = await asyncio.to_thread(_next_batch, intake, rows)
            if not records:
                break
            await queries.copy_addresses(session, task.id, addresses, now)
            await queries.copy_rows(session, task.id, records)
        _count(task, intake, now)
        parts = [_part(task, n, size, now) for n, size in enumerate(intake.part_sizes, 1)]
        await queries.add(session, task, parts)
        # Last, so that nobody of the account waits while a long list is read.
        await credits.hold(session, task, intake.well_formed_count, now)
        if not task.is_open:
            await webhooks.task_ended(session, task, now)
    announcer.changed([task.id, task.account_id])
    return task


def _next_batch(intake: Intake, rows: Iterator[InputRow]) -> tuple[list[AddressRecord], list[RowRecord]]:
    return intake.take(itertools.islice(rows, _BATCH_ROWS))


def _count(task: Task, intake: Intake, now: datetime) -> None:
    task.email_count = intake.row_count
    task.domain_count = intake.domain_count
    task.total_count = intake.address_count
    task.malformed_count = task.completed_count = task.invalid_syntax_count = intake.malformed_count
    if not intake.well_formed_count:  # nothing to ask upstream
        task.status, task.started_at, task.finished_at = TaskStatus.COMPLETED, now, now
        task.last_verification_requested_at = task.last_verification_completed_at = now


def _part(task: Task, n: int, size: int, now: datetime) -> TaskPart:
    return TaskPart(task_id=task.id, n=n, account_id=task.account_id, total=size, due_at=now, verdicts={})
