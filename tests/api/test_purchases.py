"""creditPackages, createPurchase, purchases and the checkout page of the mock: through HTTP."""

import dataclasses
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from app import payment_routes, server
from app.settings import Settings
from db.models import Account, ApiKeyScope
from db.session import Database
from resolvers.context import Parts
from services.payments import packages, settlement
from services.payments.mock import MockPayments
from tests import factories
from tests.api.conftest import WithKey
from tests.client import Client
from tests.conftest import PUBLIC_URL, SECRET, Statements, token

FIELDS = "id credits priceMinor currency status checkoutUrl createdAt paidAt"
PACKAGES = "{ creditPackages { slug credits priceMinor currency } }"
BUY = f"""mutation($input: CreatePurchaseInput!) {{ createPurchase(input: $input) {{
  purchase {{ {FIELDS} }} userErrors {{ code message field }} }} }}"""
PURCHASES = f"""query($first: Int, $after: String, $last: Int) {{
  purchases(first: $first, after: $after, last: $last) {{
  totalCount nodes {{ {FIELDS} }} pageInfo {{ hasNextPage endCursor }} }} }}"""
LEDGER = "{ credits { balance transactions { nodes { kind amount purchase { id status } } } } }"
NODE = "query($id: ID!) { node(id: $id) { __typename id ... on Purchase { status } } }"


class Late:
    """An application that is given after its client: the mock has to know where its webhooks go."""

    app: Any

    async def __call__(self, *args: Any) -> None:
        await self.app(*args)


@pytest.fixture
async def http(parts: Parts) -> AsyncIterator[httpx.AsyncClient]:
    late = Late()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(late), base_url=PUBLIC_URL) as client:
        payments = MockPayments(SECRET, PUBLIC_URL, f"{PUBLIC_URL}{payment_routes.WEBHOOK_PATH}", client=client)
        selling = dataclasses.replace(parts, payments=payments, on_sale=packages.IN_DEVELOPMENT)
        late.app = server.create_app(selling, Settings.from_env({"PUBLIC_URL": PUBLIC_URL, "SECRET_KEY": SECRET}))
        yield client


@pytest.fixture
async def account(db: Database) -> Account:
    return await factories.account(db, balance=0)


async def bought(client: Client, key: str = "k", package: str = "starter") -> dict[str, Any]:
    outcome = (await client.ask(BUY, input={"package": package, "idempotencyKey": key}))["createPurchase"]
    assert outcome["userErrors"] == []
    purchase: dict[str, Any] = outcome["purchase"]
    return purchase


async def test_what_is_on_sale_is_told_to_everybody(http: httpx.AsyncClient) -> None:
    found = (await Client(http).ask(PACKAGES))["creditPackages"]
    assert found[0] == {"slug": "starter", "credits": 1000, "priceMinor": 900, "currency": "USD"}
    assert len(found) == len(packages.IN_DEVELOPMENT)


async def test_where_nobody_takes_payments_nothing_is_on_sale(parts: Parts, account: Account) -> None:
    app = server.create_app(parts, Settings.from_env({"PUBLIC_URL": PUBLIC_URL, "SECRET_KEY": SECRET}))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=PUBLIC_URL) as http:
        client = Client(http, token(parts, account))
        assert (await client.ask(PACKAGES))["creditPackages"] == []
        outcome = (await client.ask(BUY, input={"package": "starter", "idempotencyKey": "k"}))["createPurchase"]
        assert [(e["code"], e["field"]) for e in outcome["userErrors"]] == [("NOT_FOUND", ["input", "package"])]


async def test_one_buys_on_the_page_of_the_mock_and_the_ledger_names_the_purchase(client: Client, db: Database) -> None:
    purchase = await bought(client)
    assert purchase | {"id": None, "createdAt": None, "checkoutUrl": None} == {
        "id": None,
        "credits": 1000,
        "priceMinor": 900,
        "currency": "USD",
        "status": "OPEN",
        "checkoutUrl": None,
        "createdAt": None,
        "paidAt": None,
    }
    page = await client.http.get(purchase["checkoutUrl"])
    assert page.status_code == 200
    assert "1,000 credits" in page.text
    assert "script" not in page.text
    assert "default-src 'none'; style-src 'self'; form-action 'self'" in page.headers["content-security-policy"]
    (style,) = re.findall(r'href="([^"]+css)"', page.text)
    assert (await client.http.get(str(httpx.URL(purchase["checkoutUrl"]).join(style)))).status_code == 200
    done = await client.http.post(purchase["checkoutUrl"], data={"do": "pay"})
    assert "Paid." in done.text
    await settlement.apply_due(db, datetime.now(UTC))
    found = (await client.ask(LEDGER))["credits"]
    assert found["balance"] == 1000
    assert found["transactions"]["nodes"] == [
        {"kind": "PURCHASED", "amount": 1000, "purchase": {"id": purchase["id"], "status": "PAID"}}
    ]
    (row,) = (await client.ask(PURCHASES))["purchases"]["nodes"]
    assert (row["id"], row["status"], row["checkoutUrl"]) == (purchase["id"], "PAID", None)
    assert row["paidAt"] is not None


@pytest.mark.parametrize(
    ("buttons", "status", "balance"),
    [
        (["fail"], "CANCELED", 0),
        (["fail", "pay"], "PAID", 1000),
        (["pay", "pay"], "PAID", 1000),
        (["pay", "refund"], "REFUNDED", 0),
        (["pay", "charge_back"], "CHARGED_BACK", 0),
        (["pay", "charge_back", "reinstate"], "PAID", 1000),
    ],
)
async def test_each_button_does_what_it_says(
    client: Client, db: Database, buttons: list[str], status: str, balance: int
) -> None:
    purchase = await bought(client)
    for button in buttons:
        assert (await client.http.post(purchase["checkoutUrl"], data={"do": button})).status_code == 200
        await settlement.apply_due(db, datetime.now(UTC))
    assert (await client.ask(NODE, id=purchase["id"]))["node"]["status"] == status
    assert (await client.ask(LEDGER))["credits"]["balance"] == balance


async def test_a_checkout_that_was_made_up_is_not_there_and_a_button_neither(client: Client) -> None:
    url = (await bought(client))["checkoutUrl"]
    head, _, code = url.rpartition("/")
    for wrong in (f"{head}/x", f"{head}/{code[:-3]}AAA", f"{head}/{'A' * 2000}", f"{head}/%ff"):
        assert (await client.http.get(wrong)).status_code == 404
        assert (await client.http.post(wrong, data={"do": "pay"})).status_code == 404
    assert (await client.http.post(url, data={"do": "steal"})).status_code == 400
    assert (await client.http.post(url, content=b"do=pay&" + b"x" * 2000)).status_code == 413


async def test_a_key_gives_the_same_purchase_again_and_with_another_package_a_conflict(client: Client) -> None:
    first = await bought(client)
    assert await bought(client) == first
    outcome = (await client.ask(BUY, input={"package": "team", "idempotencyKey": "k"}))["createPurchase"]
    assert outcome["purchase"] is None
    assert [(e["code"], e["field"]) for e in outcome["userErrors"]] == [
        ("IDEMPOTENCY_CONFLICT", ["input", "idempotencyKey"])
    ]


@pytest.mark.parametrize(
    ("wrong", "code", "field"),
    [
        ({"package": "gone"}, "NOT_FOUND", "package"),
        ({"package": "a\0b"}, "NOT_FOUND", "package"),
        ({"idempotencyKey": ""}, "INVALID", "idempotencyKey"),
        ({"idempotencyKey": "x" * 65}, "INVALID", "idempotencyKey"),
        ({"idempotencyKey": "a\0b"}, "INVALID", "idempotencyKey"),
    ],
)
async def test_what_cannot_be_bought_is_a_clear_user_error(
    client: Client, wrong: dict[str, str], code: str, field: str
) -> None:
    asked = {"package": "starter", "idempotencyKey": "k"} | wrong
    (error,) = (await client.ask(BUY, input=asked))["createPurchase"]["userErrors"]
    assert (error["code"], error["field"]) == (code, ["input", field])


async def test_a_key_reads_purchases_with_its_scope_and_never_buys(client: Client, with_key: WithKey) -> None:
    purchase = await bought(client)
    reading = await with_key(ApiKeyScope.CREDITS_READ)
    assert (await reading.ask(PURCHASES))["purchases"]["totalCount"] == 1
    assert (await reading.ask(NODE, id=purchase["id"]))["node"]["id"] == purchase["id"]
    other = await with_key(*(set(ApiKeyScope) - {ApiKeyScope.CREDITS_READ}))
    assert await other.codes(PURCHASES) == ["FORBIDDEN"]
    assert await other.codes(NODE, id=purchase["id"]) == ["FORBIDDEN"]
    every = await with_key(*ApiKeyScope)
    assert await every.codes(BUY, input={"package": "starter", "idempotencyKey": "k"}) == ["FORBIDDEN"]
    assert await Client(client.http).codes(BUY, input={"package": "starter", "idempotencyKey": "k"}) == [
        "UNAUTHENTICATED"
    ]


async def test_purchases_are_a_connection_newest_first_of_ones_own(client: Client, stranger: Client) -> None:
    made = [(await bought(client, f"k{n}"))["id"] for n in range(3)]
    page = (await client.ask(PURCHASES, first=2))["purchases"]
    assert [row["id"] for row in page["nodes"]] == [made[2], made[1]]
    assert (page["totalCount"], page["pageInfo"]["hasNextPage"]) == (3, True)
    rest = (await client.ask(PURCHASES, first=2, after=page["pageInfo"]["endCursor"]))["purchases"]
    assert [row["id"] for row in rest["nodes"]] == [made[0]]
    last = (await client.ask(PURCHASES, last=1))["purchases"]["nodes"]
    assert [row["id"] for row in last] == [made[0]]
    assert await client.codes(PURCHASES, after="nonsense") == ["BAD_USER_INPUT"]
    assert (await stranger.ask(PURCHASES))["purchases"]["nodes"] == []


async def test_a_purchase_is_found_by_its_id_by_its_owner_and_by_administrators(
    client: Client, stranger: Client, admin: Client
) -> None:
    purchase = await bought(client)
    for asker in (client, admin):
        found = (await asker.ask(NODE, id=purchase["id"]))["node"]
        assert found == {"__typename": "Purchase", "id": purchase["id"], "status": "OPEN"}
    assert (await stranger.ask(NODE, id=purchase["id"]))["node"] is None
    assert (await client.ask(NODE, id="purchase_nonsense"))["node"] is None


async def test_twenty_purchases_and_entries_take_as_many_statements_as_one(
    client: Client, db: Database, statements: Statements
) -> None:
    for n in range(20):
        purchase = await bought(client, f"k{n}")
        await client.http.post(purchase["checkoutUrl"], data={"do": "pay"})
    await settlement.apply_due(db, datetime.now(UTC))
    query = """query($first: Int) { purchases(first: $first) { nodes { id status } }
      credits { transactions(first: $first) { nodes { purchase { id } } } } }"""
    counts = []
    for first in (1, 20):
        with statements.counted() as seen:
            await client.ask(query, first=first)
        counts.append(len(seen))
    assert counts[0] == counts[1]
