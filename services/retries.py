"""A finished task run again for what it could not tell."""

from datetime import datetime
from uuid import UUID

from db.models import FINAL_STATUSES, ApiKeyScope, Task, TaskSource, TaskStatus
from db.queries import parts as part_queries
from db.queries import results as result_queries
from db.queries import tasks as queries
from db.session import Database
from services import audit, credits, idempotency, lists, tasks
from services.actor import Actor
from services.errors import WrongState
from services.intake import PART_ADDRESSES_MAX, part_sizes
from services.progress import Announcer


async def retry(
    db: Database,
    announcer: Announcer,
    actor: Actor,
    task_id: UUID | None,
    *,
    idempotency_key: str | None,
    now: datetime,
) -> Task:
    """Ask again for the UNKNOWN addresses of a task, and for those that its end left without a verdict.

    They become new parts. Their old verdicts go at once, and credits are held for them as for new ones.

    Raises:
        NotFound: no such task, or another's.
        WrongState: it has not ended, or nothing is left to ask.
        InsufficientCredits: fewer are available than it may cost.
        IdempotencyConflict: the key was used for another task.

    """
    actor.require(ApiKeyScope.TASKS_WRITE)
    async with db.transaction() as session:
        if task_id is not None:
            key = idempotency.key(actor, "retryTask", idempotency_key, [str(task_id)], task_id, now)
            if (first := await tasks.repeated(session, actor, key)) is not None:
                return first
        task = await tasks.owned(session, actor, task_id)
        _check(task, is_stopping=await part_queries.has_open(session, task.id))
        last = await part_queries.last_number(session, task.id)
        count = await result_queries.reopen(session, task.id, after_part=last, part_size=PART_ADDRESSES_MAX)
        if not count:
            raise WrongState("Every address of the task has a verdict.", field=("input", "taskId"))
        await part_queries.recount(session, task.id)
        task.status, task.failure_reason, task.finished_at = TaskStatus.QUEUED, None, None
        task.updated_at, task.refreshed_at, task.retry_count = now, now, task.retry_count + 1
        parts = [lists.part(task, n, size, now) for n, size in enumerate(part_sizes(count), last + 1)]
        await queries.add(session, task, parts)
        await queries.move_counters(session, task.id, now)
        await session.refresh(task)
        await credits.hold(session, task, count, now)
        await audit.record_reach(session, "task.retry", now, actor, task)
    announcer.changed([task.id, task.account_id])
    return task


def _check(task: Task, *, is_stopping: bool) -> None:
    message = None
    if task.status not in FINAL_STATUSES:
        message = f"The task is {task.status.value}; it can be run again once it has ended."
    elif is_stopping:
        message = "The task is still being stopped. Try again in a moment."
    elif task.source is TaskSource.UPSTREAM:
        message = "The task was made elsewhere: run it again there."
    elif task.results_purged_at is not None:
        message = "The results of the task have been removed. Upload the list again."
    if message is not None:
        raise WrongState(message, field=("input", "taskId"))
