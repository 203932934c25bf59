"""What a worker does about payments: applies what providers told, gives up unpaid purchases, reconciles hourly."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from db.session import Database
from services import purchases
from services.payments import settlement
from services.payments.port import Payments
from services.progress import Announcer

log = structlog.get_logger(__name__)

_APPLY_SECONDS = 1.0
_EXPIRY_SECONDS = 60.0
_RECONCILE_SECONDS = 3600.0
_RECOVER_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Cashier:
    """Any number may work side by side: events are locked one by one, and what is told twice counts once."""

    db: Database
    payments: Payments | None
    announcer: Announcer

    async def run(self) -> None:
        """Work until cancelled."""
        await asyncio.gather(
            _every(_APPLY_SECONDS, self._apply),
            _every(_EXPIRY_SECONDS, lambda now: purchases.cancel_expired(self.db, now)),
            _every(_RECONCILE_SECONDS, self._reconcile),
        )

    async def _apply(self, now: datetime) -> None:
        self.announcer.changed(await settlement.apply_due(self.db, now))

    async def _reconcile(self, now: datetime) -> None:
        if self.payments is not None:
            found = await settlement.reconcile(self.db, self.payments, now)
            self.announcer.changed(found.accounts)


async def _every(seconds: float, work: Callable[[datetime], Awaitable[object]]) -> None:
    while True:
        try:
            await work(datetime.now(UTC))
        except Exception:  # PostgreSQL or the provider is away, perhaps: the next time may work
            log.exception("payments_chore_failed")
            await asyncio.sleep(min(seconds, _RECOVER_SECONDS))
        else:
            await asyncio.sleep(seconds)
