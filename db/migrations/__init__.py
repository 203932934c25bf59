"""Alembic migrations of the service's database, run by `upgrade` and never as a side effect of an import."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from db.session import Database

_NOT_PERMITTED = "42501"


class NotPermitted(Exception):
    """The database's login may not do what a migration does; the text is PostgreSQL's, with what to run as whom."""


def config(url: str) -> Config:
    """Alembic's settings for the database at `url`."""
    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).parent))
    settings.attributes["url"] = url
    return settings


def upgrade(url: str) -> None:
    """Bring the database to the newest revision. Blocking: call it in a thread. Safe to run from several processes.

    Raises:
        NotPermitted: the login lacks a right.

    """
    try:
        command.upgrade(config(url), "head")
    except ProgrammingError as error:
        if error.orig is not None and getattr(error.orig, "sqlstate", None) == _NOT_PERMITTED:
            raise NotPermitted(str(error.orig.__cause__)) from error
        raise


def head() -> str | None:
    """The newest revision that this code knows."""
    return ScriptDirectory.from_config(config("")).get_current_head()


async def is_current(db: Database) -> bool:
    """The database is at the newest revision."""
    async with db.read() as session:
        if await session.scalar(text("SELECT to_regclass('alembic_version')")) is None:
            return False
        return bool(await session.scalar(text("SELECT version_num FROM alembic_version")) == head())
