"""`python -m app admin`: who administrates the service, said by whoever operates it."""

import sys
from datetime import UTC, datetime

from app import devdb
from app.settings import Settings
from db.models import UserRole
from db.session import Database
from services import administration
from services.errors import ServiceError


class CannotAdministrate(Exception):
    """It cannot be done; the sentence says what to do."""


async def run(database_url: str, act: str, email: str | None) -> int:
    """Grant or revoke the role, or list who has it; returns the exit code."""
    db = await Database.open(database_url, pool_size=1)
    try:
        if email is None:
            await _list(db)
        else:
            await _set_role(db, email, UserRole.ADMIN if act == "grant" else UserRole.MEMBER)
    except ServiceError as error:
        raise CannotAdministrate(error.message) from error
    finally:
        await db.close()
    return 0


def database_url(settings: Settings) -> str:
    """Give DATABASE_URL, or the embedded database of the service that runs in the data directory."""
    url = settings.database_url or devdb.running_url(settings.data_dir)
    if url is None:
        raise CannotAdministrate(
            f"no service runs in {settings.data_dir}: start it (`python -m app`), name its directory (--data-dir), or "
            "set DATABASE_URL"
        )
    return url


async def _set_role(db: Database, email: str, role: UserRole) -> None:
    account = await administration.set_role_by_operator(db, email, role, datetime.now(UTC))
    print(f"{account.email} is {'an administrator' if role is UserRole.ADMIN else 'a member'}")


async def _list(db: Database) -> None:
    found = await administration.administrators(db)
    for account in found:
        print(account.email if account.suspended_at is None else f"{account.email} (suspended)")
    if not found:
        print("nobody is an administrator: `python -m app admin grant EMAIL` makes one", file=sys.stderr)
