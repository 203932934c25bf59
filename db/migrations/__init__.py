"""Alembic migrations of the service's database, run by `upgrade` and never as a side effect of an import."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.script.revision import ResolutionError
from alembic.util import CommandError
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from db.session import Database

_NOT_PERMITTED = "42501"


class NotPermitted(Exception):
    """The database's login may not do what a migration does; the text is PostgreSQL's, with what to run as whom."""


class Unfit(Exception):
    """The database is not of this version; the text says what to do."""


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
        Unfit: a newer version has been here.

    """
    try:
        command.upgrade(config(url), "head")
    except ProgrammingError as error:
        if error.orig is not None and getattr(error.orig, "sqlstate", None) == _NOT_PERMITTED:
            raise NotPermitted(str(error.orig.__cause__)) from error
        raise
    except CommandError as error:
        if not isinstance(error.__cause__, ResolutionError):
            raise
        raise Unfit(
            f"the database is at revision {error.__cause__.argument}, which this version does not know: run the one "
            "that migrated it, or a later one"
        ) from error


def head() -> str | None:
    """The newest revision that this code knows."""
    return _script().get_current_head()


async def require(url: str) -> None:
    """See that a database is at the newest revision, or was migrated by a newer version, beside which this one runs.

    Raises:
        Unfit: it is at an older revision, or at none.

    """
    db = await Database.open(url, pool_size=1)
    try:
        async with db.read() as session:
            found = None
            if await session.scalar(text("SELECT to_regclass('alembic_version')")) is not None:
                found = await session.scalar(text("SELECT version_num FROM alembic_version"))
    finally:
        await db.close()
    if found is None:
        raise Unfit("the database lacks our tables: run `python -m app migrate` first")
    older = {revision.revision for revision in _script().walk_revisions()} - {head()}
    if found in older:
        raise Unfit(
            f"the database is at revision {found}, this version needs {head()}: run `python -m app migrate` first"
        )


def _script() -> ScriptDirectory:
    return ScriptDirectory.from_config(config(""))
