"""Who guesses is held back; whoever is right comes in, and nobody learns who has an account."""

import asyncio
import contextlib
import itertools
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import pytest

from db.session import Database
from services import throttle
from services.device import HERE, Device
from services.errors import InvalidCredentials, LeakedPassword, RateLimited, Taken, TooManyLetters, WeakPassword
from services.identity import passwords
from services.identity.leaked import is_leaked
from services.identity.local import LocalIdentity
from services.identity.port import Changes, Grant
from services.mail import Letter, LogMailer
from services.rates import Rates
from services.sealing import Box
from services.signing import SigningKeys
from services.throttle import Throttle
from services.tokens import Tokens
from tests.conftest import Raw, Statements

SECRET = "the-secret-of-the-throttle-tests-0123456789"
EMAIL, PASSWORD = "ann@example.com", "correct horse battery"
ATTACKER, HOME, PHONE = "198.51.100.66", "192.0.2.7", "203.0.113.9"


@pytest.fixture
async def identity(db: Database) -> AsyncIterator[LocalIdentity]:
    keys = SigningKeys(db, Box(SECRET))
    tokens = Tokens(None, "http://service.test/auth/v1", keys)
    made = LocalIdentity(
        db,
        tokens,
        keys,
        LogMailer(is_link_shown=False),
        secret=SECRET,
        public_url="http://service.test",
        throttle=Throttle(Rates(), SECRET, sign_ups_per_hour=20),
    )
    yield made
    await made.aclose()


@contextlib.contextmanager
def coming_from(address: str) -> Iterator[None]:
    token = HERE.set(Device(None, address))
    yield
    HERE.reset(token)


async def sign_up(identity: LocalIdentity, email: str = EMAIL, password: str = PASSWORD) -> Grant:
    granted = await identity.sign_up(email, password, user_metadata={}, device=HERE.get(), now=datetime.now(UTC))
    assert granted is not None
    return granted


async def sign_in(identity: LocalIdentity, email: str = EMAIL, password: str = PASSWORD) -> Grant:
    return await identity.sign_in(email, password, device=HERE.get(), now=datetime.now(UTC))


async def outcome(identity: LocalIdentity, email: str, password: str) -> str:
    try:
        await sign_in(identity, email, password)
    except (InvalidCredentials, RateLimited) as error:
        return str(error.code)
    return "in"


async def test_security_30_a_thousand_tries_are_throttled_and_the_owner_still_gets_in(identity: LocalIdentity) -> None:
    with coming_from(HOME):
        await sign_up(identity)
    with coming_from(ATTACKER):
        guesses = (outcome(identity, EMAIL, f"guess number {number}") for number in range(1000))
        found = await asyncio.gather(*guesses)
        assert found.count("INVALID_CREDENTIALS") <= throttle._PAIR_TRIES + 1
        assert found.count("RATE_LIMITED") >= 1000 - throttle._PAIR_TRIES - 1
        assert await outcome(identity, EMAIL, PASSWORD) == "RATE_LIMITED"  # and is not told that it is right
    for address in (HOME, PHONE):
        with coming_from(address):
            assert await outcome(identity, EMAIL, PASSWORD) == "in"


async def test_security_30_a_thousand_accounts_tried_from_one_network_are_throttled(identity: LocalIdentity) -> None:
    with coming_from(ATTACKER):
        found = [await outcome(identity, f"user{number}@example.com", PASSWORD) for number in range(60)]
    assert found.count("INVALID_CREDENTIALS") == throttle._NETWORK_TRIES
    assert found[-1] == "RATE_LIMITED"


async def test_security_30_a_botnet_is_slowed_and_a_known_network_is_not(identity: LocalIdentity) -> None:
    with coming_from(HOME):
        await sign_up(identity)
        await sign_in(identity)
    found = []
    for number in range(throttle._ACCOUNT_TRIES + 10):
        with coming_from(f"198.51.100.{number}"):
            found.append(await outcome(identity, EMAIL, f"guess number {number}"))
    assert found.count("INVALID_CREDENTIALS") <= throttle._ACCOUNT_TRIES + 2
    with coming_from(HOME):
        assert await outcome(identity, EMAIL, PASSWORD) == "in"
    with coming_from("198.51.100.250"), pytest.raises(RateLimited) as refused:
        await sign_in(identity)
    assert 0 < refused.value.retry_after_seconds <= throttle._ACCOUNT_WAIT_MAX


async def test_security_30_known_and_unknown_addresses_are_held_back_alike(identity: LocalIdentity) -> None:
    with coming_from(HOME):
        await sign_up(identity)
    answers = []
    for address, email in ((ATTACKER, EMAIL), (PHONE, "nobody@example.com")):
        with coming_from(address):
            answers.append([await outcome(identity, email, "wrong password") for _ in range(8)])
    assert answers[0] == answers[1]


async def test_security_30_known_and_unknown_addresses_cost_the_same_work(identity: LocalIdentity) -> None:
    with coming_from(HOME):
        await sign_up(identity)
        await outcome(identity, "warm@example.com", "wrong password")
    seconds: dict[str, list[float]] = {EMAIL: [], "nobody@example.com": []}
    for number, email in itertools.product(range(15), seconds):
        with coming_from(f"198.51.100.{number}"):
            began = time.process_time()  # of this process alone: what else the machine does says nothing here
            assert await outcome(identity, email, "wrong password") == "INVALID_CREDENTIALS"
            seconds[email].append(time.process_time() - began)
    known, unknown = (statistics.median(values) for values in seconds.values())
    assert 0.85 < unknown / known < 1.15


async def test_each_wait_is_twice_the_one_before(identity: LocalIdentity) -> None:
    counters = Rates()
    held = Throttle(counters, SECRET)
    waits = []
    with coming_from(ATTACKER):
        for _ in range(throttle._PAIR_TRIES):
            with contextlib.suppress(InvalidCredentials):
                async with held.attempt(EMAIL):
                    raise InvalidCredentials
        for _ in range(4):
            with contextlib.suppress(InvalidCredentials):
                async with held.attempt(EMAIL):
                    raise InvalidCredentials
            with pytest.raises(RateLimited) as refused:
                async with held.attempt(EMAIL):
                    pytest.fail("it was let in")
            waits.append(refused.value.retry_after_seconds)
            (waiting,) = [key for key in counters._memory._counts if key.startswith("tries-wait:")]
            await counters._memory.clear(waiting)
    assert waits == [2, 4, 8, 16]


async def test_who_is_right_in_the_end_starts_anew(identity: LocalIdentity) -> None:
    with coming_from(HOME):
        await sign_up(identity)
        for _ in range(4):
            found = [await outcome(identity, EMAIL, "wrong password") for _ in range(throttle._PAIR_TRIES - 1)]
            assert set(found) == {"INVALID_CREDENTIALS"}
            assert await outcome(identity, EMAIL, PASSWORD) == "in"


async def test_a_stolen_session_does_not_guess_the_password(identity: LocalIdentity) -> None:
    with coming_from(HOME):
        granted = await sign_up(identity)
    with coming_from(ATTACKER):
        found = []
        for number in range(10):
            try:
                await identity.change(
                    granted.account.id,
                    granted.session_id,
                    Changes(password="another one 1"),
                    f"guess number {number}",
                    datetime.now(UTC),
                )
            except (InvalidCredentials, RateLimited) as error:
                found.append(error.code)
    assert found.count("INVALID_CREDENTIALS") <= throttle._PAIR_TRIES + 1
    assert found[-1] == "RATE_LIMITED"


async def test_sign_ups_of_one_network_are_bounded(db: Database, identity: LocalIdentity) -> None:
    identity._throttle = Throttle(Rates(), SECRET, sign_ups_per_hour=2)
    with coming_from(ATTACKER):
        await sign_up(identity, "a@example.com")
        with pytest.raises(Taken):
            await sign_up(identity, "a@example.com")
        with pytest.raises(RateLimited):
            await sign_up(identity, "b@example.com")
    with coming_from(HOME):
        await sign_up(identity, "b@example.com")


async def test_letters_to_one_address_are_bounded_whether_or_not_it_has_an_account(identity: LocalIdentity) -> None:
    with coming_from(HOME):
        await sign_up(identity)
    for email in (EMAIL, "nobody@example.com"):
        for ask in (identity.request_password_reset, identity.request_confirmation) * 2 + (
            identity.request_password_reset,
        ):
            await ask(email, datetime.now(UTC))
        with pytest.raises(TooManyLetters):
            await identity.request_password_reset(f" {email.upper()}", datetime.now(UTC))


async def test_no_address_stands_in_the_counters(identity: LocalIdentity) -> None:
    counters = Rates()
    identity._throttle = Throttle(counters, SECRET)
    await outcome(identity, EMAIL, "wrong password")
    await identity.request_password_reset(EMAIL, datetime.now(UTC))
    assert counters._memory._counts
    assert [key for key in counters._memory._counts if "ann" in key or "example" in key] == []


@pytest.mark.parametrize("password", ["password123", "PassWord123", "qwertyuiop", "1234567890", "iloveyou"])
async def test_a_leaked_password_is_refused_in_any_case_of_letters(identity: LocalIdentity, password: str) -> None:
    assert is_leaked(password)
    with pytest.raises(LeakedPassword):
        await sign_up(identity, password=password)


def test_a_password_that_nobody_leaked_is_taken() -> None:
    for password in (PASSWORD, "x" * 128, "  spaces kept  ", "#" * 8):
        passwords.check(password, ())
    with pytest.raises(WeakPassword) as refused:
        passwords.check("1234567", ())
    assert not isinstance(refused.value, LeakedPassword)


def test_the_list_of_leaked_passwords_says_where_it_is_from(pytestconfig: pytest.Config) -> None:
    lines = (pytestconfig.rootpath / "services/data/leaked_passwords.txt").read_text().splitlines()
    head = [line for line in lines if line.startswith("#")]
    assert any("Source: " in line for line in head)
    assert any("Licence: MIT" in line for line in head)
    body = lines[len(head) :]
    assert 10_000 < len(body) < 50_000
    assert body == sorted({line.lower() for line in body})
    assert min(map(len, body)) == passwords.CHARACTERS_MIN


async def test_who_signs_up_with_anothers_address_again_and_again_does_not_fill_its_post_box(
    db: Database, identity: LocalIdentity
) -> None:
    class Postbox(LogMailer):
        is_real = True
        count = 0

        async def send(self, letter: Letter) -> None:
            self.count += 1

    with coming_from(HOME):
        await sign_up(identity)
    postbox, keys = Postbox(is_link_shown=False), SigningKeys(db, Box(SECRET))
    mailing = LocalIdentity(
        db, Tokens(None, "http://service.test", keys), keys, postbox, secret=SECRET, public_url="http://service.test"
    )
    for n in range(10):
        with coming_from(f"198.51.100.{n}"):
            assert (
                await mailing.sign_up(EMAIL, PASSWORD, user_metadata={}, device=HERE.get(), now=datetime.now(UTC))
                is None
            )
    await mailing.aclose()
    assert postbox.count == 5


@pytest.mark.parametrize("ask", ["request_password_reset", "request_confirmation"])
async def test_security_30_asking_for_a_letter_costs_the_same_with_and_without_an_account(
    identity: LocalIdentity, statements: Statements, raw: Raw, ask: str
) -> None:
    with coming_from(HOME):
        await sign_up(identity)
    await raw("UPDATE account SET email_confirmed_at = NULL RETURNING 1")
    spent = []
    for email in (EMAIL, "nobody@example.com"):
        with statements.counted() as seen:
            await getattr(identity, ask)(email, datetime.now(UTC))
        spent.append(len(seen))
        await identity.aclose()  # what goes on in the background ends first
    assert spent[0] == spent[1]
    assert await raw("SELECT count(*) FROM one_time_token") == [(1,)]
