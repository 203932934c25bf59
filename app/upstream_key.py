"""Stores the key that an administrator has for an account at a hosted verifier."""

import datetime as dt
import getpass
import sys

from app.settings import Settings
from db.session import Database
from services import upstream_keys
from services.sealing import Box
from services.upstream.contract import KEY_CHARACTERS_MAX


def read() -> str:
    """Take the key from standard input: a key among the arguments would show in the list of processes."""
    if sys.stdin.isatty():
        return getpass.getpass("Key at the verifier: ")
    return sys.stdin.readline(KEY_CHARACTERS_MAX + 3)


async def store(settings: Settings, email: str, secret: str) -> int:
    """Keep the key, in place of any other; returns the exit code.

    Raises:
        NotFound, Invalid: there is no such account, or this is no key.

    """
    db = await Database.open(settings.database_url, pool_size=1)
    try:
        await upstream_keys.enter(db, Box(settings.secret_key), email, secret, dt.datetime.now(dt.UTC))
    finally:
        await db.close()
    return 0
