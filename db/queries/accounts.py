"""Accounts and API keys."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from db.models import Account, ApiKey, UserRole
from db.session import ReadSession, Session

TOUCH_AFTER = timedelta(minutes=1)
"""How old the note of a key's last use may get."""


async def by_ids(session: ReadSession, account_ids: Sequence[UUID]) -> dict[UUID, Account]:
    """Accounts by id; those not found are left out."""
    rows = await session.scalars(select(Account).where(Account.id.in_(account_ids)))
    return {row.id: row for row in rows}


async def by_email(session: ReadSession, email: str) -> Account | None:
    """The account of an address, in any case."""
    return await session.scalar(select(Account).where(func.lower(Account.email) == email.lower()))


async def add(session: Session, *, account_id: UUID, email: str, role: UserRole, now: datetime) -> None:
    """Make an account unless the address has one."""
    statement = insert(Account).values(id=account_id, email=email, role=role, email_confirmed_at=now, created_at=now)
    await session.execute(statement.on_conflict_do_nothing())


async def key_by_hash(session: ReadSession, secret_hash: bytes) -> tuple[ApiKey, Account] | None:
    """The API key with this hash and its account, in one indexed read."""
    statement = select(ApiKey, Account).join(Account, Account.id == ApiKey.account_id)
    row = (await session.execute(statement.where(ApiKey.secret_hash == secret_hash))).first()
    return None if row is None else (row[0], row[1])


async def add_key(session: Session, key: ApiKey) -> None:
    """Store a new API key."""
    session.add(key)
    await session.flush()


async def touch_key(session: Session, key_id: UUID, now: datetime) -> None:
    """Note that a key was used, at most once a minute."""
    stale = or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < now - TOUCH_AFTER)
    await session.execute(update(ApiKey).where(ApiKey.id == key_id, stale).values(last_used_at=now))
