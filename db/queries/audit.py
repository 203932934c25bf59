"""The audit log: written once, read by page."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.dialects.postgresql import insert

from db.models import AuditEvent
from db.queries import pages
from db.session import ReadSession, Session


async def add(session: Session, event: AuditEvent) -> None:
    """Store an event; one that is there already, by its id, stays as it is."""
    values = {c.key: getattr(event, c.key) for c in AuditEvent.__table__.columns}
    await session.execute(insert(AuditEvent).values(values).on_conflict_do_nothing())


async def by_ids(session: ReadSession, event_ids: Sequence[UUID]) -> dict[UUID, AuditEvent]:
    """Events by id; those not found are left out."""
    rows = await session.scalars(select(AuditEvent).where(AuditEvent.id.in_(event_ids)))
    return {row.id: row for row in rows}


async def page(session: ReadSession, actor_id: UUID | None, window: pages.Window) -> pages.Slice[tuple[AuditEvent]]:
    """One page of the log, newest first; of one actor, or of all when None."""
    statement = select(AuditEvent).where(*_of(actor_id))
    columns = [*AuditEvent.__table__.c["created_at", "id"]]
    return await pages.read(session, statement, columns, window, is_descending=True)


async def count(session: ReadSession, actor_id: UUID | None) -> int:
    """How many events `page` has in all."""
    return await session.scalar(select(func.count(AuditEvent.id)).where(*_of(actor_id))) or 0


def _of(actor_id: UUID | None) -> list[ColumnElement[bool]]:
    return [] if actor_id is None else [AuditEvent.actor_id == actor_id]
