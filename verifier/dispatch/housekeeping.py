"""What leaves the tables: results that were read, the queue's log, pace of mail hosts that nobody asked for long."""

import asyncio
import random
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

import structlog

from verifier.settings import Settings
from verifier.store.database import Pool
from verifier.store.queries import purge

EVERY_SECONDS = 600.0
FIRST_AFTER_SECONDS = 60.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Retention:
    """How long things are kept after a task's end: results that were read to their end, and those that were not."""

    read: timedelta
    unread: timedelta

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return what the settings say."""
        return cls(timedelta(days=settings.result_days), timedelta(days=settings.unread_result_days))


async def once(pool: Pool, retention: Retention) -> purge.Purged:
    """Purge what is due now; somebody else who does so already is left to it."""
    purged = await purge.everything(pool, read_for=retention.read, unread_for=retention.unread)
    if purged.count:
        log.info("purged", tasks=purged.tasks, log_rows=purged.log_rows, mail_hosts=purged.mail_hosts)
    return purged


async def keep_purging(pool: Pool, retention: Retention) -> None:
    """Purge every ten minutes, for ever."""
    await asyncio.sleep(FIRST_AFTER_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
    while True:
        await once(pool, retention)
        await asyncio.sleep(EVERY_SECONDS * random.uniform(0.9, 1.1))  # noqa: S311 - no secret
