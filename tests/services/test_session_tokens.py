"""Tokens of sessions (ES256): whatever is not exactly one of ours is Unauthenticated, and never another exception."""

import asyncio
import base64
import hmac
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from db.session import Database
from services import authentication, signing
from services.authentication import Credentials
from services.errors import Unauthenticated
from services.sealing import Box, Unsealable
from services.signing import SigningKeys
from services.tokens import Subject, Tokens

SECRET = "the-secret-of-the-session-token-tests-01234"
SHARED = "a-shared-secret-of-the-session-token-tests"
ISSUER = "http://service.test/auth/v1"
SUBJECT = Subject(uuid4(), "ann@example.com", uuid4(), {"name": "Ann"})

Forge = Callable[[SigningKeys], str]


@pytest.fixture
async def keys(db: Database) -> SigningKeys:
    found = SigningKeys(db, Box(SECRET))
    await found.prepare()
    return found


@pytest.fixture
def tokens(keys: SigningKeys) -> Tokens:
    return Tokens(SHARED, ISSUER, keys)


def claims(**changed: Any) -> dict[str, Any]:
    now = int(time.time())
    given = {
        "iss": ISSUER,
        "sub": str(SUBJECT.account_id),
        "aud": "authenticated",
        "iat": now,
        "exp": now + 60,
        "session_id": str(SUBJECT.session_id),
    } | changed
    return {name: value for name, value in given.items() if value is not None}


def signed(keys: SigningKeys, body: dict[str, Any] | None = None, **header: Any) -> str:
    """A token signed by the service's own key."""
    kid, key = keys.current()
    return jwt.encode(body or claims(), key, algorithm="ES256", headers={"kid": kid, **header})


def by_hmac(keys: SigningKeys, secret: bytes) -> str:
    """A token signed with HMAC under bytes that anybody may know: the public key taken for a secret."""
    header = {"alg": "HS256", "typ": "JWT", "kid": keys.current()[0]}
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (header, claims())]
    text = ".".join(parts)
    signature = base64.urlsafe_b64encode(hmac.digest(secret, text.encode(), "sha256")).decode().rstrip("=")
    return f"{text}.{signature}"


def public_bytes(keys: SigningKeys, encoding: serialization.Encoding) -> bytes:
    return keys.current()[1].public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)


def by_another_key(keys: SigningKeys, **header: Any) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    return jwt.encode(claims(), key, algorithm="ES256", headers={"kid": keys.current()[0], **header})


def with_header(keys: SigningKeys, **changed: Any) -> str:
    """A good token whose header was changed after it was signed."""
    head, body, signature = signed(keys).split(".")
    header = json.loads(base64.urlsafe_b64decode(head + "==")) | changed
    head = base64.urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")
    return f"{head}.{body}.{signature}"


def own_jwk(keys: SigningKeys) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    jwk = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key()))
    return jwt.encode(claims(), key, algorithm="ES256", headers={"kid": keys.current()[0], "jwk": jwk})


ATTACKS: dict[str, Forge] = {
    "none": lambda keys: jwt.encode(claims(), "", algorithm="none", headers={"kid": keys.current()[0]}),
    "the header says none": lambda keys: with_header(keys, alg="none"),
    "the header says HS256": lambda keys: with_header(keys, alg="HS256"),
    "the header says ES384": lambda keys: with_header(keys, alg="ES384"),
    "the header says RS256": lambda keys: with_header(keys, alg="RS256"),
    "the public key in PEM as a secret": lambda keys: by_hmac(keys, public_bytes(keys, serialization.Encoding.PEM)),
    "the public key in DER as a secret": lambda keys: by_hmac(keys, public_bytes(keys, serialization.Encoding.DER)),
    "the key set as a secret": lambda keys: by_hmac(keys, json.dumps(keys.document()).encode()),
    "nothing as a secret": lambda keys: by_hmac(keys, b""),
    "another key under our kid": by_another_key,
    "a foreign kid": lambda keys: by_another_key(keys, kid=str(uuid4())),
    "a kid that is a path": lambda keys: by_another_key(keys, kid="../../../../dev/null"),
    "a kid that is SQL": lambda keys: by_another_key(keys, kid="' OR 1=1 --"),
    "a kid with NUL": lambda keys: by_another_key(keys, kid="\0"),
    "an embedded key": own_jwk,
    "the address of a key": lambda keys: by_another_key(keys, jku="http://evil.test/keys", x5u="http://evil.test/x"),
    "RS256": lambda keys: jwt.encode(
        claims(),
        rsa.generate_private_key(65537, 2048),
        algorithm="RS256",
        headers={"kid": keys.current()[0]},
    ),
    "no signature": lambda keys: signed(keys).rpartition(".")[0] + ".",
    "two parts": lambda keys: signed(keys).rpartition(".")[0],
    "a changed body": lambda keys: ".".join(
        [signed(keys).split(".")[0], base64.urlsafe_b64encode(json.dumps(claims()).encode()).decode().rstrip("="), "AA"]
    ),
    "expired": lambda keys: signed(keys, claims(exp=int(time.time()) - 1)),
    "no exp": lambda keys: signed(keys, claims(exp=None)),
    "no iat": lambda keys: signed(keys, claims(iat=None)),
    "no sub": lambda keys: signed(keys, claims(sub=None)),
    "no aud": lambda keys: signed(keys, claims(aud=None)),
    "no iss": lambda keys: signed(keys, claims(iss=None)),
    "no session": lambda keys: signed(keys, claims(session_id=None)),
    "a session that is no id": lambda keys: signed(keys, claims(session_id="x")),
    "a session that is a number": lambda keys: signed(keys, claims(session_id=7)),
    "a session that is a list": lambda keys: signed(keys, claims(session_id=[str(SUBJECT.session_id)])),
    "another audience": lambda keys: signed(keys, claims(aud="anon")),
    "a list of audiences": lambda keys: signed(keys, claims(aud=["authenticated"])),
    "another issuer": lambda keys: signed(keys, claims(iss="http://evil.test/auth/v1")),
    "a subject that is no id": lambda keys: signed(keys, claims(sub="admin")),
    "not yet": lambda keys: signed(keys, claims(nbf=int(time.time()) + 3600)),
    "far too long": lambda keys: signed(keys, claims(x="y" * 9000)),
    "a header that must be understood": lambda keys: signed(keys, crit=["x"], x=1),
}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_security_17_an_attack_is_unauthenticated(
    db: Database, keys: SigningKeys, tokens: Tokens, attack: str
) -> None:
    token = ATTACKS[attack](keys)
    with pytest.raises(Unauthenticated):
        tokens.read(token)
    with pytest.raises(Unauthenticated):
        await authentication.authenticate(db, Credentials(tokens, SECRET), authorization=f"Bearer {token}")


async def test_an_issued_token_is_read_back_with_the_claims_of_supabase(keys: SigningKeys, tokens: Tokens) -> None:
    now = datetime.now(UTC)
    token = await tokens.issue_session(SUBJECT, now=now, lifetime=timedelta(hours=1))
    found = tokens.read(token)
    assert (found.account_id, found.session_id) == (SUBJECT.account_id, SUBJECT.session_id)
    said = jwt.decode(token, options={"verify_signature": False})
    assert {"iss", "sub", "aud", "exp", "iat", "email", "app_metadata", "user_metadata", "role", "session_id"} <= set(
        said
    )
    assert (said["iss"], said["aud"], said["user_metadata"]) == (ISSUER, "authenticated", {"name": "Ann"})
    assert jwt.get_unverified_header(token) == {"alg": "ES256", "typ": "JWT", "kid": keys.current()[0]}


async def test_a_shared_secret_is_read_only_where_one_is_configured(keys: SigningKeys, tokens: Tokens) -> None:
    token = tokens.issue(SUBJECT.account_id, SUBJECT.email, now=datetime.now(UTC), lifetime=timedelta(hours=1))
    assert tokens.read(token).session_id is None
    with pytest.raises(Unauthenticated):
        Tokens(None, ISSUER, keys).read(token)
    with pytest.raises(ValueError, match="no shared secret"):
        Tokens(None, ISSUER, keys).issue(SUBJECT.account_id, "x", now=datetime.now(UTC), lifetime=timedelta(1))


async def test_a_token_of_an_unknown_session_is_refused(db: Database, tokens: Tokens) -> None:
    token = await tokens.issue_session(SUBJECT, now=datetime.now(UTC), lifetime=timedelta(hours=1))
    with pytest.raises(Unauthenticated):
        await authentication.authenticate(db, Credentials(tokens, SECRET), authorization=f"Bearer {token}")


async def test_security_18_unknown_kids_make_the_keys_be_read_at_most_once_in_a_while(
    db: Database, keys: SigningKeys, tokens: Tokens, statements: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with statements.counted() as seen:
        for _ in range(1000):
            token = with_header(keys, kid=str(uuid4()))
            with pytest.raises(Unauthenticated):
                await authentication.authenticate(db, Credentials(tokens, SECRET), authorization=f"Bearer {token}")
    assert len(seen) == 0
    monkeypatch.setattr(signing, "_RELOAD_SECONDS", 0.0)
    with statements.counted() as seen:
        await keys.prepare("unknown")
        await keys.prepare(keys.current()[0])
    assert len([text for text in seen if "signing_key" in text]) == 1


async def test_the_published_keys_hold_no_secret(keys: SigningKeys) -> None:
    (key,) = keys.document()["keys"]
    assert set(key) == {"kty", "crv", "x", "y", "kid", "alg", "use", "key_ops"}
    assert (key["kty"], key["crv"], key["alg"], key["use"]) == ("EC", "P-256", "ES256", "sig")


async def test_processes_that_start_together_agree_on_one_key(db: Database, raw: Any) -> None:
    every = [SigningKeys(db, Box(SECRET)) for _ in range(8)]
    await asyncio.gather(*(one.prepare() for one in every))
    assert len({one.current()[0] for one in every}) == 1
    assert await raw("SELECT count(*) FROM signing_key") == [(1,)]


async def test_a_new_secret_key_begins_a_new_signing_key_and_leaves_the_old_alone(db: Database, raw: Any) -> None:
    first, second = SigningKeys(db, Box(SECRET)), SigningKeys(db, Box(SECRET + "x"))
    await first.prepare()
    await second.prepare()
    assert first.current()[0] != second.current()[0]
    assert len(second.document()["keys"]) == 1
    assert await raw("SELECT count(*) FROM signing_key") == [(2,)]


def test_what_is_sealed_opens_at_its_place_alone() -> None:
    box = Box(SECRET)
    sealed = box.seal(b"secret", "table:row:column")
    assert box.open(sealed, "table:row:column") == b"secret"
    assert box.seal(b"secret", "table:row:column") != sealed
    for other, data, place in (
        (box, sealed, "table:other:column"),
        (Box(SECRET + "x"), sealed, "table:row:column"),
        (box, sealed[:-1] + bytes([sealed[-1] ^ 1]), "table:row:column"),
        (box, b"\x02" + sealed[1:], "table:row:column"),
        (box, b"", "table:row:column"),
        (box, sealed[:5], "table:row:column"),
    ):
        with pytest.raises(Unsealable):
            other.open(data, place)
