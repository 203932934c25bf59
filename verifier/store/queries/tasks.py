"""Tasks: made, read, listed and canceled. Their counters move with the verdicts, in `results`."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Final
from uuid import UUID, uuid4

from verifier.store import text
from verifier.store.database import Connection, Pool
from verifier.store.queries import jobs


@dataclass(frozen=True, slots=True)
class Task:
    """A task's row, as far as callers may see it."""

    id: UUID
    user_id: UUID | None
    webhook_url: str | None
    email_count: int
    domain_count: int
    processing: int
    completed: int
    failed: int
    exists_count: int
    not_exists_count: int
    catchall_count: int
    invalid_syntax_count: int
    unknown_count: int
    role_based_count: int
    disposable_count: int
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    canceled_at: datetime | None
    last_requested_at: datetime | None
    last_completed_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewTask:
    """What a caller asked for. `addresses` holds each address as sent and normalised; None where it is malformed."""

    user_id: UUID | None
    idempotency_key: str | None
    body_hash: bytes
    webhook_url: str | None
    addresses: Sequence[tuple[str, str | None]]
    domain_count: int


class IdempotencyConflictError(Exception):
    """The idempotency key was used with another body."""


COLUMNS: Final = ", ".join(field.name for field in fields(Task))


async def create(pool: Pool, new: NewTask) -> Task:
    """Write a task, its addresses and the job that plans it; the same key and body give the same task again.

    Raises IdempotencyConflictError where the key came with another body before.
    """
    async with pool.acquire() as connection, connection.transaction():
        row = await connection.fetchrow(
            f"""
            INSERT INTO task (id, user_id, idempotency_key, body_hash, webhook_url, email_count, domain_count)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            ON CONFLICT DO NOTHING RETURNING {COLUMNS}
            """,  # noqa: S608 - our own column names
            uuid4(), new.user_id, new.idempotency_key, new.body_hash, new.webhook_url,
            len(new.addresses), new.domain_count,
        )  # fmt: skip
        if row is None:
            return await _same_again(connection, new)
        task = Task(**row)
        await connection.copy_records_to_table(
            "address",
            columns=("task_id", "n", "email", "normalised"),
            records=(
                (task.id, n, text.encode(email), normalised) for n, (email, normalised) in enumerate(new.addresses)
            ),
        )
        await jobs.enqueue_plan(connection, task.id, addresses=len(new.addresses))
        return task


async def _same_again(connection: Connection, new: NewTask) -> Task:
    row = await connection.fetchrow(
        f"""
        SELECT body_hash, {COLUMNS} FROM task
        WHERE coalesce(user_id, '{UUID(int=0)}'::uuid) = coalesce($1::uuid, '{UUID(int=0)}'::uuid)
        AND idempotency_key = $2
        """,  # noqa: S608 - our own column names, in the words of the index
        new.user_id, new.idempotency_key,
    )  # fmt: skip
    if row is None or row["body_hash"] != new.body_hash:
        raise IdempotencyConflictError
    return Task(**{name: value for name, value in row.items() if name != "body_hash"})


async def get(pool: Pool, id: UUID) -> Task | None:
    """Return a task, whoever's it is."""
    row = await pool.fetchrow(f"SELECT {COLUMNS} FROM task WHERE id = $1", id)  # noqa: S608 - our own column names
    return Task(**row) if row else None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which tasks a list shows; None does not narrow. Both times are exclusive."""

    user_id: UUID | None = None
    ids: Sequence[UUID] | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


async def page(pool: Pool, wanted: Filter, *, limit: int, offset: int) -> list[Task]:
    """Return tasks, newest first."""
    conditions: list[str] = []
    arguments: list[object] = [limit, offset]
    for condition, value in (
        ("user_id = ${}", wanted.user_id),
        ("id = ANY(${}::uuid[])", wanted.ids),
        ("created_at > ${}", wanted.created_after),
        ("created_at < ${}", wanted.created_before),
    ):
        if value is not None:
            arguments.append(value)
            conditions.append(condition.format(len(arguments)))
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    rows = await pool.fetch(
        f"SELECT {COLUMNS} FROM task {where} ORDER BY created_at DESC, id DESC LIMIT $1 OFFSET $2",  # noqa: S608 - names of ours
        *arguments,
    )
    return [Task(**row) for row in rows]


async def cancel(pool: Pool, id: UUID) -> None:
    """Stop a task: nothing more of it is written, its queued chunks are dropped. An ended task stays as it is."""
    canceled = await pool.fetchval(
        """
        UPDATE task SET canceled_at = now(), finished_at = now(), updated_at = now(), processing = 0
        WHERE id = $1 AND canceled_at IS NULL AND finished_at IS NULL RETURNING id
        """,
        id,
    )
    if canceled is None:
        return
    # In a transaction of its own: writers lock chunk before task, so one that locks task before chunk could meet them.
    await pool.execute(
        """
        WITH dropped AS (
            UPDATE chunk SET state = 'dropped', updated_at = now() WHERE task_id = $1 AND state = 'queued'
            RETURNING id::text || ':' || retries AS job
        )
        DELETE FROM pgqueuer WHERE status = 'queued' AND dedupe_key IN (SELECT job FROM dropped)
        """,
        id,
    )
