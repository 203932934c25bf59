"""What only Stripe does: parts of a price, debits on their way, events of others, pages, and faults."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from structlog.testing import capture_logs

from db.models import Account, PaymentFact, PurchaseStatus
from db.queries import payments as queries
from db.session import Database
from resolvers.context import Parts
from services import chores
from services.errors import PaymentsDown, PaymentsRefused
from services.payments import settlement
from services.payments import stripe as stripe_adapter
from tests.services.ledger import balance
from tests.services.shop import PACKAGE, Shop, event_count, open_shop


@pytest.fixture
async def stripe_shop(parts: Parts) -> AsyncIterator[Shop]:
    async with open_shop(parts, "stripe") as opened:
        yield opened


async def test_a_part_of_the_price_paid_back_takes_its_share(stripe_shop: Shop, db: Database, buyer: Account) -> None:
    purchase = await stripe_shop.buy(buyer)
    await stripe_shop.happens(purchase, PaymentFact.PAID)
    stripe = stripe_shop.stripe
    assert stripe is not None
    (session,) = stripe.sessions.values()
    for so_far, left, status in ((300, 667, "PAID"), (450, 500, "PAID"), (300, 500, "PAID"), (900, 0, "REFUNDED")):
        await stripe.send(stripe.refunded(session, so_far))
        await stripe_shop.settle()
        assert await balance(db, buyer.id) == (left, 0, 0)
        assert (await stripe_shop.now(purchase)).status == status


async def test_a_refund_that_fails_is_left_to_a_person_who_sees_it(
    stripe_shop: Shop, db: Database, buyer: Account, raw: Any
) -> None:
    await stripe_shop.happens(await stripe_shop.buy(buyer), PaymentFact.PAID, PaymentFact.REFUNDED)
    stripe = stripe_shop.stripe
    assert stripe is not None
    (session,) = stripe.sessions.values()
    await stripe.send(stripe.refund_failed(session, PACKAGE.price_minor))
    await stripe_shop.settle()
    ((fact, problem),) = await raw("SELECT fact, problem FROM payment_event WHERE problem > ''")
    assert (fact, "by hand" in problem) == (PaymentFact.REFUND_FAILED, True)
    async with db.read() as session_:
        assert await queries.unsettled(session_) == queries.Unsettled(late=0, refused=1)
    assert await balance(db, buyer.id) == (0, 0, 0)


async def test_a_payment_of_another_amount_or_currency_or_a_second_one_is_left_to_a_person(
    stripe_shop: Shop, db: Database, buyer: Account, raw: Any
) -> None:
    stripe = stripe_shop.stripe
    assert stripe is not None
    problems = []
    changes: list[dict[str, object]] = [{"amount_total": 1}, {"currency": "eur"}, {"payment_intent": "pi_other"}]
    for n, change in enumerate(changes):
        purchase = await stripe_shop.buy(buyer, f"k{n}")
        session = stripe.sessions[str(purchase.checkout_page).rpartition("/")[2]]
        event = stripe.paid(session)
        if "payment_intent" in change:
            await stripe.send(event)
        await stripe.send(stripe.event(event["type"], event["data"]["object"] | change))
        await stripe_shop.settle()
        ((problem, due_at),) = await raw("SELECT problem, due_at FROM payment_event WHERE problem > ''")
        problems.append(problem)
        assert due_at is None
        await raw("DELETE FROM payment_event WHERE problem > '' RETURNING 1")
    assert problems == [
        "The price is 900, 1 was paid.",
        "The purchase is in USD, this in EUR.",
        "The purchase was paid by another payment.",
    ]
    assert await balance(db, buyer.id) == (PACKAGE.credits, 0, 0)


async def test_names_and_addresses_of_payers_are_not_kept(stripe_shop: Shop, buyer: Account, raw: Any) -> None:
    await stripe_shop.happens(await stripe_shop.buy(buyer), PaymentFact.PAID)
    ((row,),) = await raw("SELECT payment_event::text FROM payment_event")
    assert "payer@example.com" not in row
    assert "A Payer" not in row


async def test_what_else_is_sold_through_the_same_account_is_nothing_to_us(stripe_shop: Shop, raw: Any) -> None:
    stripe = stripe_shop.stripe
    assert stripe is not None
    session = {"id": "cs_foreign", "object": "checkout.session", "amount_total": 5, "currency": "usd", "metadata": {}}
    for event in (
        stripe.paid(session),
        stripe.refunded(session),
        stripe.event("customer.created", {"id": "cus_1", "object": "customer"}),
    ):
        assert (await stripe.send(event)).status_code == 200
    assert await event_count(raw) == 0


async def test_a_debit_on_its_way_is_not_a_payment_until_it_succeeds(
    stripe_shop: Shop, db: Database, buyer: Account
) -> None:
    purchase = await stripe_shop.buy(buyer)
    stripe = stripe_shop.stripe
    assert stripe is not None
    (session,) = stripe.sessions.values()
    completed = stripe.paid(session)
    about = completed["data"]["object"]
    await stripe.send({**completed, "data": {"object": about | {"payment_status": "unpaid"}}})
    await stripe_shop.settle()
    assert (await stripe_shop.now(purchase)).status is PurchaseStatus.OPEN
    await stripe.send(stripe.event("checkout.session.async_payment_succeeded", about))
    await stripe_shop.settle()
    assert await balance(db, buyer.id) == (PACKAGE.credits, 0, 0)


async def test_stripe_is_asked_again_when_it_stumbles_and_its_refusals_are_told(
    stripe_shop: Shop, buyer: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stripe_adapter, "_BACKOFF_SECONDS", 0.001)
    stripe = stripe_shop.stripe
    assert stripe is not None
    stripe.failures = [500, 429]
    assert (await stripe_shop.buy(buyer, "stumble")).checkout_url is not None
    stripe.failures = [500, 502, 503]
    with pytest.raises(PaymentsDown):
        await stripe_shop.buy(buyer, "down")
    assert (await stripe_shop.buy(buyer, "down")).checkout_url is not None
    stripe.failures = [402]
    with pytest.raises(PaymentsRefused):
        await stripe_shop.buy(buyer, "refused")
    await stripe.stop()
    with pytest.raises(PaymentsDown):
        await stripe_shop.buy(buyer, "away")


async def test_reconciliation_reads_every_page(stripe_shop: Shop, db: Database, buyer: Account) -> None:
    purchase = await stripe_shop.buy(buyer)
    stripe = stripe_shop.stripe
    assert stripe is not None
    (session,) = stripe.sessions.values()
    await stripe_shop.happens(purchase, PaymentFact.PAID, is_sent=False)
    for so_far in range(1, 120):
        stripe.refunded(session, so_far)
    unreadable = stripe.event("charge.refunded", {"object": "charge"})
    assert unreadable in stripe.events
    found = await settlement.reconcile(db, stripe_shop.payments, datetime.now(UTC))
    assert (found.told, found.recovered, found.accounts) == (120, 120, frozenset({buyer.id}))
    assert stripe.calls.count("GET /v1/events") == 2
    owed = PACKAGE.credits * 119 // PACKAGE.price_minor
    assert await balance(db, buyer.id) == (PACKAGE.credits - owed, 0, 0)


async def test_the_worker_puts_reconciliation_off_in_one_line_while_stripe_is_away(
    stripe_shop: Shop, db: Database, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stripe_adapter, "_BACKOFF_SECONDS", 0.001)
    stripe = stripe_shop.stripe
    assert stripe is not None
    await stripe.stop()
    (chore,) = [
        c for c in chores.of_worker(db, stripe_shop.payments, parts.announcer) if c.name == "payments_reconciled"
    ]
    with capture_logs() as logged:
        repeating = asyncio.create_task(chore.repeat())
        async with asyncio.timeout(10):
            while not (told := [line for line in logged if "chore" in line]):
                await asyncio.sleep(0.01)
    repeating.cancel()
    assert told == [
        {"event": "chore_put_off", "chore": chore.name, "error": "PaymentsDown", "log_level": "warning"},
    ]


@pytest.mark.parametrize("page", [[], {}, {"data": "text"}, {"data": ["text"], "has_more": True}], ids=str)
async def test_a_list_that_cannot_be_read_is_a_refusal(page: Any, stripe_shop: Shop, db: Database) -> None:
    stripe = stripe_shop.stripe
    assert stripe is not None
    stripe.pages = [page]
    with pytest.raises(PaymentsRefused):
        await settlement.reconcile(db, stripe_shop.payments, datetime.now(UTC))


async def test_the_refund_of_a_second_payment_takes_nothing_of_the_first(
    stripe_shop: Shop, db: Database, buyer: Account, raw: Any
) -> None:
    purchase = await stripe_shop.buy(buyer)
    await stripe_shop.happens(purchase, PaymentFact.PAID)
    await stripe_shop.settle()
    stripe = stripe_shop.stripe
    assert stripe is not None
    (session,) = stripe.sessions.values()
    twin = session | {"id": session["id"] + "_again"}
    for event in (stripe.paid(twin), stripe.refunded(twin)):
        assert (await stripe.send(event)).is_success
    await stripe_shop.settle()
    assert (await stripe_shop.now(purchase)).status is PurchaseStatus.PAID
    assert await balance(db, buyer.id) == (PACKAGE.credits, 0, 0)
    problems = await raw("SELECT problem, due_at FROM payment_event WHERE applied_at IS NULL")
    assert problems == [("The purchase was paid by another payment.", None)] * 2
