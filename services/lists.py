"""Writing a list: its addresses and rows as they are read, in one transaction with whatever makes them a task."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from datetime import datetime

from db.models import Task, TaskPart, TaskStatus
from db.queries import tasks as queries
from db.session import Session
from services import credits, webhooks
from services.intake import AddressRecord, InputRow, Intake, RowRecord, part_sizes

_BATCH_ROWS = 5_000

Batch = tuple[list[AddressRecord], list[RowRecord]]


async def write(session: Session, task: Task, rows: Iterator[InputRow], addresses_max: int, now: datetime) -> None:
    """Write the rows of a task that is there, and set its counts. The next rows are read while some are written.

    Raises:
        TooLarge: more distinct addresses than it may hold.

    """
    intake = Intake(addresses_max)
    async with aclosing(_ahead(intake, rows)) as batches:
        async for addresses, records in batches:
            await write_batch(session, task, addresses, records, now)
    count(task, intake)


async def write_batch(
    session: Session, task: Task, addresses: list[AddressRecord], records: list[RowRecord], now: datetime
) -> None:
    """Write some of a task's addresses and rows."""
    await queries.copy_addresses(session, task.id, addresses, now)
    await queries.copy_rows(session, task.id, records)


async def _ahead(intake: Intake, rows: Iterator[InputRow]) -> AsyncGenerator[Batch, None]:
    """Batches of rows, read in a thread, one before it is asked for."""

    def read() -> Batch:
        return intake.take(itertools.islice(rows, _BATCH_ROWS))

    reading = asyncio.ensure_future(asyncio.to_thread(read))
    try:
        # Shielded, for a thread cannot be stopped: it is waited for, so as not to outlive the file that it reads.
        while (batch := await asyncio.shield(reading))[1]:
            reading = asyncio.ensure_future(asyncio.to_thread(read))
            yield batch
    finally:
        await asyncio.wait((reading,))
        if not reading.cancelled():
            reading.exception()  # raised already, or of a batch that nobody wants any more


def count(task: Task, intake: Intake) -> None:
    """Set what a task counts of its list."""
    task.email_count = intake.row_count
    task.malformed_row_count = intake.malformed_row_count
    task.domain_count = intake.domain_count
    task.total_count = intake.address_count
    task.malformed_count = task.completed_count = task.invalid_syntax_count = intake.malformed_count


async def queue(session: Session, task: Task, now: datetime) -> None:
    """Put a written list in line: its parts, and the credits that it may cost.

    Raises:
        InsufficientCredits: fewer are available.

    """
    size = task.well_formed_count
    task.status, task.updated_at, task.refreshed_at = TaskStatus.QUEUED, now, now
    if not size:  # nothing to ask upstream
        task.status, task.started_at, task.finished_at = TaskStatus.COMPLETED, now, now
        task.last_verification_requested_at = task.last_verification_completed_at = now
    await queries.add(session, task, [part(task, n, total, now) for n, total in enumerate(part_sizes(size), 1)])
    # Last, so that nobody of the account waits while a long list is read.
    await credits.hold(session, task, size, now)
    if not task.is_open:
        await webhooks.task_ended(session, task, now)


def part(task: Task, n: int, size: int, now: datetime) -> TaskPart:
    """A part that waits to be posted."""
    return TaskPart(task_id=task.id, n=n, account_id=task.account_id, total=size, due_at=now, verdicts={})
