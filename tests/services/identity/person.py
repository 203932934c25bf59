"""A person who signs up, comes in, and stays."""

from datetime import UTC, datetime
from typing import Any

from db.session import Database
from services import authentication
from services.authentication import Credentials
from services.device import Device
from services.identity.port import Grant, Identity

EMAIL, PASSWORD = "ann@example.com", "correct horse battery"
PHONE = Device("Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0", "192.0.2.7")


def now() -> datetime:
    return datetime.now(UTC)


async def signed_up(identity: Identity, email: str = EMAIL, at: datetime | None = None) -> Grant:
    granted = await identity.sign_up(email, PASSWORD, user_metadata={"name": "Ann"}, device=PHONE, now=at or now())
    assert granted is not None
    return granted


async def signed_in(identity: Identity, email: str = EMAIL, password: str = PASSWORD) -> Grant:
    return await identity.sign_in(email, password, device=PHONE, now=now())


async def came_in(db: Database, credentials: Credentials, granted: Grant) -> Any:
    header = f"Bearer {granted.tokens.access_token}"
    return await authentication.authenticate(db, credentials, authorization=header)


async def refreshed(identity: Identity, token: str, at: datetime) -> Grant:
    return await identity.refresh(token, device=Device("other", "192.0.2.8"), now=at)
