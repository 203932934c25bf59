"""Who did what to whose things: kept for ever, changed by nobody."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db import ids
from db.models.table import Table


class AuditEvent(Table):
    """One recorded act. It names accounts without a foreign key, and stays when they are deleted."""

    __tablename__ = "audit_event"
    __table_args__ = (
        Index("ix_audit_event_created_at", "created_at", "id"),
        Index("ix_audit_event_actor_id", "actor_id", "created_at", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    action: Mapped[str]
    actor_id: Mapped[UUID | None]
    """Who did it; null for the service itself and for its operator's commands."""
    subject_id: Mapped[str | None]
    """Global id of the thing acted on."""
    request_id: Mapped[str | None]
    ip_address: Mapped[str | None]
    user_agent: Mapped[str | None]
    details: Mapped[dict[str, Any]] = mapped_column(JSONB)
    """What was before and after, and the reason, where they say something."""
    created_at: Mapped[datetime]

    @property
    def global_id(self) -> str:
        """Public id."""
        return ids.global_id("audit", self.id)
