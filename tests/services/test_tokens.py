"""Bearer tokens: what is not exactly one of ours is Unauthenticated, and never another exception."""

import base64
import hashlib
import hmac
import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.errors import Unauthenticated
from services.tokens import Tokens

SECRET = "a-secret-of-at-least-thirty-two-characters"
ISSUER = "http://service.test"
ACCOUNT = UUID("0190b5a0-0000-7000-8000-000000000001")
TOKENS = Tokens(SECRET, ISSUER)
DIGESTS = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}


def encoded(data: bytes | dict[str, Any]) -> str:
    raw = json.dumps(data).encode() if isinstance(data, dict) else data
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def claims(**changed: Any) -> dict[str, Any]:
    now = int(datetime.now(UTC).timestamp())
    given = {"iss": ISSUER, "sub": str(ACCOUNT), "aud": "authenticated", "iat": now, "exp": now + 60} | changed
    return {name: value for name, value in given.items() if value is not None}


def token(body: dict[str, Any] | bytes, header: dict[str, Any] | bytes | None = None, *, secret: str = SECRET) -> str:
    """A token signed with HMAC, as an attacker or another program would write it."""
    head = header if header is not None else {"alg": "HS256", "typ": "JWT"}
    algorithm = head.get("alg") if isinstance(head, dict) else None
    signed = f"{encoded(head)}.{encoded(body)}"
    digest = DIGESTS.get(algorithm, "sha256") if isinstance(algorithm, str) else "sha256"
    return f"{signed}.{encoded(hmac.digest(secret.encode(), signed.encode(), digest))}"


def refused(text: str) -> None:
    with pytest.raises(Unauthenticated):
        TOKENS.read(text)


def test_an_issued_token_is_read_back() -> None:
    now = datetime.now(UTC)
    found = TOKENS.read(TOKENS.issue(ACCOUNT, "ann@example.com", now=now, lifetime=timedelta(hours=1)))
    assert found.account_id == ACCOUNT
    assert abs(found.expires_at - now - timedelta(hours=1)) < timedelta(seconds=1)


def test_a_token_written_by_hand_with_the_right_secret_is_read() -> None:
    assert TOKENS.read(token(claims())).account_id == ACCOUNT


@pytest.mark.parametrize(
    "algorithm", ["none", "None", "NONE", "HS384", "HS512", "RS256", "ES256", "EdDSA", "", None, 1]
)
def test_another_algorithm_is_refused(algorithm: Any) -> None:
    refused(token(claims(), {"alg": algorithm, "typ": "JWT"}))


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_a_token_without_a_signature_is_refused(algorithm: str) -> None:
    signed = f"{encoded({'alg': algorithm})}.{encoded(claims())}"
    for text in (f"{signed}.", signed):
        refused(text)


def test_another_secret_is_refused() -> None:
    refused(token(claims(), secret=SECRET + "x"))
    refused(token(claims(), secret=""))
    refused(token(claims(), secret=hashlib.sha256(SECRET.encode()).hexdigest()))


def test_a_foreign_kid_or_key_address_changes_nothing() -> None:
    for extra in ({"kid": "../../etc/passwd"}, {"jku": "http://evil.test"}, {"jwk": {"kty": "oct", "k": "AAAA"}}):
        assert TOKENS.read(token(claims(), {"alg": "HS256", **extra})).account_id == ACCOUNT
        refused(token(claims(), {"alg": "HS256", **extra}, secret="x" * 32))
    refused(token(claims(), {"alg": "HS256", "kid": {"a": 1}}))
    refused(token(claims(), {"alg": "HS256", "crit": ["unknown"]}))


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": 0},
        {"exp": 1_000_000_000},
        {"exp": None},
        {"exp": "soon"},
        {"exp": 1e300},
        {"exp": 10**30},
        {"exp": [1]},
        {"iat": None},
        {"iat": "x"},
        {"iat": 99_999_999_999},
        {"nbf": 99_999_999_999},
        {"sub": None},
        {"sub": ""},
        {"sub": "not a uuid"},
        {"sub": 7},
        {"sub": {"a": "b"}},
        {"aud": None},
        {"aud": "anon"},
        {"aud": ["authenticated"]},
        {"aud": 1},
        {"iss": None},
        {"iss": "http://other.test"},
        {"iss": [ISSUER]},
    ],
)
def test_a_missing_or_wrong_claim_is_refused(changed: dict[str, Any]) -> None:
    refused(token(claims(**changed)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        "null",
        "eyJhbGciOiJIUzI1NiJ9..",
        "\0.\0.\0",
        "ü.ü.ü",
        "\ud800",
        "x" * 100_000,
        "." * 8000,
    ],
)
def test_what_is_no_token_is_refused(text: str) -> None:
    refused(text)


@pytest.mark.parametrize(
    "junk",
    [
        b"[" * 5000,
        b'{"a":' * 1000,
        b"[]",
        b"1",
        b"null",
        b'"x"',
        b"\xff\xfe",
        b"",
        b"1" * 5000,
        b'{"exp":' + b"9" * 5000 + b"}",
        b"{",
        b"NaN",
    ],
)
def test_junk_for_a_header_or_signed_as_a_body_is_refused(junk: bytes) -> None:
    refused(token(claims(), junk))
    refused(token(junk))


def test_a_token_over_the_cap_is_refused_though_it_is_signed() -> None:
    refused(token(claims(note="x" * 9000)))


def test_a_changed_character_anywhere_is_refused() -> None:
    whole = token(claims())
    chance = random.Random(3)
    for at in chance.sample(range(len(whole) - 1), 60):  # the last character carries bits that no byte holds
        other = "A" if whole[at] != "A" else "B"
        refused(whole[:at] + other + whole[at + 1 :])
        refused(whole[:at])


@given(st.text(max_size=200) | st.lists(st.binary(max_size=60).map(encoded), min_size=2, max_size=4).map(".".join))
@settings(max_examples=150, deadline=None)
def test_no_text_at_all_gives_another_exception(text: str) -> None:
    refused(text)


def test_a_short_secret_is_not_taken() -> None:
    with pytest.raises(ValueError, match="32"):
        Tokens("x" * 31, ISSUER)
