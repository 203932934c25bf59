"""Purchases of credits, and what payment providers tell of them.

Purchases name accounts without a foreign key, as the ledger does: they outlive them.
"""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from db import ids
from db.models.table import Table, words


class PurchaseStatus(StrEnum):
    """Where a purchase stands."""

    OPEN = "OPEN"
    PAID = "PAID"
    CANCELED = "CANCELED"
    REFUNDED = "REFUNDED"
    CHARGED_BACK = "CHARGED_BACK"


class PaymentFact(StrEnum):
    """What a provider can tell of a payment."""

    PAID = "PAID"
    CANCELED = "CANCELED"
    REFUNDED = "REFUNDED"
    REFUND_FAILED = "REFUND_FAILED"
    """A refund that was told did not reach the payer: the money is with us again."""
    CHARGED_BACK = "CHARGED_BACK"
    REINSTATED = "REINSTATED"
    """A chargeback was decided for us: the money came back."""


class Purchase(Table):
    """Credits for money. The price is the one of the day: packages may change later."""

    __tablename__ = "purchase"
    __table_args__ = (
        Index("uq_purchase_account_id_idempotency_key", "account_id", "idempotency_key", unique=True),
        Index("uq_purchase_provider_payment_ref", "provider", "payment_ref", unique=True),
        Index("ix_purchase_account_id_created_at", "account_id", "created_at", "id"),
        Index("ix_purchase_expires_at", "expires_at", postgresql_where=text("status = 'OPEN'")),
        CheckConstraint("credits > 0 AND price_minor > 0", name="amounts"),
        CheckConstraint("taken_back >= 0 AND taken_back <= credits", name="taken_back"),
        CheckConstraint("paid_at IS NOT NULL OR taken_back = 0", name="paid_first"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID]
    package: Mapped[str]
    credits: Mapped[int]
    price_minor: Mapped[int]
    currency: Mapped[str]
    status: Mapped[PurchaseStatus] = mapped_column(words(PurchaseStatus))
    provider: Mapped[str]
    checkout_page: Mapped[str | None]
    """Where the provider takes the payment; None until it gave one."""
    payment_ref: Mapped[str | None]
    """The payment in the provider's words."""
    taken_back: Mapped[int] = mapped_column(default=0)
    """Credits taken back by refunds and chargebacks."""
    idempotency_key: Mapped[str]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    paid_at: Mapped[datetime | None]

    @property
    def global_id(self) -> str:
        """Public id."""
        return ids.global_id("purchase", self.id)

    @property
    def checkout_url(self) -> str | None:
        """Where the buyer pays; None once there is nothing to pay."""
        return self.checkout_page if self.status is PurchaseStatus.OPEN else None


class PaymentEvent(Table):
    """One thing that a provider told, once: its own outbox. Names and addresses of payers are not kept."""

    __tablename__ = "payment_event"
    __table_args__ = (
        Index("ix_payment_event_due_at", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        Index("ix_payment_event_problem", "received_at", postgresql_where=text("problem IS NOT NULL")),
        Index("ix_payment_event_purchase_id", "purchase_id"),
        CheckConstraint("due_at IS NULL OR applied_at IS NULL", name="applied_once"),
        CheckConstraint("amount_minor >= 0", name="amount_minor"),
    )

    provider: Mapped[str] = mapped_column(primary_key=True)
    event_id: Mapped[str] = mapped_column(primary_key=True)
    fact: Mapped[PaymentFact] = mapped_column(words(PaymentFact))
    subject: Mapped[str]
    """What it is about in the provider's words: the checkout, the charge, the dispute."""
    payment_ref: Mapped[str | None]
    purchase_id: Mapped[UUID | None]
    """As told; where only the payment was told, as found when the event was applied."""
    amount_minor: Mapped[int]
    currency: Mapped[str]
    received_at: Mapped[datetime]
    due_at: Mapped[datetime | None]
    """When to act on it; None when it was applied or given up."""
    attempt: Mapped[int] = mapped_column(default=0)
    applied_at: Mapped[datetime | None]
    problem: Mapped[str | None]
    """Why it could not be applied; with no `due_at` it waits for a person."""
