"""What the service asks of a payment provider, and what one tells.

A provider opens checkouts, signs webhooks, and lists what it told of late; who it is, only `app/wiring.py` knows.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from db.models import PaymentFact


@dataclass(frozen=True, slots=True)
class Order:
    """A purchase as a provider has to know it."""

    purchase_id: UUID
    credits: int
    price_minor: int
    currency: str
    expires_at: datetime
    """When the checkout closes, 30 minutes to 24 hours after it is opened."""


@dataclass(frozen=True, slots=True)
class Told:
    """One thing that a provider tells of a payment. The same one may come often, and later ones before it."""

    event_id: str
    fact: PaymentFact
    subject: str
    """What it is about in the provider's words: the checkout, the charge, the dispute."""
    payment_ref: str | None
    purchase_id: UUID | None
    """None where only the payment is named, as for disputes and failed refunds."""
    amount_minor: int
    """What was paid; for REFUNDED all that was paid back so far; for a chargeback what it is about."""
    currency: str


class Payments(Protocol):
    """A payment provider."""

    @property
    def name(self) -> str:
        """What stands in the ledger before its references."""
        ...

    @property
    def is_webhook_on(self) -> bool:
        """There is a secret that webhooks are signed with; without one none is taken."""
        ...

    async def open_checkout(self, order: Order) -> str:
        """The URL of a page that takes the payment of an order; repeated, the same one.

        Raises:
            PaymentsDown: cannot be reached, or asks to wait.
            PaymentsRefused: refuses this for good.

        """
        ...

    def read_webhook(self, body: bytes, signature: str, now: datetime) -> Told | None:
        """What a webhook tells; None when it is nothing about a purchase. `body` is raw: it is what was signed.

        Raises:
            WebhookRefused: forged, older than five minutes, or not of the provider's shape.

        """
        ...

    def told_since(self, since: datetime) -> AsyncIterator[Sequence[Told]]:
        """Everything that was told since a moment, in pages, whether or not a webhook brought it.

        Raises:
            PaymentsDown, PaymentsRefused: as above.

        """
        ...

    async def aclose(self) -> None:
        """Close every connection."""
        ...
