"""Stripe: checkout sessions and events over its REST API, form-encoded (https://docs.stripe.com/api)."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import httpx
import structlog

from db import ids
from services import trust
from services.decoded import Json
from services.errors import PaymentsDown, PaymentsRefused, WebhookRefused
from services.payments import signature, wire
from services.payments.port import Order, Told

log = structlog.get_logger(__name__)

API_VERSION = "2026-10-28.endive"
_PAGE = 100
_PAGES_MAX = 1000
_TRIES = 3
_BACKOFF_SECONDS = 0.2
_CONNECT_SECONDS, _TIMEOUT_SECONDS = 3.0, 15.0
_CONFLICT, _TOO_MANY, _FAULT = 409, 429, 500


class StripePayments:
    """One Stripe account."""

    name = "stripe"

    def __init__(self, url: str, secret_key: str, webhook_secret: str, *, return_url: str) -> None:
        """`url` is the API's without `/v1`; `return_url` is where buyers come back to, with or without having paid."""
        self._webhook_secret, self._return_url = webhook_secret, return_url
        self._client = trust.client(
            base_url=url,
            headers={"Authorization": f"Bearer {secret_key}", "Stripe-Version": API_VERSION},
            timeout=httpx.Timeout(_TIMEOUT_SECONDS, connect=_CONNECT_SECONDS),
        )

    @property
    def is_webhook_on(self) -> bool:
        """There is a secret that webhooks are signed with."""
        return bool(self._webhook_secret)

    async def open_checkout(self, order: Order) -> str:
        """The page of a checkout session; see the port."""
        public_id = ids.global_id("purchase", order.purchase_id)
        form = {
            "mode": "payment",
            "success_url": self._return_url,
            "cancel_url": self._return_url,
            "client_reference_id": public_id,
            "expires_at": str(int(order.expires_at.timestamp())),
            "line_items[0][quantity]": "1",
            "line_items[0][price_data][currency]": order.currency.lower(),
            "line_items[0][price_data][unit_amount]": str(order.price_minor),
            "line_items[0][price_data][product_data][name]": f"{order.credits:,} credits",
            f"metadata[{wire.METADATA_KEY}]": public_id,
            f"payment_intent_data[metadata][{wire.METADATA_KEY}]": public_id,
        }
        headers = {"Idempotency-Key": f"checkout:{order.purchase_id}"}
        session = await self._call("POST", "/v1/checkout/sessions", data=form, headers=headers)
        url = session.get("url")
        if not isinstance(url, str) or not url.startswith(("https://", "http://")):
            raise PaymentsRefused
        return url

    def read_webhook(self, body: bytes, signature_header: str, now: datetime) -> Told | None:
        """What a webhook tells; see the port."""
        signature.verify(self._webhook_secret, body, signature_header, now)
        return wire.read(body)

    async def told_since(self, since: datetime) -> AsyncIterator[Sequence[Told]]:
        """The account's events since a moment, newest first; Stripe keeps them for 30 days."""
        query: dict[str, Any] = {
            "created[gte]": int(since.timestamp()),
            "limit": _PAGE,
            "types[]": list(wire.FACTS),
        }
        for _ in range(_PAGES_MAX):
            page = await self._call("GET", "/v1/events", params=query)
            events, query["starting_after"] = _listed(page)
            yield [one for event in events if (one := _told(event)) is not None]
            if query["starting_after"] is None:
                return
        log.error("more events than can be listed", pages=_PAGES_MAX)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    async def _call(self, method: str, path: str, **request: Any) -> Mapping[str, Any]:  # noqa: ANN401 - what httpx takes
        """Ask up to three times: what is sent twice has an idempotency key, or changes nothing."""
        for attempt in range(_TRIES):
            if attempt:
                await asyncio.sleep(_BACKOFF_SECONDS * 2**attempt * random.uniform(0.5, 1))  # noqa: S311 - not a secret
            try:
                response = await self._client.request(method, path, **request)
            except httpx.HTTPError as error:
                log.warning("stripe_down", path=path, error=type(error).__name__)
                continue
            if response.status_code in (_CONFLICT, _TOO_MANY) or response.status_code >= _FAULT:
                log.warning("stripe_down", path=path, status=response.status_code)
                continue
            return _answer(response, path)
        raise PaymentsDown


def _answer(response: httpx.Response, path: str) -> Mapping[str, Any]:
    try:
        body = response.json()
        if response.is_success and isinstance(body, dict):
            return body
        error = body.get("error") or {}
        # Not the message: it may name the key.
        told = {"status": response.status_code, "type": error.get("type"), "code": error.get("code")}
    except (ValueError, AttributeError):
        told = {"status": response.status_code}
    log.error("stripe_refused", path=path, **told)
    raise PaymentsRefused


def _listed(page: Mapping[str, Any]) -> tuple[list[Json], str | None]:
    """The events of a page, and the id of the last where there are more."""
    try:
        events = page["data"]
        if isinstance(events, list):
            return events, str(events[-1]["id"]) if events and page.get("has_more") else None
    except (KeyError, TypeError):
        pass
    log.error("stripe_list_unreadable")
    raise PaymentsRefused


def _told(event: Json) -> Told | None:
    try:
        return wire.told(event)
    except WebhookRefused:
        # One that cannot be read hides none of the others.
        log.error("stripe_event_unreadable", event_id=str(event.get("id"))[:100] if isinstance(event, dict) else None)  # noqa: TRY400 - the shape of it says nothing more
        return None
