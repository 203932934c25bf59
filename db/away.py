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


def is_told_by(error: BaseException | None) -> bool:
    """Tell whether an error, or one that it was raised from, says that the connection is gone or cannot be had."""
    while error is not None:
        if isinstance(error, _SAYS_SO) or (isinstance(error, exc.DBAPIError) and error.connection_invalidated):
            return True
        error = error.__cause__
    return False
