"""credits, addTokens, deductTokens, and what tasks and verifyEmail cost: through HTTP."""

import asyncio
import dataclasses
from typing import Any

import httpx
import pytest

from app import server
from app.settings import Settings
from db.models import Account, ApiKeyScope
from db.session import Database
from resolvers.context import Parts
from services.worker import Worker
from tests import factories
from tests.api.conftest import WithKey
from tests.api.test_tasks import CREATE, work_until_done
from tests.client import Client
from tests.conftest import PUBLIC_URL, SECRET, Statements, token

BALANCE = "balance reserved available"
CREDITS = f"{{ credits {{ {BALANCE} }} }}"
LEDGER = """
query($first: Int, $after: String, $last: Int, $before: String, $filter: CreditTransactionFilter) {
  credits { balance transactions(first: $first, after: $after, last: $last, before: $before, filter: $filter) {
    totalCount
    nodes { id kind amount reservedAmount balanceAfter note actor { email } task { id } createdAt }
    edges { cursor node { id } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  } } }"""
PAYLOAD = f"""credits {{ {BALANCE} }} transaction {{ id kind amount balanceAfter note actor {{ email }} }}
  userErrors {{ code message field }}"""
ADD = f"mutation($input: AddTokensInput!) {{ addTokens(input: $input) {{ {PAYLOAD} }} }}"
DEDUCT = f"mutation($input: DeductTokensInput!) {{ deductTokens(input: $input) {{ {PAYLOAD} }} }}"
VERIFY = f"""mutation($email: String!) {{ verifyEmail(input: {{email: $email}}) {{
  verification {{ verdict }} credits {{ {BALANCE} }} userErrors {{ code message field }} }} }}"""
START = 100


@pytest.fixture
async def account(db: Database) -> Account:
    return await factories.account(db, balance=START)


@pytest.fixture
async def mocked(parts: Parts, account: Account) -> Any:
    """The account's client where billing is a mock."""
    settings = Settings.from_env({"PUBLIC_URL": PUBLIC_URL, "SECRET_KEY": SECRET})
    app = server.create_app(dataclasses.replace(parts, is_billing_mock=True), settings)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=PUBLIC_URL) as http:
        yield Client(http, token(parts, account))


def asked(amount: int = 10, key: str = "k", **more: Any) -> dict[str, Any]:
    return {"amount": amount, "note": "test", "idempotencyKey": key, **more}


async def test_an_account_without_credits_has_a_balance_of_nothing(
    db: Database, parts: Parts, http: httpx.AsyncClient
) -> None:
    client = Client(http, token(parts, await factories.account(db, "new@example.com", balance=0)))
    found = (await client.ask(LEDGER))["credits"]
    assert (found["balance"], found["transactions"]["nodes"]) == (0, [])


async def test_an_administrator_adds_to_any_account_and_the_ledger_tells_who_and_why(
    client: Client, admin: Client, account: Account
) -> None:
    payload = (await admin.ask(ADD, input=asked(50, userId=account.global_id, note=" sorry ")))["addTokens"]
    assert payload["userErrors"] == []
    assert payload["credits"] == {"balance": 150, "reserved": 0, "available": 150}
    assert payload["transaction"] | {"id": None} == {
        "id": None,
        "kind": "GRANTED",
        "amount": 50,
        "balanceAfter": 150,
        "note": "sorry",
        "actor": {"email": "chief@example.com"},
    }
    newest = (await client.ask(LEDGER))["credits"]["transactions"]["nodes"][0]
    assert newest["id"] == payload["transaction"]["id"]
    assert newest["actor"] is None  # a member learns nothing of an administrator


async def test_a_member_adds_only_where_billing_is_a_mock(client: Client, mocked: Client) -> None:
    assert await client.codes(ADD, input=asked()) == ["FORBIDDEN"]
    payload = (await mocked.ask(ADD, input=asked()))["addTokens"]
    assert payload["credits"]["balance"] == START + 10


async def test_another_account_is_not_found(
    client: Client, mocked: Client, admin: Client, stranger: Client, account: Account
) -> None:
    other = (await stranger.ask("{ viewer { id } }"))["viewer"]["id"]
    for payload in (
        (await mocked.ask(ADD, input=asked(userId=other)))["addTokens"],
        (await client.ask(DEDUCT, input=asked(userId=other)))["deductTokens"],
        (await admin.ask(ADD, input=asked(userId="user_0000000000000000000000")))["addTokens"],
        (await admin.ask(DEDUCT, input=asked(userId=account.global_id[:-1])))["deductTokens"],
    ):
        assert payload["transaction"] is payload["credits"] is None
        assert [(e["code"], e["field"]) for e in payload["userErrors"]] == [("NOT_FOUND", ["input", "userId"])]


@pytest.mark.parametrize(
    ("wrong", "code", "field"),
    [
        ({"amount": 0}, "INVALID", "amount"),
        ({"amount": -5}, "INVALID", "amount"),
        ({"amount": 10_000_001}, "INVALID", "amount"),
        ({"note": "  "}, "REQUIRED", "note"),
        ({"note": "x" * 501}, "TOO_LARGE", "note"),
        ({"note": "a\0b"}, "INVALID", "note"),
        ({"idempotencyKey": ""}, "INVALID", "idempotencyKey"),
        ({"idempotencyKey": "x" * 65}, "INVALID", "idempotencyKey"),
    ],
)
async def test_what_cannot_be_booked_is_a_clear_user_error(
    client: Client, mocked: Client, wrong: dict[str, Any], code: str, field: str
) -> None:
    for asker, query, name in ((mocked, ADD, "addTokens"), (client, DEDUCT, "deductTokens")):
        (error,) = (await asker.ask(query, input=asked() | wrong))[name]["userErrors"]
        assert (error["code"], error["field"]) == (code, ["input", field])
    assert (await client.ask(CREDITS))["credits"]["balance"] == START


async def test_one_deducts_of_ones_own_and_never_below_zero(client: Client) -> None:
    payload = (await client.ask(DEDUCT, input=asked(60)))["deductTokens"]
    assert (payload["transaction"]["kind"], payload["transaction"]["amount"]) == ("DEDUCTED", -60)
    payload = (await client.ask(DEDUCT, input=asked(60, "other")))["deductTokens"]
    (error,) = payload["userErrors"]
    assert (error["code"], error["message"]) == (
        "INSUFFICIENT_CREDITS",
        "This takes 60 credits; 40 are available.",
    )
    assert (await client.ask(CREDITS))["credits"] == {"balance": 40, "reserved": 0, "available": 40}


async def test_security_06_and_07_the_same_key_at_once_gives_the_same_answer_and_with_other_input_a_conflict(
    client: Client,
) -> None:
    answers = await asyncio.gather(*(client.ask(DEDUCT, input=asked(10)) for _ in range(20)))
    assert all(answer == answers[0] for answer in answers)
    assert answers[0]["deductTokens"]["credits"]["balance"] == START - 10
    for other in (asked(11), asked(10, note="else")):
        (error,) = (await client.ask(DEDUCT, input=other))["deductTokens"]["userErrors"]
        assert (error["code"], error["field"]) == ("IDEMPOTENCY_CONFLICT", ["input", "idempotencyKey"])


async def test_a_key_moves_credits_only_by_its_scope_and_never_adds(with_key: WithKey, mocked: Client) -> None:
    without = await with_key(*(set(ApiKeyScope) - {ApiKeyScope.CREDITS_DEDUCT, ApiKeyScope.CREDITS_READ}))
    assert await without.codes(DEDUCT, input=asked()) == ["FORBIDDEN"]
    assert await without.codes(CREDITS) == ["FORBIDDEN"]
    assert await without.codes("{ viewer { credits { balance } } }") == ["FORBIDDEN"]
    deducting = await with_key(ApiKeyScope.CREDITS_DEDUCT)
    assert (await deducting.ask(DEDUCT, input=asked()))["deductTokens"]["credits"]["balance"] == START - 10
    every = await with_key(*ApiKeyScope)
    assert await Client(mocked.http, every.credential).codes(ADD, input=asked()) == ["FORBIDDEN"]


async def test_the_ledger_is_a_connection_newest_first(client: Client) -> None:
    for n in range(5):
        await client.ask(DEDUCT, input=asked(n + 1, f"k{n}"))
    page = (await client.ask(LEDGER, first=2))["credits"]["transactions"]
    assert [node["amount"] for node in page["nodes"]] == [-5, -4]
    assert (page["totalCount"], page["pageInfo"]["hasNextPage"]) == (6, True)
    after = (await client.ask(LEDGER, first=2, after=page["pageInfo"]["endCursor"]))["credits"]["transactions"]
    assert [node["amount"] for node in after["nodes"]] == [-3, -2]
    assert after["pageInfo"]["hasPreviousPage"]
    last = (await client.ask(LEDGER, last=1))["credits"]["transactions"]
    assert [(node["kind"], node["amount"]) for node in last["nodes"]] == [("GRANTED", START)]
    granted = (await client.ask(LEDGER, filter={"kind": ["GRANTED"]}))["credits"]["transactions"]
    assert granted["totalCount"] == 1
    none = (await client.ask(LEDGER, filter={"createdBefore": "2020-01-01T00:00:00Z"}))["credits"]["transactions"]
    assert none["nodes"] == []
    since = (await client.ask(LEDGER, filter={"createdAfter": "2020-01-01T00:00:00Z"}))["credits"]["transactions"]
    assert since["totalCount"] == 6
    assert await client.codes(LEDGER, after="nonsense") == ["BAD_USER_INPUT"]
    assert await client.codes(LEDGER, filter={"kind": []}) == ["BAD_USER_INPUT"]


async def test_the_ledger_takes_as_many_statements_for_twenty_entries_as_for_one(
    client: Client, parts: Parts, account: Account, statements: Statements
) -> None:
    for n in range(20):
        await factories.task(parts, account, [f"p{n}@example.com"])
    counts = []
    for first in (1, 20):
        with statements.counted() as seen:
            await client.ask(LEDGER, first=first)
        counts.append(len(seen))
    assert counts[0] == counts[1]


async def test_an_entry_is_found_by_its_id_by_its_owner_and_by_administrators(
    client: Client, stranger: Client, admin: Client
) -> None:
    entry = (await client.ask(LEDGER))["credits"]["transactions"]["nodes"][0]
    node = "query($id: ID!) { node(id: $id) { __typename ... on CreditTransaction { amount } } }"
    assert (await client.ask(node, id=entry["id"]))["node"] == {"__typename": "CreditTransaction", "amount": START}
    assert (await admin.ask(node, id=entry["id"]))["node"]["amount"] == START
    assert (await stranger.ask(node, id=entry["id"]))["node"] is None
    assert (await client.ask(node, id="transaction_nonsense"))["node"] is None


async def test_a_user_shows_credits_to_administrators(client: Client, admin: Client, account: Account) -> None:
    assert (await client.ask("{ viewer { credits { balance } } }"))["viewer"]["credits"] == {"balance": START}
    query = "query($id: ID!) { node(id: $id) { ... on User { credits { balance } } } }"
    assert (await admin.ask(query, id=account.global_id))["node"]["credits"] == {"balance": START}


async def test_a_task_holds_pays_and_gives_back(client: Client, worker: Worker) -> None:
    emails = ["alice@ok.mailverdict.test", "nobody@ok.mailverdict.test", "alice@ok.mailverdict.test", "wrong"]
    task_id = (await client.ask(CREATE, input={"emails": emails}))["createTask"]["task"]["id"]
    query = "query($id: ID!) { task(id: $id) { creditsReserved creditsSpent } }"
    assert (await client.ask(query, id=task_id))["task"] == {"creditsReserved": 2, "creditsSpent": 0}
    assert (await client.ask(CREDITS))["credits"] == {"balance": START, "reserved": 2, "available": START - 2}
    await work_until_done(worker, client, task_id)
    assert (await client.ask(query, id=task_id))["task"] == {"creditsReserved": 0, "creditsSpent": 2}
    assert (await client.ask(CREDITS))["credits"] == {"balance": START - 2, "reserved": 0, "available": START - 2}
    entries = (await client.ask(LEDGER))["credits"]["transactions"]["nodes"]
    assert {entry["task"]["id"] for entry in entries if entry["kind"] != "GRANTED"} == {task_id}


async def test_a_list_that_costs_more_than_there_is_makes_no_task(client: Client, raw: Any) -> None:
    emails = [f"p{n}@ok.mailverdict.test" for n in range(START + 1)]
    payload = (await client.ask(CREATE, input={"emails": emails, "idempotencyKey": "k"}))["createTask"]
    assert payload["task"] is None
    (error,) = payload["userErrors"]
    assert (error["code"], error["message"]) == (
        "INSUFFICIENT_CREDITS",
        "This takes 101 credits; 100 are available.",
    )
    assert await raw("SELECT (SELECT count(*) FROM task), (SELECT count(*) FROM idempotency_key)") == [(0, 0)]
    file = ("email\n" + "\n".join(emails)).encode()
    outcome = await client.upload(file, "list.csv", "task { id } userErrors { code }")
    assert outcome == {"task": None, "userErrors": [{"code": "INSUFFICIENT_CREDITS"}]}


@pytest.mark.parametrize(
    ("email", "verdict", "cost"),
    [
        ("alice@ok.mailverdict.test", "EXISTS", 1),
        ("nobody@ok.mailverdict.test", "NOT_EXISTS", 1),
        ("nonsense", "INVALID_SYNTAX", 0),
    ],
)
async def test_a_single_verdict_costs_what_the_policy_says(client: Client, email: str, verdict: str, cost: int) -> None:
    payload = (await client.ask(VERIFY, email=email))["verifyEmail"]
    assert payload["verification"]["verdict"] == verdict
    assert payload["credits"]["balance"] == START - cost


async def test_without_a_credit_nothing_is_verified(db: Database, parts: Parts, http: httpx.AsyncClient) -> None:
    client = Client(http, token(parts, await factories.account(db, "poor@example.com", balance=0)))
    payload = (await client.ask(VERIFY, email="alice@ok.mailverdict.test"))["verifyEmail"]
    assert payload["verification"] is payload["credits"] is None
    assert [error["code"] for error in payload["userErrors"]] == ["INSUFFICIENT_CREDITS"]
