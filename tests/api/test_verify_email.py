"""verifyEmail: one address, while the caller waits."""

import time
from typing import Any

import pytest

from tests.client import Client

VERIFY = """
mutation($input: VerifyEmailInput!) { verifyEmail(input: $input) {
  verification { email verdict reason isCatchAll isRole isDisposable mxHost verifiedAt evidence { stage code text } }
  userErrors { code message field } } }"""


async def verified(client: Client, **given: Any) -> dict[str, Any]:
    payload = (await client.ask(VERIFY, input=given))["verifyEmail"]
    assert payload["userErrors"] == []
    found: dict[str, Any] = payload["verification"]
    return found


@pytest.mark.parametrize(
    ("email", "verdict", "reason"),
    [
        ("alice@ok.mailverdict.test", "EXISTS", "ACCEPTED"),
        ("nobody@ok.mailverdict.test", "NOT_EXISTS", "NO_SUCH_USER"),
        ("alice@catchall.mailverdict.test", "CATCHALL", "ACCEPT_ALL"),
    ],
)
async def test_an_address_gets_its_verdict_with_evidence(client: Client, email: str, verdict: str, reason: str) -> None:
    found = await verified(client, email=email)
    assert (found["email"], found["verdict"], found["reason"]) == (email, verdict, reason)
    assert found["evidence"]
    assert found["mxHost"]


async def test_the_answer_names_the_normal_form(client: Client) -> None:
    found = await verified(client, email="  alice@OK.mailverdict.TEST ")
    assert (found["email"], found["verdict"]) == ("alice@ok.mailverdict.test", "EXISTS")


@pytest.mark.parametrize("email", ["wrong", "a@b", "a b@ok.mailverdict.test", "a\0@ok.mailverdict.test", "x" * 1024])
async def test_what_is_no_address_is_a_verdict_and_no_error(client: Client, email: str) -> None:
    found = await verified(client, email=email)
    assert (found["email"], found["verdict"], found["reason"]) == (None, "INVALID_SYNTAX", "SYNTAX")
    (step,) = found["evidence"]
    assert step["stage"] == "SYNTAX"
    assert 10 < len(step["text"]) <= 200


async def test_greylisting_is_told_and_not_waited_for(client: Client) -> None:
    started = time.monotonic()
    found = await verified(client, email="alice@greyforever.mailverdict.test")
    assert (found["verdict"], found["reason"]) == ("UNKNOWN", "GREYLISTED")
    assert time.monotonic() - started < 5


async def test_when_the_time_runs_out_the_verdict_is_unknown(client: Client) -> None:
    started = time.monotonic()
    found = await verified(client, email="alice@blackholed.mailverdict.test", timeoutMs=1000)
    assert (found["verdict"], found["reason"]) == ("UNKNOWN", "TIMEOUT")
    assert time.monotonic() - started < 3


@pytest.mark.parametrize(
    ("given", "code", "field"),
    [
        ({"email": ""}, "REQUIRED", "email"),
        ({"email": "  "}, "REQUIRED", "email"),
        ({"email": "x" * 1025}, "INVALID", "email"),
        ({"email": "alice@ok.mailverdict.test", "timeoutMs": 999}, "INVALID", "timeoutMs"),
        ({"email": "alice@ok.mailverdict.test", "timeoutMs": 30_001}, "INVALID", "timeoutMs"),
        ({"email": "alice@ok.mailverdict.test", "timeoutMs": -1}, "INVALID", "timeoutMs"),
    ],
)
async def test_bad_input_is_a_clear_user_error(client: Client, given: dict[str, Any], code: str, field: str) -> None:
    payload = (await client.ask(VERIFY, input=given))["verifyEmail"]
    assert payload["verification"] is None
    (error,) = payload["userErrors"]
    assert (error["code"], error["field"]) == (code, ["input", field])
    assert error["message"].endswith(".")


async def test_nothing_is_written(client: Client, raw: Any) -> None:
    await verified(client, email="alice@ok.mailverdict.test")
    assert await raw("SELECT count(*) FROM task") == [(0,)]


async def test_nobody_verifies_without_signing_in(client: Client) -> None:
    assert await Client(client.http).codes(VERIFY, input={"email": "a@b.co"}) == ["UNAUTHENTICATED"]
