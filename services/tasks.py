"""Tasks: made from a list or a file, stopped, and kept fresh. One transaction each; no network inside."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from uuid import UUID

from db import ids
from db.models import FINAL_STATUSES, ApiKeyScope, IdempotencyKey, Task, TaskSource, TaskStatus
from db.queries import parts as part_queries
from db.queries import tasks as queries
from db.session import Database, Session
from services import audit, credits, idempotency, integrations, lists, webhooks
from services.actor import Actor
from services.errors import Invalid, NotFound, Required, TooLarge, WrongState
from services.intake import PART_ADDRESSES_MAX, InputRow, inline_rows
from services.progress import Announcer

NAME_CHARACTERS_MAX = 200


async def create(
    db: Database,
    announcer: Announcer,
    actor: Actor,
    *,
    emails: Sequence[str],
    name: str | None,
    integration: str | None = None,
    webhook_url: str | None = None,
    idempotency_key: str | None,
    now: datetime,
) -> Task:
    """Make a task from 1 to 10,000 addresses and queue it. `webhook_url` was checked by `webhooks.checked_url`.

    Raises:
        Required: the list is empty.
        TooLarge: more than 10,000 entries, or a name or key that is too long.
        Invalid: there is no such integration.
        IdempotencyConflict: the key was used with other input.
        InsufficientCredits: fewer credits are available than there are different addresses.

    """
    actor.require(ApiKeyScope.TASKS_WRITE)
    if not emails:
        raise Required("Send at least one address.", field=("input", "emails"))
    if len(emails) > PART_ADDRESSES_MAX:
        raise TooLarge(
            f"At most {PART_ADDRESSES_MAX:,} addresses; this list has {len(emails):,}. Upload longer lists as a file.",
            field=("input", "emails"),
        )
    checked = checked_name(name, f"List of {now:%Y-%m-%d %H:%M}")
    task = new(actor, checked, TaskSource.INLINE, integration, now)
    if task.integration is not None and actor.api_key_id is not None:
        task.source = TaskSource.INTEGRATION
    task.webhook_url = webhook_url
    asked = (name or "", task.integration or "", webhook_url or "", *emails)
    key = idempotency.key(actor, "createTask", idempotency_key, asked, task.id, now)
    rows = inline_rows(emails)
    return await store(
        db, announcer, actor, task, rows, addresses_max=PART_ADDRESSES_MAX, is_started=True, key=key, now=now
    )


async def cancel(db: Database, announcer: Announcer, actor: Actor, task_id: UUID | None, now: datetime) -> Task:
    """Stop an open task: verdicts so far are kept, the rest stays without one.

    Raises:
        NotFound: no such task, or another's.
        WrongState: it has ended.

    """
    actor.require(ApiKeyScope.TASKS_WRITE)
    async with db.transaction() as session:
        task = await owned(session, actor, task_id)
        if not task.is_open:
            raise WrongState(f"The task is {task.status.value} and cannot be cancelled.", field=("input", "taskId"))
        await part_queries.stop_all(session, task.id, now)
        await queries.finish(session, task.id, TaskStatus.CANCELED, now)
        await credits.release(session, task, now)
        await audit.record_reach(session, "task.cancel", now, actor, task)
        await session.refresh(task)
        await webhooks.task_ended(session, task, now)
    announcer.changed([task.id, task.account_id])
    return task


async def delete(db: Database, actor: Actor, task_id: UUID | None, now: datetime) -> UUID:
    """Delete a task that has ended or was never started, with its results; what it cost stays in the ledger.

    Raises:
        NotFound: no such task, or another's.
        WrongState: it runs, or is still being stopped upstream.

    """
    actor.require(ApiKeyScope.TASKS_WRITE)
    async with db.transaction() as session:
        task = await owned(session, actor, task_id)
        if task.status not in (TaskStatus.DRAFT, *FINAL_STATUSES):
            raise WrongState(f"The task is {task.status.value}: cancel it first.", field=("input", "taskId"))
        if await part_queries.has_open(session, task.id):  # with its row it would be forgotten, and go on upstream
            raise WrongState("The task is still being stopped. Try again in a moment.", field=("input", "taskId"))
        await audit.record_reach(session, "task.delete", now, actor, task)
        await part_queries.let_go(session, task.id)
        await queries.remove(session, task.id)
    return task.id


async def owned(session: Session, actor: Actor, task_id: UUID | None) -> Task:
    """A task that the caller may change, its row locked.

    Raises:
        NotFound: no such task, or another's.

    """
    task = await queries.lock(session, task_id) if task_id is not None else None
    if task is None or not actor.reaches(task.account_id):
        raise NotFound("No such task.", field=("input", "taskId"))
    return task


def new(actor: Actor, name: str, source: TaskSource, integration: str | None, now: datetime) -> Task:
    """A task of the caller's, not stored yet."""
    return Task(
        id=ids.new_uuid(),
        account_id=actor.account_id,
        name=name,
        status=TaskStatus.DRAFT,
        source=source,
        integration=integrations.checked(integration) or actor.integration,
        api_key_id=actor.api_key_id,
        created_at=now,
        updated_at=now,
        refreshed_at=now,
    )


def checked_name(name: str | None, default: str) -> str:
    """The name that was given, or a default.

    Raises:
        Invalid, TooLarge: it is not printable, or longer than 200 characters.

    """
    if name is None:
        return default[:NAME_CHARACTERS_MAX]
    name = name.strip()
    if not name or "\0" in name or not name.isprintable():
        raise Invalid("A name has 1 to 200 printable characters.", field=("input", "name"))
    if len(name) > NAME_CHARACTERS_MAX:
        raise TooLarge(
            f"A name has at most {NAME_CHARACTERS_MAX} characters; this one has {len(name)}.", field=("input", "name")
        )
    return name


async def store(
    db: Database,
    announcer: Announcer,
    actor: Actor,
    task: Task,
    rows: Iterator[InputRow],
    *,
    addresses_max: int,
    is_started: bool,
    key: IdempotencyKey | None,
    now: datetime,
) -> Task:
    """Write a new task with its list, in one transaction; a repeated request gives the first task again."""
    async with db.transaction() as session:
        if (first := await repeated(session, actor, key)) is not None:
            return first
        # The counts are known once all rows are read; the row must be there before its addresses.
        task.email_count = task.domain_count = task.total_count = task.malformed_count = task.malformed_row_count = 0
        await queries.add(session, task, [])
        await lists.write(session, task, rows, addresses_max, now)
        if is_started:
            await lists.queue(session, task, now)
    announcer.changed([task.id, task.account_id])
    return task


async def repeated(session: Session, actor: Actor, key: IdempotencyKey | None) -> Task | None:
    """The task that a request with this key has made or changed; None for the first, and without a key.

    Raises:
        IdempotencyConflict: the key was used with other input.
        NotFound: the task was deleted since, or is another's: whose keys these are may be no administrator any more.

    """
    first = await queries.remember(session, key) if key is not None else None
    if key is None or first is None:
        return None
    idempotency.hold_same(first, key)
    found = (await queries.by_ids(session, [first.subject_id])).get(first.subject_id)
    if found is None or not actor.reaches(found.account_id):
        raise NotFound("The task of this idempotency key is not there any more.", field=("input", "idempotencyKey"))
    return found
