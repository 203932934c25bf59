"""What a worker looks after beside the tasks: what is past its time, and payments. Any number of workers may."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import structlog

from db.session import Database
from services import credits, deletion, purchases, retention, webhook_delivery
from services.errors import UpstreamError
from services.payments import settlement
from services.payments.port import Payments
from services.progress import Announcer

log = structlog.get_logger(__name__)

_AGAIN_SECONDS = 1.0
"""While there is something to do."""
_RECOVER_SECONDS = 60.0
"""At most, after a fault: PostgreSQL or the payment provider is away, perhaps."""


@dataclass(frozen=True, slots=True)
class Chore:
    """Something to be done now and then; it gives how much it found to do."""

    name: str
    pause_seconds: float
    work: Callable[[datetime], Awaitable[int]]

    async def repeat(self) -> None:
        """Do it for ever: again soon while there is something to do, else after its pause."""
        while True:
            try:
                count = await self.work(datetime.now(UTC))
                pause_seconds = min(self.pause_seconds, _AGAIN_SECONDS) if count else self.pause_seconds
                if count:
                    log.info(self.name, count=count)
            except UpstreamError as error:  # who was asked is away, and what asked has logged how
                log.warning("chore_put_off", chore=self.name, error=type(error).__name__)
                pause_seconds = min(self.pause_seconds, _RECOVER_SECONDS)
            except Exception:
                log.exception("chore_failed", chore=self.name)
                pause_seconds = min(self.pause_seconds, _RECOVER_SECONDS)
            await asyncio.sleep(pause_seconds)


def of_worker(db: Database, payments: Payments | None, announcer: Announcer) -> list[Chore]:
    """All of them."""

    async def apply(now: datetime) -> int:
        changed = await settlement.apply_due(db, now)
        announcer.changed(changed)
        return len(changed)

    async def reconcile(now: datetime) -> int:
        if payments is not None:
            announcer.changed((await settlement.reconcile(db, payments, now)).accounts)
        return 0  # nothing is left for another time

    return [
        Chore("payments_booked", 1.0, apply),
        Chore("payments_reconciled", 3600.0, reconcile),
        Chore("unpaid_purchases_canceled", 60.0, partial(purchases.cancel_expired, db)),
        Chore("credits_expired", 60.0, partial(credits.expire_due, db)),
        Chore("deleted_accounts_removed", 5.0, partial(deletion.remove_deleted, db)),
        Chore("expired_credentials_removed", 3600.0, partial(retention.remove_credentials, db)),
        Chore("drafts_and_results_removed", 3600.0, partial(retention.purge_tasks, db)),
        Chore("deliveries_purged", 3600.0, partial(webhook_delivery.purge, db)),
    ]
