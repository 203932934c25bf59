"""Customers' webhooks: receivers, and what they are told. A delivery is its own outbox: `due_at` says when to try."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db import ids
from db.models.table import Table, words


class WebhookEvent(StrEnum):
    """Events a webhook can ask for."""

    TASK_COMPLETED = "TASK_COMPLETED"
    TASK_FAILED = "TASK_FAILED"
    TASK_CANCELED = "TASK_CANCELED"
    CREDITS_LOW = "CREDITS_LOW"


class Webhook(Table):
    """A receiver of an account's events."""

    __tablename__ = "webhook"
    __table_args__ = (Index("ix_webhook_account_id", "account_id", "created_at", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
    url: Mapped[str]
    event_names: Mapped[list[str]] = mapped_column(ARRAY(Text))
    is_enabled: Mapped[bool] = mapped_column(default=True)
    failing_since: Mapped[datetime | None]
    """When the first of a row of failures was; None once it takes a delivery."""
    created_at: Mapped[datetime]

    @property
    def global_id(self) -> str:
        """Public id."""
        return ids.global_id("webhook", self.id)

    @property
    def events(self) -> list[WebhookEvent]:
        """Events sent."""
        return [WebhookEvent(name) for name in self.event_names]


class WebhookSecret(Table):
    """What signs: the secret of a webhook, or of an account for the addresses that its tasks name. Sealed."""

    __tablename__ = "webhook_secret"

    owner_id: Mapped[UUID] = mapped_column(primary_key=True)
    """The webhook, or the account."""
    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), index=True)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    previous_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    previous_until: Mapped[datetime | None]
    """Until then the secret before it signs too."""


class WebhookDelivery(Table):
    """One event for one receiver. `due_at` is None once nothing more is to be tried."""

    __tablename__ = "webhook_delivery"
    __table_args__ = (
        Index("ix_webhook_delivery_due_at", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        Index("ix_webhook_delivery_webhook_id", "webhook_id", "created_at", "id"),
        Index("ix_webhook_delivery_created_at", "created_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), index=True)
    webhook_id: Mapped[UUID | None] = mapped_column(ForeignKey("webhook.id", ondelete="CASCADE"))
    """None for an address that a task named."""
    url: Mapped[str]
    event: Mapped[WebhookEvent] = mapped_column(words(WebhookEvent))
    data: Mapped[dict[str, Any]] = mapped_column(JSONB)
    """What is told: ids and counts."""
    attempts: Mapped[int] = mapped_column(default=0)
    response_status: Mapped[int | None]
    problem: Mapped[str | None]
    """Why the last try failed, for people who operate this."""
    delivered_at: Mapped[datetime | None]
    due_at: Mapped[datetime | None]
    created_at: Mapped[datetime]

    @property
    def global_id(self) -> str:
        """Public id, and the Webhook-Id header."""
        return ids.global_id("delivery", self.id)

    @property
    def receiver_id(self) -> UUID:
        """The webhook, or the account for an address that a task named."""
        return self.webhook_id or self.account_id

    @property
    def is_delivered(self) -> bool:
        """The receiver answered with 2xx."""
        return self.delivered_at is not None

    @property
    def next_attempt_at(self) -> datetime | None:
        """When the next try is due."""
        return self.due_at
