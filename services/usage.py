"""Use of the service, by account, key and day: counted in memory (1 µs), added to the database every few seconds.

Usage is not money: a kill loses what was counted since the last write, and the ledger alone says what was paid.
"""

import asyncio
import time
from datetime import date
from uuid import UUID

import structlog

from db.models import UsageSeries, UsageSeriesPoint
from db.models.usage import NO_KEY
from db.queries import usage as queries
from db.queries.usage import Counts
from db.session import Database
from services.ranges import Days

WRITE_SECONDS = 4.0
"""With the time of writing less than the five seconds that a kill may lose."""
KEPT_MAX = 10_000
"""Counted at a time: accounts by keys and days. What would be more than that is not counted."""
_SECONDS_A_DAY = 86_400
_EPOCH = date(1970, 1, 1).toordinal()
_PATIENCE_SECONDS = 5.0

log = structlog.get_logger(__name__)


class Usage:
    """The counts of one process since it last wrote them."""

    def __init__(self, db: Database) -> None:
        """Counts at once; they are written while `run` runs."""
        self._db = db
        self._counts: dict[tuple[UUID, UUID | None, int], list[int]] = {}
        self._lost_count = 0
        self._is_due = asyncio.Event()
        self._is_closed = False

    def count(
        self, account_id: UUID, api_key_id: UUID | None, *, requests: int = 0, verifications: int = 0, credits: int = 0
    ) -> None:
        """Count something that is done now. Neither waits nor fails."""
        key = (account_id, api_key_id, int(time.time()) // _SECONDS_A_DAY)
        counts = self._counts.get(key)
        if counts is None:
            if len(self._counts) >= KEPT_MAX:
                self._lost_count += 1
                return
            counts = self._counts[key] = [0, 0, 0]
            if len(self._counts) == KEPT_MAX // 2:
                self._is_due.set()
        counts[0] += requests
        counts[1] += verifications
        counts[2] += credits

    async def run(self) -> None:
        """Write the counts every few seconds until `close`, and then once more."""
        while True:
            try:
                async with asyncio.timeout(WRITE_SECONDS):
                    await self._is_due.wait()
            except TimeoutError:
                pass
            self._is_due.clear()
            is_last = self._is_closed  # not later: what is counted while this is written is written once more
            await self.write()
            if is_last:
                return

    def close(self) -> None:
        """Let `run` write what is left, and end."""
        self._is_closed = True
        self._is_due.set()

    async def write(self) -> None:
        """Add the counts to the database; where that fails they are kept for the next time."""
        counts, self._counts = self._counts, {}
        lost_count, self._lost_count = self._lost_count, 0
        if lost_count:
            log.warning("usage_not_counted", count=lost_count)
        if not counts:
            return
        rows = [
            Counts(account_id, date.fromordinal(_EPOCH + day), api_key_id or NO_KEY, *amounts)
            for (account_id, api_key_id, day), amounts in counts.items()
        ]
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS), self._db.transaction() as session:
                await queries.add(session, rows)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next time may go better
            log.warning("usage_not_written", rows=len(rows), error=type(error).__name__)
            for key, amounts in counts.items():
                there = self._counts.setdefault(key, [0, 0, 0])
                there[:] = [a + b for a, b in zip(there, amounts, strict=True)]


async def series(db: Database, account_id: UUID, days: Days, api_key_id: UUID | None = None) -> UsageSeries:
    """An account's use through one key or in all: a point for each day, zero where nothing happened."""
    found = await queries.by_day(db.hot, account_id, days.first, days.last, api_key_id)
    return UsageSeries([found.get(day) or UsageSeriesPoint(day, 0, 0, 0) for day in days])
