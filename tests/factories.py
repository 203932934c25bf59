"""Rows for tests, made the way the service makes them where there is such a way."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import update

from db import ids
from db.models import (
    Account,
    ApiKey,
    ApiKeyScope,
    Task,
    TaskAddress,
    TaskSource,
    TaskStatus,
    UserRole,
    Verdict,
    VerdictReason,
)
from db.queries import accounts
from db.queries import tasks as task_queries
from db.session import Database
from resolvers.context import Parts
from services import accounts as beginnings
from services import keys, tasks
from services.actor import Actor
from services.intake import Intake, inline_rows


async def account(
    db: Database, email: str = "owner@example.com", role: UserRole = UserRole.MEMBER, balance: int = 1_000_000
) -> Account:
    """An account with credits."""
    async with db.transaction() as session:
        await accounts.add(session, account_id=ids.new_uuid(), email=email, role=role, now=datetime.now(UTC))
        found = await accounts.by_email(session, email)
        if found is not None:
            await beginnings.begin(session, found.id, datetime.now(UTC), welcome_credits=balance)
    assert found is not None
    return found


def actor(owner: Account) -> Actor:
    """The account as a caller with a session."""
    return Actor(owner.id, owner.role)


async def key(parts: Parts, owner: Account, *scopes: ApiKeyScope) -> tuple[ApiKey, str]:
    """A key that may do this, and its secret."""
    return await keys.create(
        parts.db, parts.credentials.pepper, account_id=owner.id, name="key", scopes=scopes, now=parts.now()
    )


async def task(
    parts: Parts, owner: Account, emails: Sequence[str] = ("alice@ok.mailverdict.test",), name: str | None = None
) -> Task:
    """A queued task, as createTask makes it."""
    return await tasks.create(
        parts.db,
        parts.announcer,
        actor(owner),
        emails=emails,
        name=name,
        idempotency_key=None,
        now=datetime.now(UTC),
    )


async def finished_task(db: Database, owner: Account, rows: int, name: str = "finished") -> Task:
    """A completed task of `rows` rows, all of them existing mailboxes."""
    now = datetime.now(UTC) - timedelta(minutes=1)
    row = Task(
        id=ids.new_uuid(),
        account_id=owner.id,
        name=name,
        status=TaskStatus.RUNNING,
        source=TaskSource.INLINE,
        created_at=now,
        updated_at=now,
        refreshed_at=now,
        email_count=rows,
        domain_count=1,
        total_count=rows,
        malformed_count=0,
    )
    intake = Intake(addresses_max=rows)
    addresses, records = intake.take(inline_rows(f"user{n}@ok.mailverdict.test" for n in range(rows)))
    async with db.transaction() as session:
        await task_queries.add(session, row, [])
        await task_queries.copy_addresses(session, row.id, addresses, now)
        await task_queries.copy_rows(session, row.id, records)
        values = {"verdict": Verdict.EXISTS, "reason": VerdictReason.ACCEPTED, "verified_at": now}
        await session.execute(update(TaskAddress).where(TaskAddress.task_id == row.id).values(**values))
        await task_queries.finish(session, row.id, TaskStatus.COMPLETED, now)
        await session.refresh(row)
    return row
