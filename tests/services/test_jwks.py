"""The key set of an identity provider: fetched seldom, kept through its absence, and nothing in it taken on trust."""

import asyncio
import base64
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from services import jwks
from services.errors import Unauthenticated
from services.jwks import KeySet
from services.tokens import Subject, Tokens
from tests.services import key_server
from tests.services.key_server import KeyServer, PrivateKey, jwk

ISSUER = "https://project.test/auth/v1"
SHARED = "the-jwt-secret-of-an-older-project-0123"
EC, RSA = ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)


@pytest.fixture
async def server() -> AsyncIterator[KeyServer]:
    async with key_server.running() as found:
        found.publish(ec=EC, rsa=RSA)
        yield found


@pytest.fixture
async def keys(server: KeyServer) -> AsyncIterator[KeySet]:
    found = KeySet(server.url)
    yield found
    await found.aclose()


@pytest.fixture
def tokens(keys: KeySet) -> Tokens:
    return Tokens(None, ISSUER, keys, is_own=False)


def claims(**changed: Any) -> dict[str, Any]:
    now = int(time.time())
    given = {
        "iss": ISSUER,
        "sub": str(uuid4()),
        "aud": "authenticated",
        "iat": now,
        "exp": now + 60,
        "session_id": str(uuid4()),
        "role": "authenticated",
        "is_anonymous": False,
    } | changed
    return {name: value for name, value in given.items() if value is not None}


def signed(key: PrivateKey, kid: str, body: dict[str, Any] | None = None, **header: Any) -> str:
    algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
    return jwt.encode(body or claims(), key, algorithm=algorithm, headers={"kid": kid, **header})


async def is_read(tokens: Tokens, token: str) -> bool:
    await tokens.prepare(token)
    try:
        tokens.read(token)
    except Unauthenticated:
        return False
    return True


async def test_es256_and_rs256_are_read_with_the_published_keys(tokens: Tokens, server: KeyServer) -> None:
    for key, kid in ((EC, "ec"), (RSA, "rsa")):
        assert await is_read(tokens, signed(key, kid))
    assert server.asked == 1


async def test_hs256_is_read_with_the_secret_of_the_project_and_names_a_session(keys: KeySet) -> None:
    older = Tokens(SHARED, ISSUER, keys, is_own=False)
    assert await is_read(older, jwt.encode(claims(), SHARED, algorithm="HS256"))
    assert not await is_read(older, jwt.encode(claims(session_id=None), SHARED, algorithm="HS256"))
    assert not await is_read(Tokens(None, ISSUER, keys, is_own=False), jwt.encode(claims(), SHARED, algorithm="HS256"))


async def test_nobody_signs_with_a_providers_keys(tokens: Tokens) -> None:
    now = datetime.now(UTC)
    with pytest.raises(ValueError, match="no shared secret"):
        tokens.issue(uuid4(), "x", now=now, lifetime=timedelta(hours=1))
    with pytest.raises(ValueError, match="no keys"):
        await tokens.issue_session(Subject(uuid4(), "x", uuid4()), now=now, lifetime=timedelta(hours=1))


def by_hmac(secret: bytes, kid: str) -> str:
    """A token signed with HMAC under bytes that anybody may know."""
    parts = [orjson.dumps({"alg": "HS256", "typ": "JWT", "kid": kid}), orjson.dumps(claims())]
    text = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
    signature = base64.urlsafe_b64encode(hmac.digest(secret, text.encode(), "sha256")).decode().rstrip("=")
    return f"{text}.{signature}"


def public_bytes(key: PrivateKey, encoding: serialization.Encoding) -> bytes:
    return key.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)


def with_algorithm(token: str, algorithm: str) -> str:
    head, _, rest = token.partition(".")
    header = json.loads(base64.urlsafe_b64decode(head + "==")) | {"alg": algorithm}
    return base64.urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=") + "." + rest


ATTACKS: dict[str, Callable[[], str]] = {
    "none": lambda: jwt.encode(claims(), "", algorithm="none", headers={"kid": "rsa"}),
    "the public key in PEM as a secret": lambda: by_hmac(public_bytes(RSA, serialization.Encoding.PEM), "rsa"),
    "the public key in DER as a secret": lambda: by_hmac(public_bytes(RSA, serialization.Encoding.DER), "rsa"),
    "the published key as a secret": lambda: by_hmac(orjson.dumps(jwk("rsa", RSA)), "rsa"),
    "nothing as a secret": lambda: by_hmac(b"", "rsa"),
    "the kid of an RSA key with ES256": lambda: signed(EC, "rsa"),
    "the kid of an EC key with RS256": lambda: signed(RSA, "ec"),
    "the header says RS384": lambda: with_algorithm(signed(RSA, "rsa"), "RS384"),
    "the header says PS256": lambda: with_algorithm(signed(RSA, "rsa"), "PS256"),
    "a foreign kid": lambda: signed(EC, "foreign"),
    "no kid": lambda: jwt.encode(claims(), EC, algorithm="ES256"),
    "another key under a known kid": lambda: signed(ec.generate_private_key(ec.SECP256R1()), "ec"),
    "the address of a key": lambda: signed(ec.generate_private_key(ec.SECP256R1()), "ec", jku="http://127.0.0.1:1/k"),
    "an anonymous person": lambda: signed(EC, "ec", claims(is_anonymous=True)),
    "another role": lambda: signed(EC, "ec", claims(role="service_role")),
    "no session": lambda: signed(EC, "ec", claims(session_id=None)),
    "no subject": lambda: signed(EC, "ec", claims(sub=None)),
    "no audience": lambda: signed(EC, "ec", claims(aud=None)),
    "a list of audiences": lambda: signed(EC, "ec", claims(aud=["authenticated"])),
    "no issuer": lambda: signed(EC, "ec", claims(iss=None)),
    "another issuer": lambda: signed(EC, "ec", claims(iss="supabase")),
    "no expiry": lambda: signed(EC, "ec", claims(exp=None)),
    "expired": lambda: signed(EC, "ec", claims(exp=int(time.time()) - 31)),
    "far too long": lambda: signed(EC, "ec", claims(x="y" * 9000)),
}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_security_17_an_attack_on_a_providers_tokens_is_unauthenticated(
    tokens: Tokens, keys: KeySet, server: KeyServer, attack: str
) -> None:
    token = ATTACKS[attack]()
    assert not await is_read(tokens, token)
    assert not await is_read(Tokens(SHARED, ISSUER, keys, is_own=False), token)
    assert await is_read(tokens, signed(EC, "ec"))
    assert server.asked <= 1


def small_rsa() -> dict[str, Any]:
    return jwk("x", rsa.generate_private_key(65537, 1024))  # noqa: S505 - that is the point


@pytest.mark.parametrize(
    "entry",
    [
        {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA", "alg": "HS256", "kid": "x"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "x"},
        jwk("x", EC) | {"use": "enc"},
        jwk("x", EC) | {"alg": "ES384"},
        jwk("x", EC) | {"alg": "HS256"},
        jwk("x", EC) | {"crv": "P-384"},
        jwk("x", EC) | {"x": "AAAA"},
        jwk("x", EC) | {"kid": 7},
        {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": "x"},
        {"kty": ["EC"], "kid": "x"},
        {"kid": "x"},
        "x",
        None,
    ],
)
def test_what_is_no_public_key_of_ours_to_use_is_left_out(entry: Any) -> None:
    found = jwks.read(orjson.dumps({"keys": [entry, jwk("good", EC)]}))
    assert list(found) == ["good"]
    assert jwks.read(orjson.dumps({"keys": [small_rsa()]})) == {}


async def test_security_18_a_thousand_unknown_kids_cost_one_fetch(tokens: Tokens, server: KeyServer) -> None:
    assert await is_read(tokens, signed(EC, "ec"))
    unknown = [signed(EC, str(uuid4())) for _ in range(1000)]
    assert not any(await asyncio.gather(*(is_read(tokens, token) for token in unknown)))
    assert server.asked == 1
    assert await is_read(tokens, signed(EC, "ec"))


async def test_security_18_many_first_requests_share_one_fetch(tokens: Tokens, server: KeyServer) -> None:
    assert all(await asyncio.gather(*(is_read(tokens, signed(EC, "ec")) for _ in range(50))))
    assert server.asked == 1


async def test_security_18_a_new_key_is_found_once_it_is_time_and_a_revoked_one_goes(
    tokens: Tokens, server: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await is_read(tokens, signed(EC, "ec"))
    newer = ec.generate_private_key(ec.SECP256R1())
    server.publish(newer=newer)
    assert not await is_read(tokens, signed(newer, "newer"))  # within 30 s of the last fetch
    monkeypatch.setattr(jwks, "REFETCH_SECONDS", 0.0)
    assert await is_read(tokens, signed(newer, "newer"))
    assert not await is_read(tokens, signed(EC, "ec"))


async def test_old_keys_are_fetched_again_without_anybody_waiting(
    tokens: Tokens, keys: KeySet, server: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await is_read(tokens, signed(EC, "ec"))
    monkeypatch.setattr(jwks, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(jwks, "REFETCH_SECONDS", 0.0)
    server.publish(rsa=RSA)
    assert await is_read(tokens, signed(EC, "ec"))  # the one in hand is used, and the fetch goes on behind
    assert keys._fetching is not None
    await keys._fetching
    assert not await is_read(tokens, signed(EC, "ec"))


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (500, b"", ""),
        (404, b"", ""),
        (302, b"", "location: http://127.0.0.1:1/\r\n"),
        (200, b"<html>", ""),
        (200, b"[]", ""),
        (200, b'{"keys": {}}', ""),
        (200, b'{"keys": [' + b" " * 70_000 + b"]}", ""),
        (200, b"[" * 60_000, ""),
    ],
)
async def test_security_18_known_keys_go_on_while_their_source_is_away(
    tokens: Tokens,
    keys: KeySet,
    server: KeyServer,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    body: bytes,
    headers: str,
) -> None:
    assert await is_read(tokens, signed(EC, "ec"))
    monkeypatch.setattr(jwks, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(jwks, "REFETCH_SECONDS", 0.0)
    server.status, server.body, server.headers = status, body, headers
    assert await is_read(tokens, signed(EC, "ec"))
    assert keys._fetching is not None
    await keys._fetching
    assert await is_read(tokens, signed(EC, "ec"))
    assert not await is_read(tokens, signed(EC, "unknown"))
    assert server.asked >= 2
    monkeypatch.setattr(jwks, "KEPT_SECONDS", 0.0)  # a day later
    assert not await is_read(tokens, signed(EC, "ec"))


async def test_security_18_a_source_that_was_never_there_is_asked_once_in_a_while() -> None:
    away = KeySet("http://127.0.0.1:1/keys")
    tokens = Tokens(None, ISSUER, away, is_own=False)
    began = time.monotonic()
    assert not any([await is_read(tokens, signed(EC, "ec")) for _ in range(50)])
    assert time.monotonic() - began < 2
    await away.aclose()
