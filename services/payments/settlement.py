"""What providers tell becomes credits: stored first, applied later, each in one transaction and once.

The order in which things are told does not matter: what a purchase is worth is worked out from all of them together.
Lock order: event, purchase, then the account's credits.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from db.models import CreditTransactionKind, PaymentEvent, PaymentFact, Purchase, PurchaseStatus
from db.queries import payments as queries
from db.session import Database, Session
from services import credits
from services.changes import Request
from services.errors import ServiceError
from services.payments.port import Payments, Told

log = structlog.get_logger(__name__)

RECONCILED = timedelta(hours=72)
"""How far back the hourly reconciliation looks."""
_BACKOFF_SECONDS_MAX = 3600
_UNKNOWN_PAYMENT_MAX = timedelta(days=4)
"""Longer than a reconciliation looks back: by then the payment would have been heard of."""

# Refunds are told as a sum so far, from which it does not follow what a refund after a failed one comes to.
_UNDECIDED = {PaymentFact.REFUND_FAILED: "A refund failed: refund it in another way, or give the credits back by hand."}


class PaymentUnknown(ServiceError):
    """No purchase has this payment yet."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a purchase from all that was told."""

    status: PurchaseStatus
    lost_minor: int
    """What of the price went back to the payer."""


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What a reconciliation found."""

    told: int
    recovered: int
    """Told by the provider, and not known here."""
    accounts: frozenset[UUID]
    """Whose purchases changed."""


async def record(db: Database, provider: str, told: Sequence[Told], now: datetime) -> int:
    """Store what a provider told, to be acted on by a worker; how much of it is new."""
    if not told:
        return 0
    events = [asdict(one) | {"provider": provider, "received_at": now, "due_at": now, "attempt": 0} for one in told]
    async with db.transaction() as session:
        return len(await queries.record(session, events))


async def apply_due(db: Database, now: datetime) -> frozenset[UUID]:
    """Act on every event that is due; the accounts whose purchases changed."""
    accounts: set[UUID] = set()
    while await _apply_next(db, now, accounts):
        pass
    return frozenset(accounts)


async def reconcile(
    db: Database, payments: Payments, now: datetime, lookback: timedelta = RECONCILED
) -> Reconciliation:
    """Fetch what the provider told lately, and act on what no webhook brought. Twice at once does no harm."""
    told = recovered = 0
    async for page in payments.told_since(now - lookback):
        told += len(page)
        recovered += await record(db, payments.name, page, now)
    accounts = await apply_due(db, now)
    (log.warning if recovered else log.info)("payments_reconciled", told=told, recovered=recovered)
    return Reconciliation(told, recovered, accounts)


def standing(purchase: Purchase, events: Iterable[PaymentEvent]) -> Standing:
    """Where a purchase stands by what was told of it, in whatever order that came."""
    facts = set()
    refunded = 0
    disputes: defaultdict[str, Counter[PaymentFact]] = defaultdict(Counter)
    for event in events:
        facts.add(event.fact)
        if event.fact is PaymentFact.REFUNDED:
            refunded = max(refunded, event.amount_minor)  # told as the sum so far
        elif event.fact in (PaymentFact.CHARGED_BACK, PaymentFact.REINSTATED):
            amounts = disputes[event.subject]
            amounts[event.fact] = max(amounts[event.fact], event.amount_minor)
    disputed = sum(
        max(0, amounts[PaymentFact.CHARGED_BACK] - amounts[PaymentFact.REINSTATED]) for amounts in disputes.values()
    )
    if disputed:
        status = PurchaseStatus.CHARGED_BACK
    elif refunded >= purchase.price_minor:
        status = PurchaseStatus.REFUNDED
    elif PaymentFact.PAID in facts:
        status = PurchaseStatus.PAID
    elif PaymentFact.CANCELED in facts:
        status = PurchaseStatus.CANCELED
    else:
        status = purchase.status
    return Standing(status, min(purchase.price_minor, refunded + disputed))


async def _apply_next(db: Database, now: datetime, accounts: set[UUID]) -> bool:
    """Act on one event: its row is locked until all that it changes is there. False when none is due."""
    key, attempt = None, 0
    try:
        async with db.transaction() as session:
            event = await queries.next_due(session, now)
            if event is None:
                return False
            key, attempt = (event.provider, event.event_id), event.attempt
            purchase = await _apply(session, event, now)
        if purchase is not None:
            accounts.add(purchase.account_id)
    except Exception as error:
        if key is None:
            raise
        wait = min(2**attempt, _BACKOFF_SECONDS_MAX)
        # Of errors that are not ours the kind alone: their words may hold data.
        problem = error.message if isinstance(error, ServiceError) else type(error).__name__
        if isinstance(error, PaymentUnknown):
            log.info("payment_unknown_so_far", event_id=key[1], wait_seconds=wait)
        else:
            log.exception("payment_event_not_applied", event_id=key[1], wait_seconds=wait)
        async with db.transaction() as session:
            await queries.postpone(session, key, now + timedelta(seconds=wait), problem)
    return True


async def _apply(session: Session, event: PaymentEvent, now: datetime) -> Purchase | None:
    """Book an event, or leave it to a person; the purchase when it was booked."""
    purchase = await queries.lock_purchase(session, event)
    if purchase is None:
        if event.purchase_id is None and now - event.received_at < _UNKNOWN_PAYMENT_MAX:
            raise PaymentUnknown
        _leave(event, "No purchase is behind this payment.")
        return None
    if problem := _mismatch(purchase, event) or _UNDECIDED.get(event.fact):
        _leave(event, problem)
        return None
    known = await queries.applied(session, purchase.id)
    event.purchase_id, event.applied_at, event.due_at, event.problem = purchase.id, now, None, None
    purchase.payment_ref = purchase.payment_ref or event.payment_ref
    if event.fact is PaymentFact.PAID and purchase.paid_at is None:
        purchase.paid_at = now
        await _grant(session, purchase, event, now)
    found = standing(purchase, [*known, event])
    purchase.status = found.status
    if purchase.paid_at is not None:
        await _take_back(session, purchase, event, purchase.credits * found.lost_minor // purchase.price_minor, now)
    log.info("payment_event_applied", purchase_id=purchase.global_id, fact=event.fact, status=purchase.status)
    return purchase


def _mismatch(purchase: Purchase, event: PaymentEvent) -> str | None:
    """Why an event cannot be right about its purchase; None when it can be."""
    if event.currency != purchase.currency:
        return f"The purchase is in {purchase.currency}, this in {event.currency}."
    if event.fact is PaymentFact.PAID and event.amount_minor != purchase.price_minor:
        return f"The price is {purchase.price_minor}, {event.amount_minor} was paid."
    # A second payment bought nothing, so that nothing is taken back when it is refunded.
    if event.fact is not PaymentFact.CANCELED and purchase.payment_ref not in (None, event.payment_ref):
        return "The purchase was paid by another payment."
    return None


def _leave(event: PaymentEvent, problem: str) -> None:
    """Give an event up: it waits for a person, who sees it in the health detail and in the log."""
    event.due_at, event.problem = None, problem
    log.error("payment_event_refused", event_id=event.event_id, provider=event.provider, problem=problem)


async def _grant(session: Session, purchase: Purchase, event: PaymentEvent, now: datetime) -> None:
    request = Request(
        f"purchase:{purchase.id}",
        (purchase.id, purchase.credits),
        note=f"Package {purchase.package}",
        purchase_id=purchase.id,
        external_ref=f"{purchase.provider}:{event.payment_ref or event.subject}",
    )
    kind = CreditTransactionKind.PURCHASED
    await credits.grant(session, purchase.account_id, purchase.credits, request, now, kind=kind)


async def _take_back(session: Session, purchase: Purchase, event: PaymentEvent, owed: int, now: datetime) -> None:
    """Bring what was taken back of a purchase to what has to be: more, or less when a chargeback was won."""
    change = owed - purchase.taken_back
    if not change:
        return
    purchase.taken_back = owed
    notes = {
        PaymentFact.PAID: "Paid back before the payment was told",
        PaymentFact.REFUNDED: "The payment was refunded",
        PaymentFact.CHARGED_BACK: "The payer's bank took the payment back",
        PaymentFact.REINSTATED: "The payer's bank gave the payment back",
    }
    request = Request(
        f"payment_event:{event.provider}:{event.event_id}",
        (purchase.id, owed),
        note=notes.get(event.fact),
        purchase_id=purchase.id,
    )
    if change > 0:
        await credits.charge_back(session, purchase.account_id, change, request, now)
    else:
        kind = CreditTransactionKind.PURCHASED
        await credits.grant(session, purchase.account_id, -change, request, now, kind=kind)
