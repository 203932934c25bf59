"""A new address: at once without mail; with mail, when the link that was sent to it is used."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from db.queries import identity as queries
from db.session import Database
from resolvers.context import Parts
from services.device import Device
from services.errors import Invalid, InvalidCredentials, Required, Taken, WrongState
from services.identity.local import LocalIdentity
from services.identity.port import Changes, Grant
from services.sealing import Box
from services.signing import SigningKeys
from tests import locks
from tests.conftest import SECRET, Raw
from tests.services.postbox import Postbox, token_of

OLD, NEW, PASSWORD = "old@example.com", "new@example.com", "correct horse battery"
HERE = Device()


@pytest.fixture
async def mailing(db: Database, parts: Parts, postbox: Postbox) -> AsyncIterator[LocalIdentity]:
    """The same identity with a mail server."""
    keys = SigningKeys(db, Box(SECRET))
    local = LocalIdentity(db, parts.credentials.tokens, keys, postbox, secret=SECRET, public_url="http://service.test")
    yield local
    await local.aclose()


@pytest.fixture
async def ann(parts: Parts) -> Grant:
    granted = await parts.identity.sign_up(OLD, PASSWORD, user_metadata={}, device=HERE, now=datetime.now(UTC))
    assert granted is not None
    return granted


async def signed_in(parts: Parts, email: str) -> Grant:
    return await parts.identity.sign_in(email, PASSWORD, device=HERE, now=datetime.now(UTC))


async def test_without_mail_the_address_changes_at_once(parts: Parts, ann: Grant) -> None:
    changed = await parts.identity.change(
        ann.account.id, None, Changes(email=" New@EXAMPLE.com "), PASSWORD, datetime.now(UTC)
    )
    assert (changed.email, changed.is_email_confirmed) == ("New@example.com", True)
    assert (await signed_in(parts, NEW)).account.id == ann.account.id
    with pytest.raises(InvalidCredentials):
        await signed_in(parts, OLD)


async def test_password_and_address_must_be_right(parts: Parts, ann: Grant) -> None:
    for new, current, expected in (
        (NEW, None, Required),
        (NEW, "wrong horse", InvalidCredentials),
        ("no address", PASSWORD, Invalid),
        (" ", PASSWORD, Required),
    ):
        with pytest.raises(expected):
            await parts.identity.change(ann.account.id, None, Changes(email=new), current, datetime.now(UTC))
    assert (await signed_in(parts, OLD)).account.email == OLD


async def test_without_mail_a_taken_address_is_told(parts: Parts, ann: Grant) -> None:
    await parts.identity.sign_up(NEW, PASSWORD, user_metadata={}, device=HERE, now=datetime.now(UTC))
    with pytest.raises(Taken):
        await parts.identity.change(ann.account.id, None, Changes(email=NEW), PASSWORD, datetime.now(UTC))


async def test_two_who_want_the_same_address_at_once_get_it_once(parts: Parts, ann: Grant) -> None:
    bob = await parts.identity.sign_up(
        "bob@example.com", PASSWORD, user_metadata={}, device=HERE, now=ann.account.created_at
    )
    assert bob is not None
    both = await asyncio.gather(
        *(
            parts.identity.change(g.account.id, None, Changes(email=NEW), PASSWORD, datetime.now(UTC))
            for g in (ann, bob)
        ),
        return_exceptions=True,
    )
    assert sorted(type(one).__name__ for one in both) == ["Account", "Taken"]


async def test_with_mail_it_counts_once_the_link_is_used_and_the_old_address_is_told(
    parts: Parts, mailing: LocalIdentity, postbox: Postbox, ann: Grant
) -> None:
    now = datetime.now(UTC)
    assert (await mailing.change(ann.account.id, None, Changes(email=NEW), PASSWORD, now)).email == OLD
    letters = await postbox.emptied(2)
    assert letters[OLD].link is None
    assert NEW not in letters[OLD].text
    assert (await signed_in(parts, OLD)).account.id == ann.account.id
    with pytest.raises(InvalidCredentials):
        await mailing.reset_password(token_of(letters[NEW]), "another horse", now)  # it is good for nothing else
    granted = await mailing.confirm_email(token_of(letters[NEW]), device=HERE, now=now)
    assert (granted.account.id, granted.account.email) == (ann.account.id, NEW)
    assert (await signed_in(parts, NEW)).account.id == ann.account.id
    with pytest.raises(InvalidCredentials):
        await mailing.confirm_email(token_of(letters[NEW]), device=HERE, now=now)


async def test_a_link_runs_out_and_a_newer_one_replaces_it(
    mailing: LocalIdentity, postbox: Postbox, ann: Grant
) -> None:
    now = datetime.now(UTC)
    await mailing.change(ann.account.id, None, Changes(email="first@example.com"), PASSWORD, now)
    first = token_of((await postbox.emptied(2))["first@example.com"])
    with pytest.raises(WrongState, match="wait"):
        await mailing.change(ann.account.id, None, Changes(email=NEW), PASSWORD, now + timedelta(seconds=30))
    later = now + timedelta(minutes=2)
    await mailing.change(ann.account.id, None, Changes(email=NEW), PASSWORD, later)
    second = token_of((await postbox.emptied(2))[NEW])
    for spent, moment in ((first, later), (second, later + timedelta(hours=25))):
        with pytest.raises(InvalidCredentials):
            await mailing.confirm_email(spent, device=HERE, now=moment)


async def test_with_mail_nobody_learns_that_an_address_is_taken(
    parts: Parts, mailing: LocalIdentity, postbox: Postbox, ann: Grant
) -> None:
    await parts.identity.sign_up(NEW, PASSWORD, user_metadata={}, device=HERE, now=datetime.now(UTC))
    assert (await mailing.change(ann.account.id, None, Changes(email=NEW), PASSWORD, datetime.now(UTC))).email == OLD
    letters = await postbox.emptied(2)
    assert letters[NEW].link is None
    assert letters[OLD].link is None


async def test_an_address_that_was_taken_meanwhile_is_not_taken_over(
    parts: Parts, mailing: LocalIdentity, postbox: Postbox, ann: Grant
) -> None:
    now = datetime.now(UTC)
    await mailing.change(ann.account.id, None, Changes(email=NEW), PASSWORD, now)
    link = token_of((await postbox.emptied(2))[NEW])
    await parts.identity.sign_up(NEW, PASSWORD, user_metadata={}, device=HERE, now=now)
    with pytest.raises(InvalidCredentials):
        await mailing.confirm_email(link, device=HERE, now=now)
    assert (await signed_in(parts, OLD)).account.id == ann.account.id


async def test_the_address_that_one_has_already_changes_nothing(
    mailing: LocalIdentity, postbox: Postbox, ann: Grant
) -> None:
    assert (
        await mailing.change(ann.account.id, None, Changes(email="OLD@example.com"), PASSWORD, datetime.now(UTC))
    ).email == OLD
    assert postbox.letters == []


@pytest.mark.parametrize("way", ["change", "reset"])
async def test_a_new_password_undoes_a_change_of_address_that_is_on_its_way(
    mailing: LocalIdentity, postbox: Postbox, ann: Grant, way: str
) -> None:
    now = datetime.now(UTC)
    await mailing.change(ann.account.id, ann.session_id, Changes(email="thief@example.com"), PASSWORD, now)
    link = token_of((await postbox.emptied(2))["thief@example.com"])
    if way == "change":
        await mailing.change(ann.account.id, ann.session_id, Changes(password="another horse"), PASSWORD, now)
    else:
        await mailing.request_password_reset(OLD, now)
        await mailing.reset_password(token_of((await postbox.emptied(1))[OLD]), "another horse", now)
    with pytest.raises(InvalidCredentials):
        await mailing.confirm_email(link, device=HERE, now=now)
    granted = await mailing.sign_in(OLD, "another horse", device=HERE, now=now)
    assert granted.account.id == ann.account.id


@pytest.mark.parametrize("is_by_mail", [False, True])
async def test_who_knows_the_old_password_does_not_get_past_a_change_of_it(
    parts: Parts, mailing: LocalIdentity, postbox: Postbox, ann: Grant, raw: Raw, is_by_mail: bool
) -> None:
    identity = mailing if is_by_mail else parts.identity
    async with parts.db.transaction() as session:
        await queries.set_password(session, ann.account.id, "the hash of another", datetime.now(UTC))
        await queries.forget_links(session, ann.account.id)
        changing = asyncio.create_task(
            identity.change(ann.account.id, None, Changes(email=NEW), PASSWORD, datetime.now(UTC))
        )
        await locks.waited_for(parts.db, session)
    with pytest.raises(InvalidCredentials, match="meanwhile"):
        await changing
    assert await raw("SELECT email FROM account WHERE id = :id", id=ann.account.id) == [(OLD,)]
    assert (await raw("SELECT 1 FROM one_time_token"), postbox.letters) == ([], [])


async def test_two_changes_of_a_persons_data_at_once_are_both_kept(parts: Parts, ann: Grant) -> None:
    now = datetime.now(UTC)
    async with parts.db.transaction() as session:
        await queries.set_metadata(session, ann.account.id, {"name": "Ann"}, now)
        changing = asyncio.create_task(
            parts.identity.change(ann.account.id, None, Changes(user_metadata={"tz": "UTC"}), None, now)
        )
        await locks.waited_for(parts.db, session)
    await changing
    assert await parts.identity.user_metadata(ann.account.id) == {"name": "Ann", "tz": "UTC"}
