"""Accounts: a caller's, and the one of development. Signing up and in is the identity port's."""

from datetime import datetime
from uuid import UUID

from db import ids
from db.models import Account, UserRole
from db.queries import accounts as queries
from db.queries import credits as credit_queries
from db.queries import profiles as profile_queries
from db.session import Database, Session
from services import billing
from services.actor import Actor
from services.errors import NotFound

DEVELOPMENT_EMAIL = "developer@mailverdict.test"


async def begin(
    session: Session, account_id: UUID, now: datetime, *, welcome_credits: int, display_name: str | None = None
) -> None:
    """What every account starts with, however it came to be: a profile, and a credit account with its first credits.

    For one that has them nothing changes.
    """
    await profile_queries.add(session, account_id, display_name=display_name)
    await credit_queries.add_account(session, account_id, now)
    await billing.welcome(session, account_id, welcome_credits, now)


async def ensure_development_account(db: Database, now: datetime, *, welcome_credits: int = 0) -> Account:
    """The account that a developer's first start gives, made once, with its first credits."""
    async with db.transaction() as session:
        await queries.add(session, account_id=ids.new_uuid(), email=DEVELOPMENT_EMAIL, role=UserRole.MEMBER, now=now)
        account = await queries.by_email(session, DEVELOPMENT_EMAIL)
        if account is None:
            raise NotFound
        await begin(session, account.id, now, welcome_credits=welcome_credits)
    return account


async def account_of(db: Database, actor: Actor) -> Account | None:
    """The account of a caller; None when it is gone."""
    async with db.read() as session:
        return (await queries.by_ids(session, [actor.account_id])).get(actor.account_id)
