"""What payment providers and payers reach: the webhook, and in development the checkout page of the mock."""

import asyncio
import html
import string
import urllib.parse
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from db.models import PaymentFact
from resolvers.context import Parts
from services.errors import NotFound, WebhookRefused
from services.payments import settlement, signature
from services.payments.mock import CHECKOUT_PATH, MockPayments
from services.payments.port import Order, Payments

WEBHOOK_PATH = "/webhooks/payments"
BODY_BYTES_MAX = 256 * 1024
BODY_SECONDS_MAX = 15.0
FILES = Path(__file__).parent / "checkout"
_FORM_BYTES_MAX = 1024

# A page that takes no script and sends its form nowhere else.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_BUTTONS: Mapping[str, tuple[PaymentFact, str]] = {
    "pay": (PaymentFact.PAID, "Paid."),
    "fail": (PaymentFact.CANCELED, "The payment failed."),
    "refund": (PaymentFact.REFUNDED, "The payment was refunded."),
    "charge_back": (PaymentFact.CHARGED_BACK, "The payer's bank took the payment back."),
    "reinstate": (PaymentFact.REINSTATED, "The payer's bank gave the payment back."),
}

log = structlog.get_logger(__name__)


def routes(parts: Parts) -> list[BaseRoute]:
    """Give /webhooks/payments, which is not there without a signing secret, and with the mock its checkout."""
    payments = parts.payments
    if payments is None or not payments.is_webhook_on:
        return []
    found: list[BaseRoute] = [Route(WEBHOOK_PATH, _webhook(parts, payments), methods=["POST"])]
    if isinstance(payments, MockPayments):
        checkout = _Checkout(payments)
        found += [
            Route(f"{CHECKOUT_PATH}/checkout.css", checkout.style),
            Route(f"{CHECKOUT_PATH}/{{token}}", checkout.page, methods=["GET"]),
            Route(f"{CHECKOUT_PATH}/{{token}}", checkout.press, methods=["POST"]),
        ]
    return found


def _webhook(parts: Parts, payments: Payments) -> Callable[[Request], Awaitable[Response]]:
    async def webhook(request: Request) -> Response:
        """Store what was told and answer at once; a worker acts on it. Without a 2xx the provider tells it again."""
        body = await _body(request, BODY_BYTES_MAX)
        now = parts.now()
        try:
            told = payments.read_webhook(body, request.headers.get(signature.HEADER, ""), now)
        except WebhookRefused as error:
            log.warning("payment_webhook_refused", reason=error.message)
            return JSONResponse({"error": {"code": error.code, "message": error.message}}, status_code=400)
        if told is not None:
            await settlement.record(parts.db, payments.name, [told], now)
        return JSONResponse({"received": True})

    return webhook


class _Checkout:
    """The mock's page: what is paid, and a button for each thing that can happen to a payment."""

    def __init__(self, payments: MockPayments) -> None:
        self._payments = payments
        self._template = string.Template((FILES / "checkout.html").read_text(encoding="utf-8"))

    async def page(self, request: Request) -> Response:
        return self._show(self._order(request))

    async def press(self, request: Request) -> Response:
        order = self._order(request)
        form = urllib.parse.parse_qs((await _body(request, _FORM_BYTES_MAX)).decode("ascii", "replace"))
        button = _BUTTONS.get(form.get("do", [""])[0])
        if button is None:
            raise HTTPException(400)
        fact, words = button
        is_taken = await self._payments.tell(order, fact)
        return self._show(order, words if is_taken else f"{words} The webhook was not taken.")

    async def style(self, _: Request) -> Response:
        return FileResponse(FILES / "checkout.css", headers={"cache-control": "no-cache"})

    def _order(self, request: Request) -> Order:
        try:
            return self._payments.order(request.path_params["token"])
        except NotFound as error:
            raise HTTPException(404) from error

    def _show(self, order: Order, message: str = "") -> Response:
        values = {
            "credits": f"{order.credits:,}",
            "price": f"{order.price_minor:,}",
            "currency": order.currency,
            "message": message,
        }
        text = self._template.substitute({name: html.escape(value) for name, value in values.items()})
        headers = {"content-security-policy": CONTENT_SECURITY_POLICY, "cache-control": "no-store"}
        return HTMLResponse(text, headers=headers)


async def _body(request: Request, bytes_max: int) -> bytes:
    """The raw body; raises HTTPException when it is too long or does not come."""
    data = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            async for chunk in request.stream():
                data += chunk
                if len(data) > bytes_max:
                    raise HTTPException(413)
    except TimeoutError:
        raise HTTPException(408) from None
    return bytes(data)
