"""Accounts. For now only the one of development; sign-up comes with the identity port."""

from datetime import datetime

from db import ids
from db.models import Account, UserRole
from db.queries import accounts as queries
from db.session import Database
from services import billing
from services.errors import NotFound

DEVELOPMENT_EMAIL = "developer@mailverdict.test"


async def ensure_development_account(db: Database, now: datetime, *, welcome_credits: int = 0) -> Account:
    """The account that a developer's first start gives, made once, with its first credits."""
    async with db.transaction() as session:
        await queries.add(session, account_id=ids.new_uuid(), email=DEVELOPMENT_EMAIL, role=UserRole.MEMBER, now=now)
        account = await queries.by_email(session, DEVELOPMENT_EMAIL)
        if account is None:
            raise NotFound
        await billing.welcome(session, account.id, welcome_credits, now)
    return account
