"""The payment provider of development: its checkout is a page of ours, and it tells in Stripe's words and scheme."""

import base64
import hashlib
import hmac
from collections import deque
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import orjson
import structlog

from db import ids
from db.models import PaymentFact
from services import trust
from services.errors import NotFound
from services.payments import signature, wire
from services.payments.port import Order, Told

log = structlog.get_logger(__name__)

CHECKOUT_PATH = "/mock-checkout"
_EVENTS_KEPT = 1000
_TOKEN_CHARACTERS_MAX = 1024
_SIGNATURE_BYTES = 16
_TYPES = {
    PaymentFact.PAID: ("checkout.session.completed", "checkout.session", "cs"),
    PaymentFact.CANCELED: ("checkout.session.expired", "checkout.session", "cs"),
    PaymentFact.REFUNDED: ("charge.refunded", "charge", "ch"),
    PaymentFact.REFUND_FAILED: ("refund.failed", "refund", "re"),
    PaymentFact.CHARGED_BACK: ("charge.dispute.funds_withdrawn", "dispute", "dp"),
    PaymentFact.REINSTATED: ("charge.dispute.funds_reinstated", "dispute", "dp"),
}


class MockPayments:
    """Takes no money. What it told is remembered by the process, for the reconciliation, and by nobody else."""

    name = "mock"
    is_webhook_on = True

    def __init__(
        self, secret: str, public_url: str, webhook_url: str, *, client: httpx.AsyncClient | None = None
    ) -> None:
        """Checkouts are pages under `public_url`; `client` sends the webhooks."""
        self._webhook_secret = hashlib.sha256(b"mock-payments:" + secret.encode()).hexdigest()
        self._checkout_url, self._webhook_url = f"{public_url}{CHECKOUT_PATH}", webhook_url
        self._client = client or trust.client(timeout=10.0)
        self._events: deque[tuple[datetime, dict[str, Any]]] = deque(maxlen=_EVENTS_KEPT)

    async def open_checkout(self, order: Order) -> str:
        """A page that knows its order by its own URL."""
        values = [order.purchase_id, order.credits, order.price_minor, order.currency, order.expires_at]
        content = orjson.dumps(values, default=str)  # the driver has UUIDs of its own
        token = base64.urlsafe_b64encode(self._sign(content) + content).decode().rstrip("=")
        return f"{self._checkout_url}/{token}"

    def order(self, token: str) -> Order:
        """The order that a page stands for.

        Raises:
            NotFound: no such page.

        """
        try:
            if len(token) > _TOKEN_CHARACTERS_MAX:
                raise ValueError
            signed = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
            given, content = signed[:_SIGNATURE_BYTES], signed[_SIGNATURE_BYTES:]
            if not hmac.compare_digest(given, self._sign(content)):
                raise ValueError
            purchase_id, count, price_minor, currency, expires_at = orjson.loads(content)
            return Order(UUID(purchase_id), count, price_minor, currency, datetime.fromisoformat(expires_at))
        except ValueError as error:
            raise NotFound("There is no such checkout.") from error

    async def tell(self, order: Order, fact: PaymentFact, *, is_sent: bool = True) -> bool:
        """Let something happen to an order's payment and send its webhook; True when that was taken."""
        now = datetime.now(UTC)
        event = _event(order, fact, now)
        self._events.append((now, event))
        return is_sent and await self._send(orjson.dumps(event), now)

    def read_webhook(self, body: bytes, signature_header: str, now: datetime) -> Told | None:
        """What a webhook tells; see the port."""
        signature.verify(self._webhook_secret, body, signature_header, now)
        return wire.read(body)

    async def told_since(self, since: datetime) -> AsyncIterator[Sequence[Told]]:
        """What this process told since a moment, newest first."""
        yield [told for at, event in reversed(self._events) if at >= since and (told := wire.told(event)) is not None]

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    async def _send(self, body: bytes, now: datetime) -> bool:
        headers = {
            "content-type": "application/json",
            signature.HEADER: signature.sign(self._webhook_secret, body, now),
        }
        try:
            response = await self._client.post(self._webhook_url, content=body, headers=headers)
        except httpx.HTTPError as error:
            log.warning("mock_webhook_not_taken", error=type(error).__name__)
            return False
        return response.is_success

    def _sign(self, content: bytes) -> bytes:
        return hmac.digest(self._webhook_secret.encode(), b"checkout:" + content, "sha256")[:_SIGNATURE_BYTES]


def _event(order: Order, fact: PaymentFact, now: datetime) -> dict[str, Any]:
    """An event in Stripe's shape. Pressed twice, a button tells the same event again."""
    kind, what, prefix = _TYPES[fact]
    digits = ids.encode(order.purchase_id.int)
    about: dict[str, Any] = {
        "id": f"{prefix}_mock_{digits}",
        "object": what,
        "payment_intent": f"pi_mock_{digits}",
        "currency": order.currency.lower(),
        "metadata": {wire.METADATA_KEY: ids.global_id("purchase", order.purchase_id)},
    }
    match what:
        case "checkout.session":
            is_paid = fact is PaymentFact.PAID
            about |= {"payment_status": "paid" if is_paid else "unpaid", "amount_total": order.price_minor}
        case "charge":
            about |= {"amount": order.price_minor, "amount_refunded": order.price_minor}
        case _:
            about |= {"amount": order.price_minor, "metadata": {}}
    return {
        "id": f"evt_mock_{fact.value.lower()}_{digits}",
        "object": "event",
        "type": kind,
        "created": int(now.timestamp()),
        "data": {"object": about},
    }
