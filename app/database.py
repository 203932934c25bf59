"""The database as a command finds it: that it is away, or older than the code, is told in one line."""

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator
from typing import Any

import structlog

from db import away, migrations

LOOK_SECONDS = 5.0

log = structlog.get_logger(__name__)


class OutOfReach(Exception):
    """No connection can be had; the sentence says why."""


@contextlib.contextmanager
def in_reach() -> Iterator[None]:
    """Tell errors of a block that does nothing but use the database: raises OutOfReach for those of its absence."""
    try:
        yield
    except Exception as error:
        if (reason := away.reason(error)) is None:
            raise
        raise OutOfReach(f"the database cannot be reached: {reason}") from error


async def worked_on(url: str, work: Coroutine[Any, Any, int]) -> int:
    """Await what does nothing but use the database, once this was found to be there; gives what it gives.

    Raises:
        OutOfReach: it is away.
        migrations.Unfit: it was not migrated.

    """
    with contextlib.closing(work), in_reach():
        await migrations.require(url)
        return await work


async def look(url: str) -> None:
    """See that the database was migrated. One that is away may come back: a program that keeps running waits for it.

    Raises:
        migrations.Unfit: it was not migrated.

    """
    try:
        with in_reach():
            async with asyncio.timeout(LOOK_SECONDS):
                await migrations.require(url)
    except OutOfReach as error:
        log.warning("whether the database was migrated is not known", problem=str(error))
