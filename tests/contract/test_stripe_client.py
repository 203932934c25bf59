"""Stripe's official client judges: it works with our stand-in, sends what ours sends, and takes our signatures."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import stripe

from db import ids
from db.models import PaymentFact
from services.errors import WebhookRefused
from services.payments import signature, wire
from services.payments import stripe as adapter
from services.payments.mock import MockPayments
from services.payments.port import Order
from services.payments.stripe import StripePayments
from tests.services.stripe_stand_in import SECRET_KEY, WEBHOOK_SECRET, StripeStandIn, signed

RETURN_URL = "https://mail.test/credits"


@pytest.fixture
async def stand_in() -> AsyncIterator[StripeStandIn]:
    async with httpx.AsyncClient() as http:
        running = StripeStandIn(http, "")
        await running.start()
        yield running
        await running.stop()


@pytest.fixture
def official(stand_in: StripeStandIn) -> stripe.StripeClient:
    addresses: Any = {"api": stand_in.url}
    return stripe.StripeClient(SECRET_KEY, base_addresses=addresses, max_network_retries=0)


def order() -> Order:
    return Order(ids.new_uuid(), 1000, 900, "USD", datetime.now(UTC) + timedelta(hours=12))


def asked(order: Order) -> Any:
    """What our adapter asks for, as the official client takes it."""
    metadata = {wire.METADATA_KEY: ids.global_id("purchase", order.purchase_id)}
    price = {"currency": "usd", "unit_amount": 900, "product_data": {"name": "1,000 credits"}}
    return {
        "mode": "payment",
        "success_url": RETURN_URL,
        "cancel_url": RETURN_URL,
        "client_reference_id": metadata[wire.METADATA_KEY],
        "expires_at": int(order.expires_at.timestamp()),
        "line_items": [{"quantity": 1, "price_data": price}],
        "metadata": metadata,
        "payment_intent_data": {"metadata": metadata},
    }


async def test_our_adapter_sends_what_the_official_client_sends(
    stand_in: StripeStandIn, official: stripe.StripeClient
) -> None:
    payments = StripePayments(stand_in.url, SECRET_KEY, WEBHOOK_SECRET, return_url=RETURN_URL)
    wanted = order()
    url = await payments.open_checkout(wanted)
    session = await asyncio.to_thread(official.v1.checkout.sessions.create, asked(wanted))
    assert stand_in.forms[0] == stand_in.forms[1]
    assert url.rpartition("/")[0] == str(session.url).rpartition("/")[0]
    assert (session.payment_status, session.amount_total, session.currency) == ("unpaid", 900, "usd")
    assert await payments.open_checkout(wanted) == url
    await payments.aclose()


async def test_the_official_client_reads_the_stand_ins_events_and_errors(
    stand_in: StripeStandIn, official: stripe.StripeClient
) -> None:
    session = await asyncio.to_thread(official.v1.checkout.sessions.create, asked(order()))
    found = stand_in.sessions[session.id]
    stand_in.paid(found)
    stand_in.disputed(found)
    for _ in range(120):
        stand_in.refunded(found)

    def listed() -> tuple[int, bool, list[str]]:
        types: Any = list(wire.FACTS)
        page = official.v1.events.list({"limit": 100, "types": types, "created": {"gte": 0}})
        return len(page.data), page.has_more, [event.type for event in page.auto_paging_iter()]

    count, has_more, kinds = await asyncio.to_thread(listed)
    assert (count, has_more, len(kinds)) == (100, True, 122)
    assert kinds[-2:] == ["charge.dispute.funds_withdrawn", "checkout.session.completed"]
    late: Any = asked(order()) | {"expires_at": 1}
    with pytest.raises(stripe.InvalidRequestError):
        await asyncio.to_thread(official.v1.checkout.sessions.create, late)
    addresses: Any = {"api": stand_in.url}
    stranger = stripe.StripeClient("sk_test_wrong", base_addresses=addresses)
    with pytest.raises(stripe.AuthenticationError):
        await asyncio.to_thread(stranger.v1.events.list)


async def test_the_api_version_is_one_that_the_official_client_knows() -> None:
    assert adapter.API_VERSION.rpartition(".")[2] == stripe.api_version.rpartition(".")[2]


async def test_signatures_are_taken_both_ways() -> None:
    body, now = b'{"id": "evt_1", "object": "event", "type": "x", "data": {"object": {}}}', datetime.now(UTC)
    official = stripe.WebhookSignature.generate_signature_header(body.decode(), WEBHOOK_SECRET)
    signature.verify(WEBHOOK_SECRET, body, official, now)
    for header in (signature.sign(WEBHOOK_SECRET, body, now), signed(body)):
        stripe.WebhookSignature.verify_header(body, header, WEBHOOK_SECRET, tolerance=300)
    stale = signature.sign(WEBHOOK_SECRET, body, now - timedelta(seconds=310))
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.WebhookSignature.verify_header(body, stale, WEBHOOK_SECRET, tolerance=300)
    with pytest.raises(WebhookRefused):
        signature.verify(WEBHOOK_SECRET, body, stale, now)


async def test_the_official_client_reads_what_the_mock_tells() -> None:
    sent: list[httpx.Request] = []

    def note(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200)

    async with httpx.AsyncClient(transport=httpx.MockTransport(note)) as http:
        mock = MockPayments("secret", "http://service.test", "http://service.test/webhooks/payments", client=http)
        for fact in PaymentFact:
            assert await mock.tell(order(), fact)
    for request in sent:
        header = request.headers["stripe-signature"]
        event = stripe.Webhook.construct_event(request.content, header, mock._webhook_secret)
        assert event.type == json.loads(request.content)["type"]
        assert event.data.object["object"] in {"checkout.session", "charge", "dispute", "refund"}
