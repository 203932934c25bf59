"""Passwords that are changed by who knows the old one, or has a link."""

from datetime import timedelta
from typing import Any

import pytest

from db.models import Account
from db.session import Database
from services.authentication import Credentials
from services.errors import (
    InvalidCredentials,
    Required,
    SessionEnded,
    WeakPassword,
)
from services.identity.passwords import Passwords
from services.identity.port import Changes, Identity
from tests.services.identity.adapters import ours
from tests.services.identity.person import EMAIL, PASSWORD, PHONE, came_in, now, signed_in, signed_up
from tests.services.postbox import Postbox


async def test_a_new_password_takes_the_place_of_the_old_and_ends_other_sessions(
    db: Database, identity: Identity, credentials: Credentials
) -> None:
    mine, other = await signed_up(identity), await signed_in(identity)
    account_id = mine.account.id
    for current, error in ((None, Required), ("wrong password", InvalidCredentials)):
        with pytest.raises(error):
            await identity.change(account_id, mine.session_id, Changes(password="another password"), current, now())
    with pytest.raises(WeakPassword):
        await identity.change(account_id, mine.session_id, Changes(password="short"), PASSWORD, now())
    await identity.change(account_id, mine.session_id, Changes(password="another password"), PASSWORD, now())
    assert await came_in(db, credentials, mine)
    with pytest.raises(SessionEnded):
        await came_in(db, credentials, other)
    with pytest.raises(InvalidCredentials):
        await signed_in(identity)
    await signed_in(identity, password="another password")


async def test_a_reset_link_sets_a_password_once_and_ends_every_session(
    db: Database, confirming: Identity, identity: Identity, credentials: Credentials, postbox: Postbox
) -> None:
    granted = await signed_up(identity)
    await confirming.request_password_reset("nobody@example.com", now())
    assert postbox.letters == []
    await confirming.request_password_reset(EMAIL, now())
    token = await postbox.token()
    with pytest.raises(InvalidCredentials):
        await confirming.confirm_email(token, device=PHONE, now=now())  # of another purpose
    account: Account = await confirming.reset_password(token, "a newer password", now())
    assert account.id == granted.account.id
    with pytest.raises(SessionEnded):
        await came_in(db, credentials, granted)
    await signed_in(identity, password="a newer password")
    with pytest.raises(InvalidCredentials):
        await confirming.reset_password(token, "another password", now())


@ours
async def test_a_link_that_is_too_old_does_nothing(confirming: Identity, identity: Identity, postbox: Postbox) -> None:
    await signed_up(identity)
    await confirming.request_password_reset(EMAIL, now())
    token = await postbox.token()
    with pytest.raises(InvalidCredentials):
        await confirming.reset_password(token, "a newer password", now() + timedelta(minutes=31))
    for text in ("", "x" * 43, "é", "x" * 100_000):
        with pytest.raises(InvalidCredentials):
            await confirming.reset_password(text, "a newer password", now())
    await signed_in(identity)


@ours
async def test_a_session_of_a_reset_link_sets_a_password_once_without_the_old_one(
    confirming: Identity, identity: Identity, postbox: Postbox
) -> None:
    account_id = (await signed_up(identity)).account.id
    await confirming.request_password_reset(EMAIL, now())
    granted = await confirming.redeem_reset(await postbox.token(), device=PHONE, now=now())
    late = now() + timedelta(minutes=31)
    with pytest.raises(Required):
        await confirming.change(account_id, granted.session_id, Changes(password="a newer password"), None, late)
    await confirming.change(account_id, granted.session_id, Changes(password="a newer password"), None, now())
    with pytest.raises(Required):
        await confirming.change(account_id, granted.session_id, Changes(password="the newest password"), None, now())
    await signed_in(identity, password="a newer password")


@ours
@pytest.mark.parametrize("way", ["sign in", "change"])
async def test_who_shows_the_old_password_while_it_is_changed_comes_too_late(
    identity: Identity, monkeypatch: pytest.MonkeyPatch, raw: Any, way: str
) -> None:
    granted = await signed_up(identity)
    looked_at = Passwords.is_right

    async def right_and_then_changed(self: Passwords, password: str, stored: str | None) -> bool:
        is_right = await looked_at(self, password, stored)
        monkeypatch.undo()
        await identity.change(granted.account.id, None, Changes(password="another horse"), PASSWORD, now())
        return is_right

    monkeypatch.setattr(Passwords, "is_right", right_and_then_changed)

    async def show_it() -> None:
        if way == "sign in":
            await signed_in(identity)
        else:
            await identity.change(
                granted.account.id, granted.session_id, Changes(password="third horse"), PASSWORD, now()
            )

    with pytest.raises(InvalidCredentials):
        await show_it()
    assert await raw("SELECT count(*) FROM auth_session") == [(0,)]
    await signed_in(identity, password="another horse")


@ours
async def test_a_link_that_somebody_made_up_costs_no_hashing(
    confirming: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_self: Passwords, _password: str) -> str:
        raise AssertionError

    monkeypatch.setattr(Passwords, "hash", never)
    with pytest.raises(InvalidCredentials):
        await confirming.reset_password("made-up", "another horse", now())
