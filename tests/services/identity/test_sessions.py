"""Sessions: how long they last, what a refresh token is good for, and who ends them."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from db.session import Database
from services.authentication import Credentials
from services.errors import (
    Forbidden,
    RefreshTokenSpent,
    RefreshTokenUnknown,
    SessionEnded,
    Unauthenticated,
)
from services.identity.port import Identity, SignOutScope
from services.sealing import Box
from services.signing import SigningKeys
from services.tokens import Tokens
from tests.services.identity.adapters import ISSUER, SECRET, ours
from tests.services.identity.person import came_in, now, refreshed, signed_in, signed_up


async def test_security_20_a_refresh_gives_new_tokens_of_the_same_session(
    db: Database, identity: Identity, credentials: Credentials
) -> None:
    granted = await signed_up(identity)
    newer = await refreshed(identity, granted.tokens.refresh_token, now())
    assert newer.session_id == granted.session_id
    assert newer.tokens.refresh_token != granted.tokens.refresh_token
    assert newer.user_metadata == {"name": "Ann"}
    assert (await came_in(db, credentials, newer)).session_id == granted.session_id


@ours
async def test_security_20_the_parent_gives_the_token_in_force_for_thirty_seconds(identity: Identity) -> None:
    parent = (await signed_up(identity)).tokens.refresh_token
    child = (await refreshed(identity, parent, now())).tokens.refresh_token
    for seconds in (0, 1, 29):
        again = await refreshed(identity, parent, now() + timedelta(seconds=seconds))
        assert again.tokens.refresh_token == child
    await refreshed(identity, child, now())


@ours
async def test_security_20_the_parent_after_thirty_seconds_ends_the_session(
    db: Database, identity: Identity, credentials: Credentials
) -> None:
    granted = await signed_up(identity)
    parent = granted.tokens.refresh_token
    child = (await refreshed(identity, parent, now())).tokens.refresh_token
    with pytest.raises(RefreshTokenSpent):
        await refreshed(identity, parent, now() + timedelta(seconds=31))
    with pytest.raises(RefreshTokenUnknown):
        await refreshed(identity, child, now() + timedelta(seconds=32))
    with pytest.raises(SessionEnded):
        await came_in(db, credentials, granted)


async def test_security_20_a_grandparent_ends_the_session_at_once_and_no_other(
    db: Database, identity: Identity, credentials: Credentials
) -> None:
    granted = await signed_up(identity)
    other = await signed_in(identity)
    parent = (await refreshed(identity, granted.tokens.refresh_token, now())).tokens.refresh_token
    child = (await refreshed(identity, parent, now())).tokens.refresh_token
    with pytest.raises(RefreshTokenSpent):
        await refreshed(identity, granted.tokens.refresh_token, now())
    for dead in (granted.tokens.refresh_token, parent, child):
        with pytest.raises(RefreshTokenUnknown):
            await refreshed(identity, dead, now())
    assert await came_in(db, credentials, other)


async def test_security_20_twenty_refreshes_at_once_agree_on_one_child(identity: Identity) -> None:
    parent = (await signed_up(identity)).tokens.refresh_token
    children = await asyncio.gather(*(refreshed(identity, parent, now()) for _ in range(20)))
    assert len({child.tokens.refresh_token for child in children}) == 1
    await refreshed(identity, children[0].tokens.refresh_token, now())


@pytest.mark.parametrize("token", ["", "x", "x" * 43, "é" * 43, "\0", "x" * 100_000])
async def test_an_unknown_refresh_token_is_refused(identity: Identity, token: str) -> None:
    with pytest.raises(RefreshTokenUnknown):
        await refreshed(identity, token, now())


@ours
async def test_a_session_ends_when_it_is_idle_for_long_and_after_ninety_days(identity: Identity) -> None:
    began = now()
    granted = await signed_up(identity, at=began)
    with pytest.raises(RefreshTokenUnknown):
        await refreshed(identity, granted.tokens.refresh_token, began + timedelta(days=14, seconds=1))
    token = granted.tokens.refresh_token
    for day in (13, 26, 39, 52, 65, 78, 89):
        token = (await refreshed(identity, token, began + timedelta(days=day))).tokens.refresh_token
    last = await refreshed(identity, token, began + timedelta(days=89, hours=23, minutes=30))
    assert last.tokens.access_token_expires_at == began + timedelta(days=90)
    with pytest.raises(RefreshTokenUnknown):
        await refreshed(identity, last.tokens.refresh_token, began + timedelta(days=90))


async def test_security_19_a_signed_out_session_is_refused_at_once_and_others_go_on(
    db: Database, identity: Identity, credentials: Credentials
) -> None:
    first, second, third = await signed_up(identity), await signed_in(identity), await signed_in(identity)
    account_id = first.account.id
    assert await identity.sign_out(account_id, first.session_id, SignOutScope.LOCAL) == 1
    with pytest.raises(SessionEnded):
        await came_in(db, credentials, first)
    with pytest.raises(RefreshTokenUnknown):
        await refreshed(identity, first.tokens.refresh_token, now())
    assert await identity.sign_out(account_id, second.session_id, SignOutScope.OTHERS) == 1
    assert await came_in(db, credentials, second)
    with pytest.raises(SessionEnded):
        await came_in(db, credentials, third)
    assert await identity.sign_out(account_id, second.session_id, SignOutScope.GLOBAL) == 1
    with pytest.raises(SessionEnded):
        await came_in(db, credentials, second)


async def test_nobody_ends_the_session_of_another(db: Database, identity: Identity, credentials: Credentials) -> None:
    mine, theirs = await signed_up(identity), await signed_up(identity, "bob@example.com")
    assert await identity.sign_out(mine.account.id, theirs.session_id, SignOutScope.LOCAL) == 0
    assert await came_in(db, credentials, theirs)


async def test_a_suspended_account_is_out_at_once(
    db: Database, identity: Identity, credentials: Credentials, raw: Any
) -> None:
    granted = await signed_up(identity)
    await raw("UPDATE account SET suspended_at = now() RETURNING 1")
    with pytest.raises(Forbidden):
        await came_in(db, credentials, granted)


@ours
async def test_every_process_signs_with_the_same_key_and_reads_the_others(db: Database, identity: Identity) -> None:
    granted = await signed_up(identity)
    other = Credentials(Tokens(None, ISSUER, SigningKeys(db, Box(SECRET))), SECRET)
    assert (await came_in(db, other, granted)).account_id == granted.account.id
    strange = Credentials(Tokens(None, ISSUER, SigningKeys(db, Box(SECRET + "x"))), SECRET)
    with pytest.raises(Unauthenticated):
        await came_in(db, strange, granted)
