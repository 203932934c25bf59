"""Purchases of credits: begun here, paid at the provider, booked by `payments.settlement`."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from db import ids
from db.models import Purchase, PurchaseStatus
from db.queries import payments as queries
from db.session import Database
from services import idempotency
from services.actor import Actor
from services.errors import IdempotencyConflict, NotFound
from services.payments.packages import Package
from services.payments.port import Order, Payments

LIFETIME = timedelta(hours=12)
"""How long a purchase waits for its payment."""


async def create(
    db: Database,
    payments: Payments | None,
    on_sale: Sequence[Package],
    actor: Actor,
    *,
    package: str,
    idempotency_key: str,
    now: datetime,
) -> Purchase:
    """Begin to buy a package: the purchase, with the page to pay on. Never by a key.

    The purchase is there before its checkout is opened. When the two are torn apart, the same key goes on from there.

    Raises:
        NotFound: no such package.
        Invalid, IdempotencyConflict: the key is not acceptable, or was used for another package.
        PaymentsDown, PaymentsRefused: the provider does not open a checkout.

    """
    actor.require(None)
    key = idempotency.checked(idempotency_key)
    async with db.transaction() as session:
        purchase = await queries.by_key(session, actor.account_id, key)
        if purchase is None:
            chosen = next((one for one in on_sale if one.slug == package), None)
            if chosen is None or payments is None:
                raise NotFound("No such package is on sale.", field=("input", "package"))
            new = _new(actor, payments.name, chosen, key, now)
            purchase = await queries.add(session, new) or new
    if purchase.package != package:
        raise IdempotencyConflict(field=("input", "idempotencyKey"))
    is_waiting = purchase.status is PurchaseStatus.OPEN and purchase.checkout_page is None
    if payments is None or payments.name != purchase.provider or not is_waiting:
        return purchase
    url = await payments.open_checkout(
        Order(purchase.id, purchase.credits, purchase.price_minor, purchase.currency, purchase.expires_at)
    )
    async with db.transaction() as session:
        return await queries.set_checkout(session, purchase.id, url) or purchase


async def cancel_expired(db: Database, now: datetime) -> int:
    """Give up what was not paid in time; how many purchases. A payment that comes all the same counts."""
    async with db.transaction() as session:
        return await queries.cancel_expired(session, now)


def _new(actor: Actor, provider: str, package: Package, key: str, now: datetime) -> Purchase:
    return Purchase(
        id=ids.new_uuid(),
        account_id=actor.account_id,
        package=package.slug,
        credits=package.credits,
        price_minor=package.price_minor,
        currency=package.currency,
        status=PurchaseStatus.OPEN,
        provider=provider,
        taken_back=0,
        idempotency_key=key,
        created_at=now,
        expires_at=now + LIFETIME,
    )
