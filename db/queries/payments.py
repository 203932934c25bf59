"""Purchases, and the events of payment providers. The table of events is its own outbox."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.dialects.postgresql import insert

from db.models import PaymentEvent, Purchase, PurchaseStatus
from db.queries import pages
from db.session import ReadSession, Session

EventKey = tuple[str, str]
"""Provider and event id."""


@dataclass(frozen=True, slots=True)
class Unsettled:
    """Events that are not applied although they were tried, and those that wait for a person."""

    late: int
    refused: int


async def by_ids(session: ReadSession, purchase_ids: Sequence[UUID]) -> dict[UUID, Purchase]:
    """Purchases by id; those not found are left out."""
    rows = await session.scalars(select(Purchase).where(Purchase.id.in_(purchase_ids)))
    return {row.id: row for row in rows}


async def by_key(session: ReadSession, account_id: UUID, idempotency_key: str) -> Purchase | None:
    """The purchase that an account made with a key."""
    p = Purchase
    return await session.scalar(select(p).where(p.account_id == account_id, p.idempotency_key == idempotency_key))


async def add(session: Session, purchase: Purchase) -> Purchase | None:
    """Store a purchase; when another was quicker with its key, nothing is stored and that one is given."""
    values = {c.key: getattr(purchase, c.key) for c in Purchase.__table__.columns}
    statement = insert(Purchase).values(values).on_conflict_do_nothing()
    await session.execute(statement)
    return await by_key(session, purchase.account_id, purchase.idempotency_key)


async def set_checkout(session: Session, purchase_id: UUID, url: str) -> Purchase | None:
    """Note where a purchase is paid, unless that is known; gives the purchase as it is now."""
    p = Purchase
    await session.execute(update(p).where(p.id == purchase_id, p.checkout_page.is_(None)).values(checkout_page=url))
    return (await by_ids(session, [purchase_id])).get(purchase_id)


async def cancel_expired(session: Session, now: datetime) -> int:
    """Give up the open purchases whose time to pay is over; how many those were."""
    p = Purchase
    expired = update(p).where(p.status == PurchaseStatus.OPEN, p.expires_at <= now)
    return len((await session.scalars(expired.values(status=PurchaseStatus.CANCELED).returning(p.id))).all())


async def page(session: ReadSession, account_id: UUID, window: pages.Window) -> pages.Slice[tuple[Purchase]]:
    """One page of an account's purchases, newest first."""
    statement = select(Purchase).where(Purchase.account_id == account_id)
    return await pages.read(session, statement, [*Purchase.__table__.c["created_at", "id"]], window, is_descending=True)


async def count(session: ReadSession, account_id: UUID) -> int:
    """How many purchases an account has."""
    return await session.scalar(select(func.count(Purchase.id)).where(Purchase.account_id == account_id)) or 0


async def record(session: Session, events: Sequence[dict[str, Any]]) -> Sequence[str]:
    """Store events, each once however often it is told; the ids of those that are new."""
    statement = insert(PaymentEvent).values(list(events)).on_conflict_do_nothing().returning(PaymentEvent.event_id)
    return (await session.scalars(statement)).all()


async def next_due(session: Session, now: datetime) -> PaymentEvent | None:
    """The next event to act on, locked: nobody else takes it until the transaction ends."""
    e = PaymentEvent
    due = select(e).where(e.due_at.is_not(None), e.due_at <= now).order_by(e.due_at).limit(1)
    return await session.scalar(due.with_for_update(skip_locked=True))


async def lock_purchase(session: Session, event: PaymentEvent) -> Purchase | None:
    """The purchase that an event is about, by its id or by its payment, locked until the transaction ends."""
    p = Purchase
    if event.purchase_id is None and event.payment_ref is None:
        return None
    is_it: ColumnElement[bool] = p.payment_ref == event.payment_ref
    if event.purchase_id is not None:
        is_it = p.id == event.purchase_id
    return await session.scalar(select(p).where(p.provider == event.provider, is_it).with_for_update())


async def applied(session: ReadSession, purchase_id: UUID) -> Sequence[PaymentEvent]:
    """What was told of a purchase and applied."""
    e = PaymentEvent
    statement = select(e).where(e.purchase_id == purchase_id, e.applied_at.is_not(None))
    return (await session.scalars(statement)).all()


async def postpone(session: Session, key: EventKey, due_at: datetime | None, problem: str) -> None:
    """Try an event again later, or with no `due_at` leave it to a person."""
    provider, event_id = key
    e = PaymentEvent
    statement = update(e).where(e.provider == provider, e.event_id == event_id, e.applied_at.is_(None))
    await session.execute(statement.values(due_at=due_at, attempt=e.attempt + 1, problem=problem[:500]))


async def unsettled(session: ReadSession) -> Unsettled:
    """How many events could not be applied so far."""
    e = PaymentEvent
    late, all_of_them = func.count(e.due_at), func.count()
    row = (await session.execute(select(late, all_of_them).where(e.problem.is_not(None)))).one()
    return Unsettled(row[0], row[1] - row[0])
