"""A stand-in of Stripe: its documented shapes over real HTTP, for one account, with payers that do as they are told.

Held to the wire by the official client in tests/contract/test_stripe_client.py. It shares no code with the adapter.
"""

import hashlib
import hmac
import itertools
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app import serving

SECRET_KEY = "sk_test_of_the_stand_in"
WEBHOOK_SECRET = "whsec_of_the_stand_in"
_TAKEN = {
    "mode",
    "success_url",
    "cancel_url",
    "client_reference_id",
    "expires_at",
    "line_items[0][quantity]",
    "line_items[0][price_data][currency]",
    "line_items[0][price_data][unit_amount]",
    "line_items[0][price_data][product_data][name]",
}


def signed(body: bytes, secret: str = WEBHOOK_SECRET, at: float | None = None) -> str:
    """The header of a webhook, as the documentation tells to make it."""
    seconds = int(time.time() if at is None else at)
    return f"t={seconds},v1={hmac.new(secret.encode(), b'%d.' % seconds + body, hashlib.sha256).hexdigest()}"


class StripeStandIn:
    """One account: its sessions, its events, and where its webhooks go."""

    def __init__(self, http: httpx.AsyncClient, webhook_url: str) -> None:
        self._http, self.webhook_url = http, webhook_url
        self.sessions: dict[str, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        """Oldest first."""
        self.failures: list[int] = []
        """Statuses that the next calls are answered with."""
        self.pages: list[Any] = []
        """What the next lists are answered with, whatever it is."""
        self.calls: list[str] = []
        self.forms: list[dict[str, str]] = []
        """What sessions were asked for with."""
        self._by_key: dict[str, tuple[dict[str, str], dict[str, Any]]] = {}
        self._numbers = itertools.count(1)
        self._listener = serving.bind("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._api: serving.Api | None = None

    async def start(self) -> None:
        """Answer."""
        routes = [
            Route("/v1/checkout/sessions", self._answering(self._create), methods=["POST"]),
            Route("/v1/events", self._answering(self._list)),
            Route("/c/pay/{id}", self._page),
        ]
        self._api = serving.Api(Starlette(routes=routes), self._listener, drain_seconds=0)
        await self._api.wait_ready()

    async def stop(self) -> None:
        """Refuse connections."""
        if self._api is not None:
            await self._api.stop()
        self._listener.close()

    def event(self, kind: str, about: dict[str, Any]) -> dict[str, Any]:
        """Let something happen; nobody is told yet."""
        number = next(self._numbers)
        event = {
            "id": f"evt_{number:06}",
            "object": "event",
            "api_version": "2026-10-28.endive",
            "created": int(time.time()),
            "data": {"object": about},
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            "type": kind,
        }
        self.events.append(event)
        return event

    async def send(self, event: dict[str, Any]) -> httpx.Response:
        """Tell of an event."""
        body = json.dumps(event, indent=2).encode()
        headers = {"content-type": "application/json; charset=utf-8", "stripe-signature": signed(body)}
        return await self._http.post(self.webhook_url, content=body, headers=headers)

    def paid(self, session: dict[str, Any]) -> dict[str, Any]:
        """The payer pays."""
        intent = session["id"].replace("cs_", "pi_")
        session |= {"payment_intent": intent, "payment_status": "paid", "status": "complete", "url": None}
        return self.event("checkout.session.completed", dict(session))

    def expired(self, session: dict[str, Any]) -> dict[str, Any]:
        """The payer leaves."""
        session |= {"status": "expired", "url": None}
        return self.event("checkout.session.expired", dict(session))

    def refunded(self, session: dict[str, Any], amount: int | None = None) -> dict[str, Any]:
        """The merchant pays back; `amount` is all that was paid back so far."""
        total = session["amount_total"]
        charge = {
            "id": session["id"].replace("cs_", "ch_"),
            "object": "charge",
            "amount": total,
            "amount_captured": total,
            "amount_refunded": total if amount is None else amount,
            "created": int(time.time()),
            "currency": session["currency"],
            "disputed": False,
            "metadata": session["metadata"],
            "payment_intent": session["id"].replace("cs_", "pi_"),
            "refunded": amount is None or amount == total,
        }
        return self.event("charge.refunded", charge)

    def refund_failed(self, session: dict[str, Any], amount: int) -> dict[str, Any]:
        """The payer's bank does not take a refund, or a part of it."""
        refund = {
            "id": session["id"].replace("cs_", "re_"),
            "object": "refund",
            "amount": amount,
            "currency": session["currency"],
            "payment_intent": session["payment_intent"],
            "metadata": {},
            "status": "failed",
            "failure_reason": "expired_or_canceled_card",
        }
        return self.event("refund.failed", refund)

    def disputed(self, session: dict[str, Any], *, is_won: bool = False) -> dict[str, Any]:
        """The payer's bank takes the money, or gives it back. A dispute does not know the metadata of its payment."""
        dispute = {
            "id": session["id"].replace("cs_", "dp_"),
            "object": "dispute",
            "amount": session["amount_total"],
            "charge": session["id"].replace("cs_", "ch_"),
            "created": int(time.time()),
            "currency": session["currency"],
            "metadata": {},
            "payment_intent": session["id"].replace("cs_", "pi_"),
            "reason": "fraudulent",
            "status": "won" if is_won else "needs_response",
        }
        return self.event(f"charge.dispute.funds_{'reinstated' if is_won else 'withdrawn'}", dispute)

    def _answering(self, answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            self.calls.append(f"{request.method} {request.url.path}")
            if request.headers.get("authorization") != f"Bearer {SECRET_KEY}":
                return _error(401, "invalid_request_error", "Invalid API Key provided")
            if self.failures:
                return _error(self.failures.pop(0), "api_error", "It broke.")
            return await answer(request)

        return endpoint

    async def _create(self, request: Request) -> Response:
        assert request.headers["content-type"] == "application/x-www-form-urlencoded"
        form = {name: str(value) for name, value in (await request.form()).items()}
        self.forms.append(form)
        key = request.headers.get("idempotency-key")
        if key is not None and key in self._by_key:
            first, session = self._by_key[key]
            if first != form:
                return _error(400, "idempotency_error", "Keys for idempotent requests can only be used with the same")
            return JSONResponse(session)
        metadata = {name[9:-1]: value for name, value in form.items() if name.startswith("metadata[")}
        on_payment = {n: v for n, v in form.items() if n.startswith("payment_intent_data[metadata][")}
        unknown = set(form) - _TAKEN - set(on_payment) - {f"metadata[{name}]" for name in metadata}
        if unknown:
            return _error(400, "invalid_request_error", f"Received unknown parameter: {unknown.pop()}")
        now, expires_at = int(time.time()), int(form["expires_at"])
        if not now + 1800 <= expires_at <= now + 86400:
            return _error(400, "invalid_request_error", "expires_at must be 30 minutes to 24 hours from now")
        assert set(metadata.values()) == set(on_payment.values())
        number = next(self._numbers)
        amount = int(form["line_items[0][price_data][unit_amount]"]) * int(form["line_items[0][quantity]"])
        session = {
            "id": f"cs_test_{number:06}",
            "object": "checkout.session",
            "amount_subtotal": amount,
            "amount_total": amount,
            "cancel_url": form["cancel_url"],
            "client_reference_id": form.get("client_reference_id"),
            "created": now,
            "currency": form["line_items[0][price_data][currency]"],
            "customer_details": {"email": "payer@example.com", "name": "A Payer"},
            "expires_at": expires_at,
            "livemode": False,
            "metadata": metadata,
            "mode": form["mode"],
            "payment_intent": None,
            "payment_status": "unpaid",
            "status": "open",
            "success_url": form["success_url"],
            "url": f"{self.url}/c/pay/cs_test_{number:06}",
        }
        self.sessions[session["id"]] = session
        if key is not None:
            self._by_key[key] = (form, dict(session))
        return JSONResponse(session)

    async def _list(self, request: Request) -> Response:
        if self.pages:
            return JSONResponse(self.pages.pop(0))
        query = request.query_params
        kinds = [value for name, value in query.multi_items() if name.startswith("types[")]
        since, limit = int(query.get("created[gte]", "0")), int(query.get("limit", "10"))
        assert 1 <= limit <= 100
        assert len(kinds) <= 20
        found = [e for e in reversed(self.events) if e["created"] >= since and (not kinds or e["type"] in kinds)]
        if (after := query.get("starting_after")) is not None:
            found = found[[e["id"] for e in found].index(after) + 1 :]
        page = {"object": "list", "data": found[:limit], "has_more": len(found) > limit, "url": "/v1/events"}
        return JSONResponse(page)

    async def _page(self, request: Request) -> Response:
        return JSONResponse({"open": request.path_params["id"] in self.sessions})


def _error(status: int, kind: str, message: str) -> Response:
    return JSONResponse({"error": {"type": kind, "message": message, "code": None}}, status)
