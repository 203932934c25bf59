"""Signing up and signing in: what is accepted, and what an answer tells."""

import asyncio
from typing import Any

import pytest

from db.session import Database
from services.authentication import Credentials
from services.errors import (
    Invalid,
    InvalidCredentials,
    PasswordTooLong,
    Required,
    Suspended,
    Taken,
    WeakPassword,
)
from services.identity.port import Changes, Grant, Identity
from tests.services.identity.adapters import ours
from tests.services.identity.person import EMAIL, PASSWORD, PHONE, came_in, now, signed_in, signed_up


async def test_who_signs_up_is_signed_in_and_can_sign_in_again(
    db: Database, identity: Identity, credentials: Credentials
) -> None:
    first = await signed_up(identity)
    again = await signed_in(identity, " ANN@Example.COM ")
    assert first.account.id == again.account.id
    assert again.user_metadata == {"name": "Ann"}
    for granted in (first, again):
        actor = await came_in(db, credentials, granted)
        assert (actor.account_id, actor.session_id, actor.scopes) == (first.account.id, granted.session_id, None)
    assert first.session_id != again.session_id


async def test_without_confirmation_a_taken_address_is_told(identity: Identity) -> None:
    await signed_up(identity)
    with pytest.raises(Taken):
        await signed_up(identity, EMAIL.upper().replace("EXAMPLE.COM", "example.com"))


async def test_twenty_sign_ups_at_once_make_one_account(identity: Identity, raw: Any) -> None:
    outcomes = await asyncio.gather(*(signed_up(identity) for _ in range(20)), return_exceptions=True)
    assert sum(isinstance(one, Grant) for one in outcomes) == 1
    assert sum(isinstance(one, Taken) for one in outcomes) == 19
    assert await raw("SELECT count(*) FROM account") == [(1,)]


@pytest.mark.parametrize(
    ("email", "password", "error"),
    [
        ("", PASSWORD, Required),
        ("no address", PASSWORD, Invalid),
        ("a@b", PASSWORD, Invalid),
        ("ann\0@example.com", PASSWORD, Invalid),
        (EMAIL, "", WeakPassword),
        (EMAIL, "7 chars", WeakPassword),
        (EMAIL, "x" * 129, PasswordTooLong),
        (EMAIL, "\ud800" * 10, WeakPassword),
    ],
)
async def test_what_cannot_be_an_address_or_a_password_is_refused(
    identity: Identity, email: str, password: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await identity.sign_up(email, password, user_metadata={}, device=PHONE, now=now())


@pytest.mark.parametrize("password", ["8 chars!", "x" * 128, "pass\0word", "  spaces kept  ", "пароль-密码-🔑"])
async def test_a_password_counts_exactly_as_it_was_sent(identity: Identity, password: str) -> None:
    await identity.sign_up(EMAIL, password, user_metadata={}, device=PHONE, now=now())
    await signed_in(identity, password=password)
    for other in (password.strip() + "x", password[:-1], password + " "):
        with pytest.raises(InvalidCredentials):
            await signed_in(identity, password=other)


async def test_a_wrong_password_and_an_unknown_address_are_answered_alike(identity: Identity) -> None:
    await signed_up(identity)
    answers = []
    for email, password in ((EMAIL, "wrong password"), ("nobody@example.com", PASSWORD), ("no address", "x")):
        with pytest.raises(InvalidCredentials) as refused:
            await signed_in(identity, email, password)
        answers.append((type(refused.value), refused.value.message, refused.value.field))
    assert len(set(map(str, answers))) == 1


async def test_suspension_is_told_only_after_a_right_password(identity: Identity, raw: Any) -> None:
    granted = await signed_up(identity)
    await raw("UPDATE account SET suspended_at = now() RETURNING 1")
    with pytest.raises(InvalidCredentials):
        await signed_in(identity, password="wrong password")
    with pytest.raises(Suspended):
        await signed_in(identity)
    with pytest.raises(Suspended):
        await identity.refresh(granted.tokens.refresh_token, device=PHONE, now=now())


@ours
async def test_a_password_is_stored_as_argon2id_and_no_token_as_it_is(identity: Identity, raw: Any) -> None:
    granted = await signed_up(identity)
    ((stored,),) = await raw("SELECT password_hash FROM credential")
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    ((token_hash,),) = await raw("SELECT token_hash FROM refresh_token")
    assert len(token_hash) == 32
    assert len(granted.tokens.refresh_token) == 43  # 256 bits in base64url
    ((sealed,),) = await raw("SELECT sealed FROM signing_key")
    assert b"PRIVATE KEY" not in sealed


async def test_what_a_person_says_of_itself_is_changed_key_by_key(identity: Identity) -> None:
    granted = await signed_up(identity)

    async def change(metadata: dict[str, str]) -> None:
        changes = Changes(user_metadata=metadata)
        await identity.change(granted.account.id, granted.session_id, changes, None, now())

    await change({"tz": "UTC"})
    assert await identity.user_metadata(granted.account.id) == {"name": "Ann", "tz": "UTC"}
    for bad in ({"x": "y" * 17_000}, {"x": "\0"}):
        with pytest.raises(Invalid):
            await change(bad)
