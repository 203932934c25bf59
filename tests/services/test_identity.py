"""The identity port, and what holds for every adapter behind it; `identity` is the one that is tried."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from db.models import Account
from db.session import Database
from services import authentication
from services.authentication import Credentials
from services.device import Device
from services.errors import (
    EmailUnconfirmed,
    Forbidden,
    Invalid,
    InvalidCredentials,
    PasswordTooLong,
    RefreshTokenSpent,
    RefreshTokenUnknown,
    Required,
    SessionEnded,
    Suspended,
    Taken,
    Unauthenticated,
    WeakPassword,
)
from services.identity import supabase
from services.identity.gotrue import GoTrue
from services.identity.local import LocalIdentity
from services.identity.passwords import Passwords
from services.identity.port import Grant, Identity, SignOutScope
from services.identity.supabase import SupabaseIdentity
from services.jwks import KeySet
from services.mail import Letter, LogMailer
from services.rates import Rates
from services.sealing import Box
from services.signing import SigningKeys
from services.throttle import Throttle
from services.tokens import Tokens
from tests.conftest import empty
from tests.services import provider

SECRET = "the-secret-of-the-identity-tests-0123456789"
ISSUER = "http://service.test/auth/v1"
EMAIL, PASSWORD = "ann@example.com", "correct horse battery"
PHONE = Device("Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0", "192.0.2.7")


class Postbox:
    """A mail server that keeps what it is given."""

    is_real = True

    def __init__(self) -> None:
        self.letters: list[Letter] = []

    async def send(self, letter: Letter) -> None:
        """Keep it."""
        self.letters.append(letter)

    async def both(self) -> list[Letter]:
        """Two letters, once they have come."""
        async with asyncio.timeout(5):
            while len(self.letters) < 2:
                await asyncio.sleep(0.01)
        return self.letters

    async def token(self) -> str:
        """The token of the newest link, once it has come."""
        async with asyncio.timeout(5):
            while not self.letters:
                await asyncio.sleep(0.01)
        link = self.letters.pop().link
        assert link is not None
        return link.partition("token=")[2]


@pytest.fixture
def postbox() -> Postbox:
    return Postbox()


@dataclass(frozen=True)
class Adapters:
    """One adapter twice, without and with mail, and what reads its tokens."""

    plain: Identity
    confirming: Identity
    credentials: Credentials


@asynccontextmanager
async def locally(db: Database, postbox: Postbox) -> AsyncIterator[Adapters]:
    keys = SigningKeys(db, Box(SECRET))
    tokens = Tokens(None, ISSUER, keys)
    made = [
        LocalIdentity(db, tokens, keys, mailer, secret=SECRET, public_url="http://service.test")
        for mailer in (LogMailer(is_link_shown=False), postbox)
    ]
    yield Adapters(made[0], made[1], Credentials(tokens, SECRET))
    for one in made:
        await one.aclose()


@asynccontextmanager
async def at_supabase(db: Database, there: Database, postbox: Postbox) -> AsyncIterator[Adapters]:
    """The adapter against a project with a database of its own, which the service never sees."""
    async with AsyncExitStack() as opened:
        opened.push_async_callback(empty, there)
        made = []
        for mailer in (LogMailer(is_link_shown=False), postbox):
            project = await opened.enter_async_context(provider.serving(there, mailer))
            published = KeySet(f"{project}/auth/v1/.well-known/jwks.json")
            opened.push_async_callback(published.aclose)
            tokens = Tokens(None, provider.ISSUER, published, is_own=False)
            one = SupabaseIdentity(db, tokens, GoTrue(project, "publishable"), Throttle(Rates(), SECRET))
            opened.push_async_callback(one.aclose)
            made.append((one, Credentials(tokens, SECRET, one)))
        yield Adapters(made[0][0], made[1][0], made[0][1])


@pytest.fixture(params=["local", "supabase"])
async def adapters(
    request: pytest.FixtureRequest,
    db: Database,
    provider_db: Database,
    postbox: Postbox,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Adapters]:
    """What every test of this file is run with, unless it is for `ours` alone."""
    monkeypatch.setattr(supabase, "CHECK_SECONDS", 0.0)
    opening = locally(db, postbox) if request.param == "local" else at_supabase(db, provider_db, postbox)
    async with opening as made:
        yield made


ours = pytest.mark.parametrize("adapters", ["local"], indirect=True)
"""A test that looks into our own tables, or asks at another time than now."""


@pytest.fixture
def identity(adapters: Adapters) -> Identity:
    """Without mail: tokens at once."""
    return adapters.plain


@pytest.fixture
def confirming(adapters: Adapters) -> Identity:
    """With mail: addresses are confirmed."""
    return adapters.confirming


@pytest.fixture
def credentials(adapters: Adapters) -> Credentials:
    return adapters.credentials


def now() -> datetime:
    return datetime.now(UTC)


async def signed_up(identity: Identity, email: str = EMAIL, at: datetime | None = None) -> Grant:
    granted = await identity.sign_up(email, PASSWORD, user_metadata={"name": "Ann"}, device=PHONE, now=at or now())
    assert granted is not None
    return granted


async def signed_in(identity: Identity, email: str = EMAIL, password: str = PASSWORD) -> Grant:
    return await identity.sign_in(email, password, device=PHONE, now=now())


async def came_in(db: Database, credentials: Credentials, granted: Grant) -> Any:
    header = f"Bearer {granted.tokens.access_token}"
    return await authentication.authenticate(db, credentials, authorization=header)


async def test_an_address_is_changed_by_who_knows_the_password(identity: Identity) -> None:
    granted = await signed_up(identity)
    for current, expected in ((None, Required), ("wrong horse", InvalidCredentials)):
        with pytest.raises(expected):
            await identity.change_email(granted.account.id, granted.session_id, "ann.new@example.com", current, now())
        with pytest.raises(expected):
            await identity.prove(granted.account.id, current, now())
    await identity.prove(granted.account.id, PASSWORD, now())
    changed = await identity.change_email(
        granted.account.id, granted.session_id, "ann.new@example.com", PASSWORD, now()
    )
    assert (changed.id, changed.email) == (granted.account.id, "ann.new@example.com")
    assert (await signed_in(identity, "ann.new@example.com")).account.id == granted.account.id
    with pytest.raises(InvalidCredentials):
        await signed_in(identity)


async def test_with_mail_a_new_address_counts_once_its_link_is_used(confirming: Identity, postbox: Postbox) -> None:
    assert await confirming.sign_up(EMAIL, PASSWORD, user_metadata={}, device=PHONE, now=now()) is None
    granted = await confirming.confirm_email(await postbox.token(), device=PHONE, now=now())
    new = "ann.new@example.com"
    assert (await confirming.change_email(granted.account.id, granted.session_id, new, PASSWORD, now())).email == EMAIL
    postbox.letters = [letter for letter in await postbox.both() if letter.to == new]
    changed = await confirming.confirm_email(await postbox.token(), device=PHONE, now=now())
    assert (changed.account.id, changed.account.email) == (granted.account.id, new)


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


async def refreshed(identity: Identity, token: str, at: datetime) -> Grant:
    return await identity.refresh(token, device=Device("other", "192.0.2.8"), now=at)


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


async def test_a_new_password_takes_the_place_of_the_old_and_ends_other_sessions(
    db: Database, identity: Identity, credentials: Credentials
) -> None:
    mine, other = await signed_up(identity), await signed_in(identity)
    account_id = mine.account.id
    for current, error in ((None, Required), ("wrong password", InvalidCredentials)):
        with pytest.raises(error):
            await identity.change_password(account_id, mine.session_id, current, "another password", now())
    with pytest.raises(WeakPassword):
        await identity.change_password(account_id, mine.session_id, PASSWORD, "short", now())
    await identity.change_password(account_id, mine.session_id, PASSWORD, "another password", now())
    assert await came_in(db, credentials, mine)
    with pytest.raises(SessionEnded):
        await came_in(db, credentials, other)
    with pytest.raises(InvalidCredentials):
        await signed_in(identity)
    await signed_in(identity, password="another password")


async def test_what_a_person_says_of_itself_is_changed_key_by_key(identity: Identity) -> None:
    account_id = (await signed_up(identity)).account.id
    assert await identity.set_user_metadata(account_id, {"tz": "UTC"}, now()) == {"name": "Ann", "tz": "UTC"}
    assert await identity.user_metadata(account_id) == {"name": "Ann", "tz": "UTC"}
    for bad in ({"x": "y" * 17_000}, {"x": "\0"}):
        with pytest.raises(Invalid):
            await identity.set_user_metadata(account_id, bad, now())


async def test_with_confirmation_a_taken_and_a_new_address_are_answered_alike(
    confirming: Identity, postbox: Postbox
) -> None:
    for _ in range(2):
        answer = await confirming.sign_up(EMAIL, PASSWORD, user_metadata={}, device=PHONE, now=now())
        assert answer is None
    async with asyncio.timeout(5):
        while len(postbox.letters) < 2:
            await asyncio.sleep(0.01)
    links = [letter.link is not None for letter in postbox.letters]
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
async def test_every_process_signs_with_the_same_key_and_reads_the_others(db: Database, identity: Identity) -> None:
    granted = await signed_up(identity)
    other = Credentials(Tokens(None, ISSUER, SigningKeys(db, Box(SECRET))), SECRET)
    assert (await came_in(db, other, granted)).account_id == granted.account.id
    strange = Credentials(Tokens(None, ISSUER, SigningKeys(db, Box(SECRET + "x"))), SECRET)
    with pytest.raises(Unauthenticated):
        await came_in(db, strange, granted)


@ours
async def test_a_session_of_a_reset_link_sets_a_password_once_without_the_old_one(
    confirming: Identity, identity: Identity, postbox: Postbox
) -> None:
    account_id = (await signed_up(identity)).account.id
    await confirming.request_password_reset(EMAIL, now())
    granted = await confirming.redeem_reset(await postbox.token(), device=PHONE, now=now())
    late = now() + timedelta(minutes=31)
    with pytest.raises(Required):
        await confirming.change_password(account_id, granted.session_id, None, "a newer password", late)
    await confirming.change_password(account_id, granted.session_id, None, "a newer password", now())
    with pytest.raises(Required):
        await confirming.change_password(account_id, granted.session_id, None, "the newest password", now())
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
        await identity.change_password(granted.account.id, None, PASSWORD, "another horse", now())
        return is_right

    monkeypatch.setattr(Passwords, "is_right", right_and_then_changed)

    async def show_it() -> None:
        if way == "sign in":
            await signed_in(identity)
        else:
            await identity.change_password(granted.account.id, granted.session_id, PASSWORD, "third horse", now())

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
