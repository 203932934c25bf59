"""The audit log: who did what, written in the transaction of the act itself."""

from datetime import datetime
from uuid import UUID

import structlog

from db import ids
from db.models import ApiKey, AuditEvent, Task
from db.queries import audit as queries
from db.session import Session
from services import device
from services.actor import Actor
from services.decoded import Json


async def record(
    session: Session,
    action: str,
    now: datetime,
    *,
    actor: Actor | None,
    subject_id: str,
    event_id: UUID | None = None,
    **details: Json,
) -> None:
    """Note an act, with the request and the actor's device. `actor` is None for the service and for its operator.

    `event_id` makes it repeat-safe: an event that is there is not written again. Details hold no addresses: the log
    outlives the people in it.
    """
    here = device.HERE.get() if actor is not None else device.Device()
    await queries.add(
        session,
        AuditEvent(
            id=event_id or ids.new_uuid(),
            action=action,
            actor_id=actor.account_id if actor is not None else None,
            subject_id=subject_id,
            request_id=structlog.contextvars.get_contextvars().get("request_id"),
            ip_address=here.ip_address,
            user_agent=here.user_agent,
            details=details,
            created_at=now,
        ),
    )


async def record_reach(session: Session, action: str, now: datetime, actor: Actor, subject: Task | ApiKey) -> None:
    """Note what an administrator does to another's things; what people do to their own is not recorded."""
    if actor.account_id != subject.account_id:
        owner_id = ids.global_id("user", subject.account_id)
        await record(session, action, now, actor=actor, subject_id=subject.global_id, owner_id=owner_id)
