"""Every account, for those who administrate them. A deleted account is not among them."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, or_, select

from db.models import Account, Profile, UserRole
from db.queries import pages
from db.session import ReadSession, Session


async def lock_account(session: Session, account_id: UUID) -> Account | None:
    """An account, locked until the transaction ends; None when there is none, or it is being deleted."""
    statement = select(Account).where(Account.id == account_id, Account.deleted_at.is_(None))
    return await session.scalar(statement.with_for_update(key_share=True))


async def lock_administrators(session: Session) -> Sequence[Account]:
    """Every administrator who can act, locked until the transaction ends: nobody becomes or ceases to be the last."""
    statement = select(Account).where(*_ADMINISTRATES).order_by(Account.id)
    return (await session.scalars(statement.with_for_update(key_share=True))).all()


async def administrators(session: ReadSession) -> Sequence[Account]:
    """Every administrator, suspended ones included, by address."""
    statement = select(Account).where(Account.role == UserRole.ADMIN, Account.deleted_at.is_(None))
    return (await session.scalars(statement.order_by(Account.email))).all()


async def page(session: ReadSession, search: str | None, window: pages.Window) -> pages.Slice[tuple[Account]]:
    """One page of accounts, newest first; `search` is part of an address or of a name, in any case of letters."""
    statement = select(Account).where(*_matching(search))
    columns = [*Account.__table__.c["created_at", "id"]]
    return await pages.read(session, statement, columns, window, is_descending=True)


async def count(session: ReadSession, search: str | None) -> int:
    """How many accounts `page` has in all."""
    return await session.scalar(select(func.count(Account.id)).where(*_matching(search))) or 0


def _matching(search: str | None) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [Account.deleted_at.is_(None)]
    if search is not None:
        named = select(Profile.account_id).where(_contains(func.lower(Profile.display_name), search))
        conditions.append(or_(_contains(func.lower(Account.email), search), Account.id.in_(named)))
    return conditions


def _contains(text: ColumnElement[Any], part: str) -> ColumnElement[bool]:
    return text.contains(part.lower(), autoescape=True)


_ADMINISTRATES = (Account.role == UserRole.ADMIN, Account.suspended_at.is_(None), Account.deleted_at.is_(None))
