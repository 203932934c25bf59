"""Workers that are killed while they book payments: each payment counts once."""

import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

from conftest import ROOT
from db.models import PaymentFact
from db.session import Database
from services import purchases
from services.actor import Actor
from services.payments import packages, settlement
from services.payments.mock import MockPayments
from services.payments.port import Told
from tests import factories
from tests.services.ledger import balance

PURCHASES, KILLS = 60, 2
WORKER = """
import asyncio, sys
from datetime import UTC, datetime
from db.session import Database
from services.payments import settlement

async def work():
    db = await Database.open(sys.argv[1], pool_size=2)
    while True:
        await settlement.apply_due(db, datetime.now(UTC))

asyncio.run(work())
"""


async def due(raw: Any) -> int:
    """How many events nobody has acted on."""
    ((count,),) = await raw("SELECT count(*) FROM payment_event WHERE due_at IS NOT NULL")
    return int(count)


async def test_payments_that_workers_were_killed_over_are_booked_once(
    db: Database, service_database_url: str, raw: Any
) -> None:
    buyer = await factories.account(db, "buyer@example.com", balance=0)
    package, now = packages.IN_DEVELOPMENT[0], datetime.now(UTC)
    payments = MockPayments("secret", "http://service.test", "http://service.test")
    for n in range(PURCHASES):
        purchase = await purchases.create(
            db,
            payments,
            packages.IN_DEVELOPMENT,
            Actor(buyer.id, buyer.role),
            package=package.slug,
            idempotency_key=f"k{n}",
            now=now,
        )
        told = [
            Told(f"evt_{n}_{fact}", fact, f"s_{n}", f"pi_{n}", purchase.id, package.price_minor, package.currency)
            for fact in (PaymentFact.PAID, PaymentFact.REFUNDED)[: 1 + n % 2]
        ]
        await settlement.record(db, payments.name, told, now)
    await payments.aclose()
    for _ in range(KILLS):
        before = left = await due(raw)
        worker = subprocess.Popen([sys.executable, "-c", WORKER, service_database_url], cwd=ROOT)
        while left > before - 10:
            left = await due(raw)
        worker.kill()
        worker.wait()
        assert await due(raw) > 0  # it died in the middle
    await settlement.apply_due(db, datetime.now(UTC))
    assert await balance(db, buyer.id) == (PURCHASES // 2 * package.credits, 0, 0)
    assert await raw("SELECT kind, count(*) FROM credit_transaction GROUP BY kind ORDER BY kind") == [
        ("CHARGED_BACK", PURCHASES // 2),
        ("PURCHASED", PURCHASES),
    ]
