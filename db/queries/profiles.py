"""Profiles: read, and changed under their lock."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, any_, bindparam, select, update
from sqlalchemy.dialects.postgresql import insert

from db import hot
from db.models import Profile
from db.session import Session

_BY_ACCOUNTS = hot.Read[Profile](
    select(Profile).where(Profile.account_id == any_(bindparam("ids", type_=ARRAY(Uuid())))), Profile
)


async def hot_by_accounts(
    reads: hot.Reads, account_ids: Sequence[UUID], acting_for: UUID | None
) -> dict[UUID, Profile]:
    """Profiles by account; those not found are left out."""
    return {row.account_id: row for row in await reads.fetch(_BY_ACCOUNTS, acting_for, ids=account_ids)}


async def add(session: Session, account_id: UUID, *, display_name: str | None = None) -> None:
    """Make the empty profile of an account unless it has one."""
    statement = insert(Profile).values(account_id=account_id, display_name=display_name)
    await session.execute(statement.on_conflict_do_nothing())


async def locked(session: Session, account_id: UUID) -> Profile | None:
    """The profile of an account, locked until the transaction ends."""
    return await session.scalar(select(Profile).where(Profile.account_id == account_id).with_for_update(key_share=True))


async def change(session: Session, account_id: UUID, *, display_name: str | None, document: dict[str, Any]) -> Profile:
    """Write a profile; gives it with the version and the time that the database gave it."""
    statement = (
        update(Profile)
        .where(Profile.account_id == account_id)
        .values(display_name=display_name, document=document)
        .returning(Profile)
        .execution_options(populate_existing=True, synchronize_session=False)
    )
    return (await session.scalars(statement)).one()
