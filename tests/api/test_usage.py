"""usageSeries: what was asked and verified, by day, through a key or in all; one's own alone."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from db.models import Account
from resolvers.context import Parts
from services.worker import Worker
from tests.api.test_api_keys import made
from tests.client import Client
from tests.conftest import Statements

SERIES = "{ total { requestCount verificationCount creditsSpent } points { date requestCount } }"
OWN = f"query($range: DateRangeInput!, $key: ID) {{ usageSeries(range: $range, apiKeyId: $key) {SERIES} }}"
USER = f"query($range: DateRangeInput!, $id: ID!) {{ node(id: $id) {{ ... on User {{ usageSeries(range: $range) {SERIES} }} }} }}"  # noqa: E501 - one line in the middle of it is none
VERIFY = "mutation($email: String!) { verifyEmail(input: {email: $email}) { verification { verdict } } }"
CREATE = "mutation($emails: [String!]!) { createTask(input: {emails: $emails}) { task { id } userErrors { code } } }"


def span(days: int = 2) -> dict[str, str]:
    """The last days, today included: midnight may come in between."""
    today = datetime.now(UTC).date()
    return {"from": (today - timedelta(days=days - 1)).isoformat(), "to": today.isoformat()}


async def used(client: Client, parts: Parts, **given: Any) -> tuple[int, int, int]:
    await parts.usage.write()
    total = (await client.ask(OWN, **{"range": span(), **given}))["usageSeries"]["total"]
    return total["requestCount"], total["verificationCount"], total["creditsSpent"]


async def test_operations_and_verifications_are_counted_by_key(
    client: Client, parts: Parts, worker: Worker, raw: Any
) -> None:
    key, by_key = await made(client, scopes=["TASKS_WRITE", "VERIFY", "USAGE_READ"])  # one request
    for email in ("alice@ok.mailverdict.test", "wrong"):
        await by_key.ask(VERIFY, email=email)  # one verification, one credit
    emails = ["nobody@ok.mailverdict.test", "alice@catchall.mailverdict.test", "wrong", "bob@ok.mailverdict.test"]
    await by_key.ask(CREATE, emails=emails)
    async with asyncio.timeout(20):
        while await raw("SELECT 1 FROM task WHERE finished_at IS NULL"):
            await worker.tick(parts.now() + timedelta(seconds=1))
    assert await used(by_key, parts, key=key["id"]) == (3, 4, 4)
    assert await used(client, parts) == (5, 4, 4)  # with the mutation that made the key, and the query before


async def test_every_day_of_the_span_has_its_point(client: Client, parts: Parts) -> None:
    await used(client, parts)
    found = (await client.ask(OWN, range=span(90)))["usageSeries"]
    assert [point["date"] for point in found["points"]] == sorted(point["date"] for point in found["points"])
    assert len(found["points"]) == 90
    assert [point["requestCount"] for point in found["points"][:88]] == [0] * 88
    assert sum(point["requestCount"] for point in found["points"]) == 0  # not written yet
    assert await client.codes(OWN, range=span(91)) == ["BAD_USER_INPUT"]
    assert await client.codes(OWN, range={"from": "2026-03-02", "to": "2026-03-01"}) == ["BAD_USER_INPUT"]


async def test_anothers_use_is_not_told(
    client: Client, stranger: Client, admin: Client, parts: Parts, account: Account
) -> None:
    key, _ = await made(client)
    theirs, _ = await made(stranger)
    await parts.usage.write()
    for unknown in (theirs["id"], "key_0000000000000000000000", "nonsense"):
        assert (await client.ask(OWN, range=span(), key=unknown))["usageSeries"] is None
    assert (await stranger.ask(OWN, range=span(), key=key["id"]))["usageSeries"] is None
    assert (await stranger.ask(USER, range=span(), id=account.global_id))["node"] is None
    seen = await admin.ask(USER, range=span(), id=account.global_id)
    assert seen["node"]["usageSeries"]["total"]["requestCount"] == 1
    assert (await client.ask(USER, range=span(), id=account.global_id)) == seen


async def test_who_is_not_signed_in_is_neither_counted_nor_told(client: Client, parts: Parts, raw: Any) -> None:
    nobody = Client(client.http)
    assert await nobody.codes(OWN, range=span()) == ["UNAUTHENTICATED"]
    await parts.usage.write()
    assert await raw("SELECT * FROM usage_day") == []


@pytest.mark.parametrize("days", [1, 90])
async def test_a_series_is_one_statement(client: Client, statements: Statements, days: int) -> None:
    await client.ask(OWN, range=span(days))
    with statements.counted() as texts:
        await client.ask(OWN, range=span(days))
    assert len([text for text in texts if "usage_day" in text]) == 1
    assert len(texts) <= 3
