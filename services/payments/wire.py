"""Stripe's events, read: which of them tell something of a purchase, and what. Anything else is None.

Types and fields: Stripe's API reference, "Types of events". The names and addresses of payers are left where they are.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import orjson

from db import ids
from db.models import PaymentFact
from services.decoded import Json
from services.errors import WebhookRefused
from services.payments.port import Told

METADATA_KEY = "mailverdict_purchase"
"""Where a purchase's id stands on what belongs to it. A charge inherits it from its payment intent."""
FACTS: Mapping[str, PaymentFact] = {
    "checkout.session.completed": PaymentFact.PAID,
    "checkout.session.async_payment_succeeded": PaymentFact.PAID,
    "checkout.session.async_payment_failed": PaymentFact.CANCELED,
    "checkout.session.expired": PaymentFact.CANCELED,
    "charge.refunded": PaymentFact.REFUNDED,
    "refund.failed": PaymentFact.REFUND_FAILED,
    "charge.dispute.funds_withdrawn": PaymentFact.CHARGED_BACK,
    "charge.dispute.funds_reinstated": PaymentFact.REINSTATED,
}
_AMOUNTS = {
    PaymentFact.PAID: "amount_total",
    PaymentFact.CANCELED: "amount_total",
    PaymentFact.REFUNDED: "amount_refunded",
    PaymentFact.REFUND_FAILED: "amount",
    PaymentFact.CHARGED_BACK: "amount",
    PaymentFact.REINSTATED: "amount",
}
_TEXT_CHARACTERS_MAX = 255
_AMOUNT_MAX = 1 << 53


def read(body: bytes) -> Told | None:
    """What the body of a webhook tells.

    Raises:
        WebhookRefused: not an event of Stripe's shape.

    """
    try:
        return told(orjson.loads(body))
    except orjson.JSONDecodeError as error:
        raise WebhookRefused("The body of this webhook is not JSON.") from error


def told(event: Json) -> Told | None:
    """What an event tells.

    Raises:
        WebhookRefused: not an event of Stripe's shape.

    """
    try:
        fact = FACTS.get(event["type"])
        return None if fact is None else _told(event, fact)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise WebhookRefused("This webhook is not an event of Stripe's shape.") from error


def _told(event: Mapping[str, Any], fact: PaymentFact) -> Told | None:
    about = event["data"]["object"]
    if fact is PaymentFact.PAID and about["payment_status"] != "paid":
        return None  # a debit that is on its way: its success or failure is told later
    purchase_id = _purchase_id(about)
    payment = about.get("payment_intent")
    payment_ref = payment["id"] if isinstance(payment, dict) else payment
    names_payment_alone = about["object"] in ("dispute", "refund")
    if purchase_id is None and not (names_payment_alone and payment_ref is not None):
        return None  # something else that is sold through the same account
    return Told(
        event_id=_text(event["id"]),
        fact=fact,
        subject=_text(about["id"]),
        payment_ref=None if payment_ref is None else _text(payment_ref),
        purchase_id=purchase_id,
        amount_minor=_amount(about[_AMOUNTS[fact]]),
        currency=_text(about["currency"]).upper(),
    )


def _purchase_id(about: Mapping[str, Any]) -> UUID | None:
    value = (about.get("metadata") or {}).get(METADATA_KEY)
    return ids.parse("purchase", value) if isinstance(value, str) else None


def _text(value: object) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= _TEXT_CHARACTERS_MAX or not value.isprintable():
        raise ValueError
    return value


def _amount(value: object) -> int:
    if not isinstance(value, int) or not 0 <= value < _AMOUNT_MAX:
        raise ValueError
    return value
