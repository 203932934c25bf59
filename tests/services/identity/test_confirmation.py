"""Addresses that are confirmed by a link, and changed."""

from datetime import timedelta

import pytest

from db.session import Database
from services.authentication import Credentials
from services.errors import (
    EmailUnconfirmed,
    InvalidCredentials,
    Required,
)
from services.identity.port import Changes, Identity
from tests.services.identity.adapters import ours
from tests.services.identity.person import EMAIL, PASSWORD, PHONE, came_in, now, signed_in, signed_up
from tests.services.postbox import Postbox


async def test_an_address_is_changed_by_who_knows_the_password(identity: Identity) -> None:
    granted = await signed_up(identity)
    for current, expected in ((None, Required), ("wrong horse", InvalidCredentials)):
        with pytest.raises(expected):
            await identity.change(
                granted.account.id, granted.session_id, Changes(email="ann.new@example.com"), current, now()
            )
        with pytest.raises(expected):
            await identity.prove(granted.account.id, current, now())
    await identity.prove(granted.account.id, PASSWORD, now())
    changed = await identity.change(
        granted.account.id, granted.session_id, Changes(email="ann.new@example.com"), PASSWORD, now()
    )
    assert (changed.id, changed.email) == (granted.account.id, "ann.new@example.com")
    assert (await signed_in(identity, "ann.new@example.com")).account.id == granted.account.id
    with pytest.raises(InvalidCredentials):
        await signed_in(identity)


async def test_with_mail_a_new_address_counts_once_its_link_is_used(confirming: Identity, postbox: Postbox) -> None:
    assert await confirming.sign_up(EMAIL, PASSWORD, user_metadata={}, device=PHONE, now=now()) is None
    granted = await confirming.confirm_email(await postbox.token(), device=PHONE, now=now())
    new = "ann.new@example.com"
    assert (
        await confirming.change(granted.account.id, granted.session_id, Changes(email=new), PASSWORD, now())
    ).email == EMAIL
    postbox.letters = [letter for letter in await postbox.received(2) if letter.to == new]
    changed = await confirming.confirm_email(await postbox.token(), device=PHONE, now=now())
    assert (changed.account.id, changed.account.email) == (granted.account.id, new)


async def test_with_confirmation_a_taken_and_a_new_address_are_answered_alike(
    confirming: Identity, postbox: Postbox
) -> None:
    for _ in range(2):
        answer = await confirming.sign_up(EMAIL, PASSWORD, user_metadata={}, device=PHONE, now=now())
        assert answer is None
    links = [letter.link is not None for letter in await postbox.received(2)]
    assert sorted(links) == [False, True]  # a link to the new one, a word to the owner of the taken one


async def test_an_unconfirmed_address_signs_in_only_after_its_link(
    db: Database, confirming: Identity, credentials: Credentials, postbox: Postbox
) -> None:
    await confirming.sign_up(EMAIL, PASSWORD, user_metadata={}, device=PHONE, now=now())
    token = await postbox.token()
    with pytest.raises(InvalidCredentials):
        await signed_in(confirming, password="wrong password")
    with pytest.raises(EmailUnconfirmed):
        await signed_in(confirming)
    granted = await confirming.confirm_email(token, device=PHONE, now=now())
    assert await came_in(db, credentials, granted)
    await signed_in(confirming)
    with pytest.raises(InvalidCredentials):
        await confirming.confirm_email(token, device=PHONE, now=now())


@ours
async def test_a_newer_link_replaces_the_one_before_and_comes_at_most_once_a_minute(
    confirming: Identity, postbox: Postbox
) -> None:
    await confirming.sign_up(EMAIL, PASSWORD, user_metadata={}, device=PHONE, now=now())
    first = await postbox.token()
    await confirming.request_confirmation(EMAIL, now())
    await confirming.request_confirmation("nobody@example.com", now())
    assert postbox.letters == []
    await confirming.request_confirmation(EMAIL, now() + timedelta(seconds=61))
    second = await postbox.token()
    with pytest.raises(InvalidCredentials):
        await confirming.confirm_email(first, device=PHONE, now=now())
    await confirming.confirm_email(second, device=PHONE, now=now())
