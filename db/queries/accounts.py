"""Accounts and API keys."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    DateTime,
    LargeBinary,
    Uuid,
    and_,
    any_,
    bindparam,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from db import hot
from db.models import Account, ApiKey, UserRole
from db.queries import pages
from db.session import ReadSession, Session

TOUCH_AFTER = timedelta(minutes=1)
"""How old the note of a key's last use may get."""


@dataclass(frozen=True, slots=True)
class KeyConditions:
    """Which keys to list: those that work, those revoked after a moment too; of one integration, by slug."""

    revoked_after: datetime | None = None
    integration: str | None = None


_BY_IDS = hot.Read[Account](select(Account).where(Account.id == any_(bindparam("ids", type_=ARRAY(Uuid())))), Account)


async def by_ids(session: ReadSession, account_ids: Sequence[UUID]) -> dict[UUID, Account]:
    """Accounts by id; those not found are left out."""
    rows = await session.scalars(select(Account).where(Account.id.in_(account_ids)))
    return {row.id: row for row in rows}


async def hot_by_ids(
    reads: hot.Reads, account_ids: Sequence[UUID], acting_for: UUID | None = None
) -> dict[UUID, Account]:
    """`by_ids`, as a hot read."""
    return {row.id: row for row in await reads.fetch(_BY_IDS, acting_for, ids=account_ids)}


async def by_email(session: ReadSession, email: str) -> Account | None:
    """The account of an address, in any case."""
    return await session.scalar(select(Account).where(func.lower(Account.email) == email.lower()))


async def add(session: Session, *, account_id: UUID, email: str, role: UserRole, now: datetime) -> None:
    """Make an account unless the address has one."""
    statement = insert(Account).values(id=account_id, email=email, role=role, email_confirmed_at=now, created_at=now)
    await session.execute(statement.on_conflict_do_nothing())


async def follow_email(session: Session, account_id: UUID, email: str) -> Account | None:
    """Give an account the address that it has at its identity provider; None where another account has it."""
    others = select(Account.id).where(func.lower(Account.email) == email.lower(), Account.id != account_id)
    statement = update(Account).where(Account.id == account_id, ~others.exists()).values(email=email)
    return (await session.scalars(statement.returning(Account))).one_or_none()


_HASH, _NOW = bindparam("secret_hash", type_=LargeBinary()), bindparam("now", type_=DateTime(timezone=True))
_KEY_BY_HASH = hot.Read[tuple[ApiKey, Account]](
    select(ApiKey, Account)
    .join(Account, Account.id == ApiKey.account_id)
    .where(or_(ApiKey.secret_hash == _HASH, and_(ApiKey.previous_hash == _HASH, ApiKey.previous_expires_at > _NOW))),
    ApiKey,
    Account,
)


async def key_by_hash(reads: hot.Reads, secret_hash: bytes, now: datetime) -> tuple[ApiKey, Account] | None:
    """The API key with this hash, or with it before a rotation whose grace lasts, and its account: one indexed read."""
    found = await reads.fetch(_KEY_BY_HASH, secret_hash=secret_hash, now=now)
    return found[0] if found else None


async def add_key(session: Session, key: ApiKey) -> None:
    """Store a new API key."""
    session.add(key)
    await session.flush()


async def touch_key(session: Session, key_id: UUID, now: datetime) -> None:
    """Note that a key was used, at most once a minute."""
    stale = or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < now - TOUCH_AFTER)
    await session.execute(update(ApiKey).where(ApiKey.id == key_id, stale).values(last_used_at=now))


async def locked_key(session: Session, key_id: UUID) -> ApiKey | None:
    """A key, locked until the transaction ends."""
    return await session.scalar(select(ApiKey).where(ApiKey.id == key_id).with_for_update(key_share=True))


async def keys_by_ids(session: ReadSession, key_ids: Sequence[UUID]) -> dict[UUID, ApiKey]:
    """API keys by id; those not found are left out."""
    rows = await session.scalars(select(ApiKey).where(ApiKey.id.in_(key_ids)))
    return {row.id: row for row in rows}


async def keys_page(
    session: ReadSession, account_id: UUID, conditions: KeyConditions, window: pages.Window
) -> pages.Slice[tuple[ApiKey]]:
    """One page of an account's keys, newest first."""
    statement = select(ApiKey).where(*_shown(account_id, conditions))
    return await pages.read(session, statement, [*ApiKey.__table__.c["created_at", "id"]], window, is_descending=True)


async def count_keys(session: ReadSession, account_id: UUID, conditions: KeyConditions) -> int:
    """How many keys `keys_page` has in all."""
    return await session.scalar(select(func.count(ApiKey.id)).where(*_shown(account_id, conditions))) or 0


async def count_spendable_keys(session: ReadSession, account_id: UUID, now: datetime, *, made_after: datetime) -> int:
    """How many keys of an account work, or were made after a moment."""
    works = and_(ApiKey.revoked_at.is_(None), or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > now))
    statement = select(func.count(ApiKey.id)).where(ApiKey.account_id == account_id)
    return await session.scalar(statement.where(or_(works, ApiKey.created_at > made_after))) or 0


def _shown(account_id: UUID, conditions: KeyConditions) -> list[ColumnElement[bool]]:
    works, revoked_after = ApiKey.revoked_at.is_(None), conditions.revoked_after
    shown = [
        ApiKey.account_id == account_id,
        works if revoked_after is None else or_(works, ApiKey.revoked_at > revoked_after),
    ]
    return shown if conditions.integration is None else [*shown, ApiKey.integration == conditions.integration]
