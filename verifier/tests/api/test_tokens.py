"""JWTs of an identity provider: whom they let in, and every way in which they do not."""

import base64
import hmac
import json
import ssl
import time
from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from verifier.api import key_set
from verifier.api.key_set import KeySet
from verifier.tests.api.listener import Listener, listening
from verifier.tests.rest import Json, Rest, error, ok

SECRET = "the-secret-of-the-identity-provider-of-these-tests-0123456789-abcdef"
ISSUER = "https://identity.example.com/auth/v1"
USER = "7b0c5a0e-6c4b-4a7e-9d5e-1f2f3f4f5f6f"
OTHER = "0f9e8d7c-6b5a-4433-8211-aabbccddeeff"
EC_KEY = ec.generate_private_key(ec.SECP256R1())
OTHER_EC_KEY = ec.generate_private_key(ec.SECP256R1())
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def jwks() -> bytes:
    keys: list[Json] = [
        {**ECAlgorithm.to_jwk(EC_KEY.public_key(), as_dict=True), "kid": "ec", "alg": "ES256", "use": "sig"},
        {**RSAAlgorithm.to_jwk(RSA_KEY.public_key(), as_dict=True), "kid": "rsa", "use": "sig"},
        {**RSAAlgorithm.to_jwk(RSA_KEY.public_key(), as_dict=True), "kid": "rsa-512", "alg": "RS512"},
        {"kty": "oct", "kid": "oct", "k": base64.urlsafe_b64encode(SECRET.encode()).decode(), "alg": "HS256"},
        {"kty": "EC", "crv": "P-256", "kid": "broken", "x": "AA", "y": "AA"},
        {"kid": 7},
    ]
    return json.dumps({"keys": keys}).encode()


@pytest.fixture
async def provider() -> AsyncIterator[Listener]:
    async with listening(body=jwks()) as listener:
        yield listener


@pytest.fixture
def env(env: dict[str, str], provider: Listener) -> dict[str, str]:
    return {
        **env,
        "VERIFIER_JWT_SECRET": SECRET,
        "VERIFIER_JWT_ISSUER": ISSUER,
        "VERIFIER_JWKS_URL": f"http://127.0.0.1:{provider.port}/jwks.json",
    }


def claims(**changes: Any) -> Json:
    now = int(time.time())
    usual = {"iss": ISSUER, "sub": USER, "aud": "authenticated", "iat": now, "exp": now + 60, "role": "authenticated"}
    return {name: value for name, value in {**usual, **changes}.items() if value is not None}


def by_ec(**changes: Any) -> str:
    return jwt.encode(claims(**changes), EC_KEY, algorithm="ES256", headers={"kid": "ec"})


def by_secret(**changes: Any) -> str:
    return jwt.encode(claims(**changes), SECRET, algorithm="HS256")


def raw(header: bytes, content: bytes = b"{}", signature: bytes = b"") -> str:
    parts = (base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (header, content, signature))
    return ".".join(parts)


def by_public_key_as_secret() -> str:
    """The oldest trick: HS256 with the public key, which everybody knows, as secret."""
    form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    unsigned = raw(b'{"alg":"HS256","kid":"ec"}', json.dumps(claims()).encode()).removesuffix(".")
    signature = hmac.digest(EC_KEY.public_key().public_bytes(*form), unsigned.encode(), "sha256")
    return f"{unsigned}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


async def test_each_kind_of_token_lets_its_user_in_and_no_other(rest: Rest) -> None:
    tokens = [by_ec(), by_secret(), jwt.encode(claims(), RSA_KEY, algorithm="RS256", headers={"kid": "rsa"})]
    for token in tokens:
        bearer = {"Authorization": f"Bearer {token}"}
        task = await rest.create(["a@example.com"], **bearer)
        assert task["user_id"] == USER
        theirs = {"Authorization": f"Bearer {by_ec(sub=OTHER)}"}
        error(await rest.client.get(f"/tasks/{task['id']}", headers=theirs), 404)
        assert ok(await rest.client.get("/tasks", headers=theirs))["tasks"] == []
        error(await rest.client.get("/tasks", params={"user_id": OTHER}, headers=bearer), 403)
        error(await rest.client.post("/keys", json={"user_id": USER}, headers=bearer), 403)
    key = await rest.key_for(USER)
    assert len(ok(await rest.client.get("/tasks", headers=key))["tasks"]) == len(tokens)


def bad_tokens() -> list[str]:
    unsigned = b'{"alg":"none","typ":"JWT"}', json.dumps(claims()).encode()
    past = int(time.time()) - 3600
    return [
        raw(*unsigned),
        raw(*unsigned, b"x"),
        by_ec()[:-4] + "AAAA",
        jwt.encode(claims(), OTHER_EC_KEY, algorithm="ES256", headers={"kid": "ec"}),
        jwt.encode(claims(), EC_KEY, algorithm="ES256", headers={"kid": "unknown"}),
        jwt.encode(claims(), EC_KEY, algorithm="ES256"),
        jwt.encode(claims(), EC_KEY, algorithm="ES256", headers={"kid": "rsa"}),
        jwt.encode(claims(), RSA_KEY, algorithm="RS512", headers={"kid": "rsa"}),
        jwt.encode(claims(), RSA_KEY, algorithm="RS512", headers={"kid": "rsa-512"}),
        jwt.encode(claims(), RSA_KEY, algorithm="PS256", headers={"kid": "rsa"}),
        by_public_key_as_secret(),
        jwt.encode(claims(), SECRET, algorithm="HS384"),
        jwt.encode(claims(), SECRET + "x", algorithm="HS256"),
        jwt.encode(claims(), OTHER_EC_KEY, algorithm="ES256", headers={"kid": "broken"}),
        by_ec(exp=past, iat=past - 60),
        by_ec(iat=int(time.time()) + 3600, exp=int(time.time()) + 7200),
        by_ec(aud="anon"),
        by_ec(aud=["authenticated", "other"]),
        by_ec(iss="https://elsewhere.example.com"),
        by_ec(sub="me"),
        by_ec(sub="{" + USER + "}"),
        *(by_ec(**{name: None}) for name in ("exp", "iat", "sub", "aud", "iss")),
        by_ec(padding="x" * 9000),
        raw(b"{"),
        raw(b"[" * 3000),
        raw(b'{"alg":"ES256","kid":["ec"]}'),
        raw(b'{"alg":["HS256"]}'),
        "a.b.c",
        "..",
    ]


async def test_every_other_token_is_refused_and_none_is_a_fault_of_ours(rest: Rest) -> None:
    for token in bad_tokens():
        response = await rest.client.get("/tasks", headers={"Authorization": f"Bearer {token}"})
        assert error(response, 401)["code"] == "unauthenticated", token


async def test_unknown_key_ids_cause_one_fetch(rest: Rest, provider: Listener) -> None:
    for n in range(20):
        token = jwt.encode(claims(), EC_KEY, algorithm="ES256", headers={"kid": f"unknown-{n}"})
        error(await rest.client.get("/tasks", headers={"Authorization": f"Bearer {token}"}), 401)
    assert len(provider.received) == 1


async def test_known_keys_go_on_while_the_provider_is_away(provider: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = KeySet(f"http://127.0.0.1:{provider.port}/")
    assert await keys.key("ec") is not None
    monkeypatch.setattr(key_set, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(key_set, "REFETCH_SECONDS", 0.0)
    provider.statuses = [500]
    for count in (2, 3):
        assert await keys.key("ec") is not None
        await provider.wait_for(count)
        assert await keys.key("new") is None
    provider.statuses, provider.body = [200], b"x" * (key_set.BYTES_MAX + 1)
    assert await keys.key("new") is None
    assert await keys.key("ec") is not None
    await keys.aclose()


async def test_a_fetch_reads_no_certificates(provider: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = KeySet(f"http://127.0.0.1:{provider.port}/")
    contexts: list[ssl.SSLContext] = []
    make = ssl.create_default_context

    def made(*args: Any, **kwargs: Any) -> ssl.SSLContext:
        contexts.append(make(*args, **kwargs))
        return contexts[-1]

    monkeypatch.setattr(ssl, "create_default_context", made)
    assert await keys.key("ec") is not None
    assert contexts == []
    await keys.aclose()


def test_what_is_no_key_set_is_refused() -> None:
    for document in (b"", b"[]", b"{}", b'{"keys": {}}', b"\xff"):
        with pytest.raises(ValueError, match=r"."):
            key_set.read(document)
    assert set(key_set.read(jwks())) == {"ec", "rsa"}
