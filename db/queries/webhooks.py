"""Webhooks and their deliveries. The table of deliveries is its own outbox."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, bindparam, delete, func, select, update
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.exc import IntegrityError

from db.models import Webhook, WebhookDelivery, WebhookEvent, WebhookSecret
from db.queries import pages
from db.session import ReadSession, Session

_PURGED_AT_ONCE = 10_000


async def add(session: Session, webhook: Webhook, secret: WebhookSecret) -> None:
    """Store a new webhook with its secret."""
    session.add_all([webhook, secret])
    await session.flush()


async def locked(session: Session, account_id: UUID, webhook_id: UUID) -> Webhook | None:
    """A webhook of an account, locked until the transaction ends."""
    statement = select(Webhook).where(Webhook.id == webhook_id, Webhook.account_id == account_id)
    return await session.scalar(statement.with_for_update(key_share=True))


async def remove(session: Session, account_id: UUID, webhook_id: UUID) -> bool:
    """Delete a webhook of an account with its deliveries and its secret; False when there was none."""
    statement = delete(Webhook).where(Webhook.id == webhook_id, Webhook.account_id == account_id).returning(Webhook.id)
    if await session.scalar(statement) is None:
        return False
    await session.execute(delete(WebhookSecret).where(WebhookSecret.owner_id == webhook_id))
    return True


async def by_ids(session: ReadSession, webhook_ids: Sequence[UUID]) -> dict[UUID, Webhook]:
    """Webhooks by id; those not found are left out."""
    rows = await session.scalars(select(Webhook).where(Webhook.id.in_(webhook_ids)))
    return {row.id: row for row in rows}


async def page(session: ReadSession, account_id: UUID, window: pages.Window) -> pages.Slice[tuple[Webhook]]:
    """One page of an account's webhooks, newest first."""
    statement = select(Webhook).where(Webhook.account_id == account_id)
    return await pages.read(session, statement, [*Webhook.__table__.c["created_at", "id"]], window, is_descending=True)


async def count(session: ReadSession, account_id: UUID) -> int:
    """How many webhooks an account has."""
    statement = select(func.count(Webhook.id)).where(Webhook.account_id == account_id)
    return await session.scalar(statement) or 0


async def asking_for(session: ReadSession, account_id: UUID, event: WebhookEvent) -> Sequence[Webhook]:
    """The enabled webhooks of an account that ask for an event."""
    w = Webhook
    statement = select(w).where(w.account_id == account_id, w.is_enabled, w.event_names.contains([event.value]))
    return (await session.scalars(statement)).all()


async def secret(session: ReadSession, owner_id: UUID) -> WebhookSecret | None:
    """The secret of a webhook, or of an account for its tasks' own addresses."""
    return await session.scalar(select(WebhookSecret).where(WebhookSecret.owner_id == owner_id))


async def keep_secret(session: Session, row: WebhookSecret) -> None:
    """Store a secret unless its owner has one."""
    values = {"owner_id": row.owner_id, "account_id": row.account_id, "sealed": row.sealed}
    await session.execute(insert(WebhookSecret).values(values).on_conflict_do_nothing())


async def replace_secret(session: Session, row: WebhookSecret) -> None:
    """Store a secret in place of the one there, which is kept beside it until `row.previous_until`."""
    statement = insert(WebhookSecret).values(owner_id=row.owner_id, account_id=row.account_id, sealed=row.sealed)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=[WebhookSecret.owner_id],
            set_={
                "sealed": statement.excluded.sealed,
                "previous_sealed": WebhookSecret.sealed,
                "previous_until": row.previous_until,
            },
        )
    )


async def add_deliveries(session: Session, deliveries: Sequence[WebhookDelivery]) -> bool:
    """Store what is to be told, in the transaction of what happened; False, and none, where a webhook is gone."""
    try:
        async with session.begin_nested():
            session.add_all(deliveries)
    except IntegrityError as error:
        told = error.orig.__cause__ if error.orig is not None else None  # the driver's own
        if getattr(told, "constraint_name", None) != "fk_webhook_delivery_webhook_id":
            raise
        return False
    return True


async def has_due(session: ReadSession, now: datetime) -> bool:
    """Some delivery is due."""
    return await session.scalar(select(WebhookDelivery.id).where(WebhookDelivery.due_at <= now).limit(1)) is not None


async def lease_due(
    session: Session,
    now: datetime,
    *,
    limit: int,
    share: int,
    lease: timedelta,
    busy: Collection[WebhookDelivery],
) -> Sequence[WebhookDelivery]:
    """Take deliveries that are due, one a receiver, and of each account `share` with those that are `busy`.

    A receiver is a webhook, or an account for its tasks' own addresses; one that is busy gets none. Nobody else tries
    the same until the lease runs out. One statement.
    """
    d = WebhookDelivery
    receiver = func.coalesce(d.webhook_id, d.account_id)
    busy_accounts = bindparam("busy_accounts", [one.account_id for one in busy], type_=ARRAY(Uuid()))
    busy_of_account = func.cardinality(func.array_positions(busy_accounts, d.account_id))
    statement = select(d.id, d.account_id, receiver.label("receiver"), d.due_at, busy_of_account.label("busy"))
    statement = statement.where(d.due_at <= now, busy_of_account < share)
    if busy:
        statement = statement.where(receiver.not_in([one.receiver_id for one in busy]))
    # Of each receiver the one that is due first; the inner limit bounds the work when one has thousands waiting.
    waiting = statement.order_by(d.due_at).limit(limit * 50).subquery()
    of_receiver = select(waiting).ext(distinct_on(waiting.c.receiver)).order_by(waiting.c.receiver, waiting.c.due_at)
    first = of_receiver.subquery()
    place = func.row_number().over(partition_by=first.c.account_id, order_by=first.c.due_at)
    ranked = select(first.c.id, (first.c.busy + place).label("place")).subquery()
    allowed = select(ranked.c.id).where(ranked.c.place <= share)
    locked_ids = select(d.id).where(d.id.in_(allowed), d.due_at <= now).limit(limit).with_for_update(skip_locked=True)
    taking = update(d).where(d.id.in_(locked_ids)).values(due_at=now + lease).returning(d)
    return (await session.scalars(taking.execution_options(synchronize_session=False))).all()


async def locked_delivery(session: Session, delivery_id: UUID) -> WebhookDelivery | None:
    """A delivery, locked until the transaction ends."""
    statement = select(WebhookDelivery).where(WebhookDelivery.id == delivery_id)
    return await session.scalar(statement.with_for_update())


async def deliveries_by_ids(session: ReadSession, delivery_ids: Sequence[UUID]) -> dict[UUID, WebhookDelivery]:
    """Deliveries by id; those not found are left out."""
    rows = await session.scalars(select(WebhookDelivery).where(WebhookDelivery.id.in_(delivery_ids)))
    return {row.id: row for row in rows}


async def deliveries_by_webhooks(
    session: ReadSession, webhook_ids: Sequence[UUID], window: pages.Window
) -> dict[UUID, pages.Slice[tuple[UUID, WebhookDelivery]]]:
    """The same window of each webhook's deliveries, newest first. One statement."""
    row = WebhookDelivery.__table__.c
    columns = [row.created_at, row.id]
    return await pages.read_below(
        session, select(WebhookDelivery), columns, window, row.webhook_id, webhook_ids, is_descending=True
    )


async def count_deliveries(session: ReadSession, webhook_ids: Sequence[UUID]) -> dict[UUID, int]:
    """How many deliveries of each webhook are kept. One statement."""
    statement = select().select_from(WebhookDelivery)
    return await pages.count_below(session, statement, WebhookDelivery.__table__.c.webhook_id, webhook_ids)


async def give_up(session: Session, webhook_id: UUID) -> None:
    """Let nothing more be tried for a webhook; what was not delivered can be sent again by hand."""
    d = WebhookDelivery
    await session.execute(update(d).where(d.webhook_id == webhook_id, d.due_at.is_not(None)).values(due_at=None))


async def purge(session: Session, before: datetime) -> int:
    """Delete deliveries made before a moment, a batch at most; how many those were."""
    d = WebhookDelivery
    old = select(d.id).where(d.created_at < before, d.due_at.is_(None)).limit(_PURGED_AT_ONCE)
    return len((await session.scalars(delete(d).where(d.id.in_(old)).returning(d.id))).all())
