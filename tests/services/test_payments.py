"""Payments with each provider: the numbers are those of the list of attacks and faults in the design."""

import asyncio
import contextlib
import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from db.models import Account, PaymentEvent, PaymentFact, Purchase, PurchaseStatus
from db.queries import payments as queries
from db.session import Database
from resolvers.context import Parts
from services import chores, credits, progress, purchases
from services.payments import settlement, signature
from services.payments.mock import MockPayments
from services.payments.port import Told
from services.payments.stripe import StripePayments
from tests.services.ledger import balance, kinds, taken
from tests.services.shop import PACKAGE, Shop, event_count, open_shop

PAID, CANCELED, REFUNDED, REFUND_FAILED, CHARGED_BACK, REINSTATED = PaymentFact
SOON = timedelta(hours=1)


async def told_since(shop: Shop, since: datetime) -> list[Told]:
    return [one async for page in shop.payments.told_since(since) for one in page]


async def test_a_payment_becomes_credits(shop: Shop, buyer: Account, raw: Any) -> None:
    purchase = await shop.buy(buyer)
    assert (purchase.status, purchase.paid_at) == (PurchaseStatus.OPEN, None)
    assert purchase.checkout_url is not None
    await shop.happens(purchase, PAID)
    assert await kinds(raw, buyer.id) == []  # stored and answered; nothing is done in the request
    await shop.settle()
    paid = await shop.now(purchase)
    assert (paid.status, paid.checkout_url) == (PurchaseStatus.PAID, None)
    assert paid.paid_at is not None
    assert await kinds(raw, buyer.id) == [("PURCHASED", PACKAGE.credits, 0, PACKAGE.credits)]
    ((reference, purchase_id),) = await raw("SELECT external_ref, purchase_id FROM credit_transaction")
    assert reference == f"{shop.payments.name}:{paid.payment_ref}"
    assert purchase_id == purchase.id


async def test_a_purchase_is_made_once_for_a_key_even_when_the_provider_was_away(
    shop: Shop, buyer: Account, raw: Any
) -> None:
    made = await asyncio.gather(*(shop.buy(buyer) for _ in range(5)))
    assert len({(purchase.id, purchase.checkout_page) for purchase in made}) == 1
    await raw("UPDATE purchase SET checkout_page = NULL RETURNING id")  # as after a kill before it was written
    again = await shop.buy(buyer)
    assert (again.id, again.checkout_page) == (made[0].id, made[0].checkout_page)


async def test_security_08_payment_webhooks_duplicated_and_disordered_grant_once(
    shop: Shop, db: Database, buyer: Account, raw: Any
) -> None:
    orders = [*itertools.permutations([PAID, CANCELED, REFUNDED]), *itertools.permutations([PAID, CHARGED_BACK])]
    for n, facts in enumerate(orders):
        purchase = await shop.buy(buyer, f"k{n}")
        for fact in facts:
            await shop.happens(purchase, fact, times=2)
            await shop.settle()
        await shop.settle(datetime.now(UTC) + SOON)  # what named only the payment found no purchase at first
        found = await shop.now(purchase)
        is_refund = REFUNDED in facts
        assert found.status == (PurchaseStatus.REFUNDED if is_refund else PurchaseStatus.CHARGED_BACK), facts
        assert found.taken_back == PACKAGE.credits
        rows = await raw("SELECT kind FROM credit_transaction WHERE purchase_id = :id ORDER BY seq", id=purchase.id)
        assert [kind for (kind,) in rows] == ["PURCHASED", "CHARGED_BACK"], facts
    assert await balance(db, buyer.id) == (0, 0, 0)


async def test_security_08_workers_side_by_side_grant_once(shop: Shop, db: Database, buyer: Account) -> None:
    made = [await shop.buy(buyer, f"k{n}") for n in range(4)]
    await asyncio.gather(*(shop.happens(purchase, PAID, times=10) for purchase in made))
    await asyncio.gather(*(shop.settle() for _ in range(8)))
    assert await balance(db, buyer.id) == (4 * PACKAGE.credits, 0, 0)


async def test_security_09_a_forged_or_stale_webhook_leaves_no_row(shop: Shop, buyer: Account, raw: Any) -> None:
    purchase = await shop.buy(buyer)
    assert isinstance(shop.payments, MockPayments | StripePayments)
    secret = shop.payments._webhook_secret
    public_id = purchase.global_id.encode()
    body = (
        b'{"id": "evt_1", "object": "event", "type": "checkout.session.completed", "data": {"object": {"id": "cs_1",'
        b'"object": "checkout.session", "payment_status": "paid", "payment_intent": "pi_1", "amount_total": 900,'
        b'"currency": "usd", "metadata": {"mailverdict_purchase": "%s"}}}}' % public_id
    )
    now = datetime.now(UTC)
    right = signature.sign(secret, body, now)
    time_of, _, mac = right.partition(",")
    headers = {
        "forged": signature.sign("another secret", body, now),
        "empty secret": signature.sign("", body, now),
        "stale": signature.sign(secret, body, now - timedelta(seconds=301)),
        "of the future": signature.sign(secret, body, now + timedelta(seconds=330)),
        "of another time": f"t={int(now.timestamp()) - 1},{mac}",
        "without a time": mac,
        "two times": f"{time_of},{right}",
        "another scheme": right.replace("v1=", "v0="),
        "no number": f"t=now,{mac}",
        "endless": f"t={'9' * 400},{mac}",
        "long": f"{right}{',v1=' + '0' * 64}" * 60,
        "nothing": "",
    }
    for name, header in headers.items():
        assert (await shop.post(body, stripe_signature=header)).status_code == 400, name
    assert (await shop.post(body)).status_code == 400
    assert (await shop.post(body.replace(b"900", b"901"), stripe_signature=right)).status_code == 400
    long = b" " * (256 * 1024 + 1)
    assert (await shop.post(long, stripe_signature=signature.sign(secret, long, now))).status_code == 413
    for odd in (b"", b"[]", b"{}", b"\xff", b'{"type": "charge.refunded"}', body.replace(b"900", b"-1")):
        assert (await shop.post(odd, stripe_signature=signature.sign(secret, odd, now))).status_code == 400, odd
    assert await event_count(raw) == 0
    rolled = f"{time_of},v1={'0' * 64},{mac}"  # two secrets for a while
    assert (await shop.post(body, stripe_signature=rolled)).status_code == 200
    assert await event_count(raw) == 1


@pytest.mark.parametrize("provider", ["none", "stripe"])
async def test_security_09_without_a_secret_there_is_no_endpoint(parts: Parts, raw: Any, provider: str) -> None:
    async with open_shop(parts, provider, webhook_secret="") as shop:
        body = b"{}"
        header = signature.sign("", body, datetime.now(UTC))
        assert (await shop.post(body, stripe_signature=header)).status_code == 404
    assert await event_count(raw) == 0


async def test_security_10_a_lost_webhook_is_made_up_for_by_reconciliation_once(
    shop: Shop, db: Database, buyer: Account, raw: Any
) -> None:
    lost, known = await shop.buy(buyer, "lost"), await shop.buy(buyer, "known")
    await shop.happens(lost, PAID, is_sent=False)
    await shop.happens(known, PAID)
    await shop.settle()
    assert await balance(db, buyer.id) == (PACKAGE.credits, 0, 0)
    now = datetime.now(UTC)
    first = await settlement.reconcile(db, shop.payments, now)
    assert (first.told, first.recovered) == (2, 1)
    assert await balance(db, buyer.id) == (2 * PACKAGE.credits, 0, 0)
    again = await settlement.reconcile(db, shop.payments, now)
    assert (again.told, again.recovered) == (2, 0)
    await shop.happens(lost, CHARGED_BACK, is_sent=False)
    await asyncio.gather(*(settlement.reconcile(db, shop.payments, now) for _ in range(3)))
    assert await balance(db, buyer.id) == (PACKAGE.credits, 0, 0)
    assert len(await raw("SELECT 1 FROM credit_transaction WHERE purchase_id = :id", id=lost.id)) == 2


async def test_security_10_what_was_told_long_ago_is_not_listed(shop: Shop, buyer: Account) -> None:
    await shop.happens(await shop.buy(buyer), PAID, is_sent=False)
    assert len(await told_since(shop, datetime.now(UTC) - timedelta(hours=72))) == 1
    assert await told_since(shop, datetime.now(UTC) + timedelta(seconds=2)) == []


async def test_security_11_a_chargeback_after_spending_leaves_a_debt_that_the_next_purchase_pays(
    shop: Shop, db: Database, buyer: Account
) -> None:
    purchase = await shop.buy(buyer)
    await shop.happens(purchase, PAID)
    await shop.settle()
    await taken(db, buyer.id, PACKAGE.credits - 100, datetime.now(UTC))
    await shop.happens(purchase, CHARGED_BACK, times=2)
    await shop.settle()
    assert (await shop.now(purchase)).status is PurchaseStatus.CHARGED_BACK
    assert await balance(db, buyer.id) == (0, 0, PACKAGE.credits - 100)
    await shop.happens(await shop.buy(buyer, "next"), PAID)
    await shop.settle()
    assert await balance(db, buyer.id) == (100, 0, 0)


async def test_a_chargeback_that_is_won_gives_the_credits_again(shop: Shop, db: Database, buyer: Account) -> None:
    purchase = await shop.buy(buyer)
    await shop.happens(purchase, PAID, CHARGED_BACK)
    await shop.settle()
    assert await balance(db, buyer.id) == (0, 0, 0)
    await shop.happens(purchase, REINSTATED, times=2)
    await shop.settle()
    assert await balance(db, buyer.id) == (PACKAGE.credits, 0, 0)
    assert ((await shop.now(purchase)).status, (await shop.now(purchase)).taken_back) == (PurchaseStatus.PAID, 0)


async def test_what_is_not_paid_in_time_is_given_up_and_a_late_payment_counts_all_the_same(
    shop: Shop, db: Database, buyer: Account
) -> None:
    purchase = await shop.buy(buyer)
    assert await purchases.cancel_expired(db, purchase.expires_at - timedelta(seconds=1)) == 0
    assert await purchases.cancel_expired(db, purchase.expires_at) == 1
    found = await shop.now(purchase)
    assert (found.status, found.checkout_url) == (PurchaseStatus.CANCELED, None)
    assert (await shop.buy(buyer)).status is PurchaseStatus.CANCELED
    await shop.happens(purchase, PAID)
    await shop.settle()
    assert (await shop.now(purchase)).status is PurchaseStatus.PAID
    assert await purchases.cancel_expired(db, purchase.expires_at) == 0


async def test_a_purchase_that_is_not_there_and_a_payment_that_stays_unknown_are_left_to_a_person(
    shop: Shop, db: Database, buyer: Account, raw: Any
) -> None:
    gone, unpaid = await shop.buy(buyer, "gone"), await shop.buy(buyer, "unpaid")
    await raw("DELETE FROM purchase WHERE id = :id RETURNING 1", id=gone.id)
    await shop.happens(gone, PAID)
    await shop.happens(unpaid, CHARGED_BACK)
    now = datetime.now(UTC)
    await shop.settle(now)
    async with db.read() as session:
        assert await queries.unsettled(session) == queries.Unsettled(late=1, refused=1)
    await shop.settle(now + timedelta(days=3))
    await shop.settle(now + timedelta(days=5))
    async with db.read() as session:
        assert await queries.unsettled(session) == queries.Unsettled(late=0, refused=2)
    assert await kinds(raw, buyer.id) == []


async def test_an_event_that_cannot_be_booked_is_tried_again_with_growing_waits_and_seen(
    shop: Shop, db: Database, buyer: Account, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    purchase = await shop.buy(buyer)
    await shop.happens(purchase, PAID)
    monkeypatch.setattr(credits, "BALANCE_MAX", 10)  # nobody owns so much in life
    now, seen = datetime.now(UTC), []
    for _ in range(4):
        await shop.settle(now)
        ((due_at, problem),) = await raw("SELECT due_at, problem FROM payment_event")
        seen.append(((due_at - now).total_seconds(), problem))
        now = due_at
    assert seen == [(wait, "A balance is at most 10.") for wait in (1, 2, 4, 8)]
    async with db.read() as session:
        assert await queries.unsettled(session) == queries.Unsettled(late=1, refused=0)
    assert (await shop.now(purchase)).paid_at is None
    monkeypatch.undo()
    await shop.settle(now)
    assert await balance(db, buyer.id) == (PACKAGE.credits, 0, 0)
    async with db.read() as session:
        assert await queries.unsettled(session) == queries.Unsettled(late=0, refused=0)


async def test_the_worker_books_what_is_told_goes_on_after_a_fault_and_announces_the_balance(
    shop: Shop, buyer: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chores, "_RECOVER_SECONDS", 0.05)
    monkeypatch.setattr(progress, "QUIET", timedelta(hours=1))  # who follows looks again only when it is announced
    lost, told = await shop.buy(buyer, "lost"), await shop.buy(buyer, "told")
    if shop.stripe is not None:
        shop.stripe.failures = [400]  # the first reconciliation
    await shop.happens(lost, PAID, is_sent=False)
    parts = shop.parts
    found = chores.of_worker(parts.db, shop.payments, parts.announcer)
    working = [asyncio.create_task(chore.repeat()) for chore in found if chore.name.startswith("payments")]
    await shop.happens(told, PAID)
    async with asyncio.timeout(20), contextlib.aclosing(parts.hub.changes(buyer.id, gap=timedelta(0))) as changes:
        async for _ in changes:
            if [(await shop.now(one)).status for one in (lost, told)] == [PurchaseStatus.PAID] * 2:
                break
    for chore in working:
        chore.cancel()
    await asyncio.wait(working)


def facts_of(*told: tuple[PaymentFact, str, int]) -> Sequence[PaymentEvent]:
    return [PaymentEvent(fact=fact, subject=subject, amount_minor=amount) for fact, subject, amount in told]


def test_where_a_purchase_stands_does_not_depend_on_the_order_in_which_it_was_told() -> None:
    purchase = Purchase(price_minor=900, credits=1000, status=PurchaseStatus.OPEN)
    told = facts_of(
        (PAID, "cs", 900), (REFUNDED, "ch", 200), (REFUNDED, "ch", 100), (CHARGED_BACK, "dp1", 700),
        (REINSTATED, "dp1", 700), (CHARGED_BACK, "dp2", 300),
    )  # fmt: skip
    found = {settlement.standing(purchase, order) for order in itertools.permutations(told)}
    assert found == {settlement.Standing(PurchaseStatus.CHARGED_BACK, 500)}
