"""Is PostgreSQL away: restarted, stopped or not reached, so that the same may work in a few seconds."""

import asyncpg
from sqlalchemy import exc

_SAYS_SO = (
    ConnectionError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    exc.DisconnectionError,
)
_NONE_TO_BE_HAD = (
    *_SAYS_SO,
    OSError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)


def is_told_by(error: BaseException | None) -> bool:
    """Tell whether an error, or one that it was raised from, says that the connection is gone or cannot be had."""
    while error is not None:
        if isinstance(error, _SAYS_SO) or (isinstance(error, exc.DBAPIError) and error.connection_invalidated):
            return True
        error = error.__cause__
    return False


def reason(error: BaseException | None) -> str | None:
    """Give the line that says why no connection can be had, be it by wrong settings; None for an error of another kind.

    For whoever does nothing but use the database: of an OSError nobody can tell what it is about.
    """
    while error is not None:
        if isinstance(error, _NONE_TO_BE_HAD):
            return (str(error) or type(error).__name__).partition("\n")[0]
        error = error.__cause__
    return None
