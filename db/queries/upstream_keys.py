"""Hidden keys at the verifier, and the claim to have one made."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import or_, select, update
from sqlalchemy.dialects.postgresql import insert

from db.models import KeyOrigin, UpstreamKey
from db.session import ReadSession, Session


async def by_account(session: ReadSession, account_id: UUID) -> UpstreamKey | None:
    """The row of an account; None where no key was ever asked for."""
    return await session.scalar(select(UpstreamKey).where(UpstreamKey.account_id == account_id))


async def claim(session: Session, account_id: UUID, *, replacing: bytes | None, now: datetime, until: datetime) -> bool:
    """Claim to have a key made in place of the sealed one `replacing`; False when another has, or it was replaced."""
    key = UpstreamKey
    is_free = or_(key.claimed_until.is_(None), key.claimed_until <= now)
    statement = insert(key).values(account_id=account_id, origin=KeyOrigin.MADE, claimed_until=until)
    claimed = await session.scalar(
        statement.on_conflict_do_update(
            index_elements=["account_id"],
            set_={"claimed_until": until},
            where=is_free & (key.origin == KeyOrigin.MADE) & key.sealed.is_not_distinct_from(replacing),
        ).returning(key.account_id)
    )
    return claimed is not None


async def let_go(session: Session, account_id: UUID, *, claimed_until: datetime) -> None:
    """Give up a claim."""
    mine = (UpstreamKey.account_id == account_id, UpstreamKey.claimed_until == claimed_until)
    await session.execute(update(UpstreamKey).where(*mine).values(claimed_until=None))


async def store(
    session: Session, account_id: UUID, *, claimed_until: datetime, sealed: bytes, kid: str, now: datetime
) -> bool:
    """Keep a key that was made under a claim; False when the claim has passed to another."""
    mine = (UpstreamKey.account_id == account_id, UpstreamKey.claimed_until == claimed_until)
    values = {"sealed": sealed, "kid": kid, "made_at": now, "claimed_until": None}
    stored = update(UpstreamKey).where(*mine).values(values).returning(UpstreamKey.account_id)
    return await session.scalar(stored) is not None


async def enter(session: Session, account_id: UUID, *, sealed: bytes, kid: str, now: datetime) -> None:
    """Keep a key that an administrator gives, in place of any other."""
    values = {"origin": KeyOrigin.ENTERED, "sealed": sealed, "kid": kid, "made_at": now, "claimed_until": None}
    statement = insert(UpstreamKey).values(account_id=account_id, **values)
    await session.execute(statement.on_conflict_do_update(index_elements=["account_id"], set_=values))
