"""Links that are sent by mail: a token of 256 bits that works once, and the letter around it."""

import asyncio
import secrets
from collections.abc import Coroutine, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog

from db.models import Account, OneTimeToken, TokenPurpose
from db.queries import identity as queries
from db.session import Database, Session
from services.errors import InvalidCredentials
from services.identity.sessions import hashed
from services.mail import Letter, Mailer

LIFETIMES = {
    TokenPurpose.CONFIRM_EMAIL: timedelta(hours=24),
    TokenPurpose.RESET_PASSWORD: timedelta(minutes=30),
    TokenPurpose.CHANGE_EMAIL: timedelta(hours=24),
}
PAUSE = timedelta(minutes=1)
"""An account is not sent the same letter again within this time."""
_PATHS = {
    TokenPurpose.CONFIRM_EMAIL: "confirm-email",
    TokenPurpose.RESET_PASSWORD: "reset-password",
    TokenPurpose.CHANGE_EMAIL: "confirm-email",
}
_TOKEN_CHARACTERS_MAX = 512
_CLOSING_SECONDS = 5.0

log = structlog.get_logger(__name__)

_SUBJECTS = {
    TokenPurpose.CONFIRM_EMAIL: "Confirm your address",
    TokenPurpose.RESET_PASSWORD: "Set a new password",
    TokenPurpose.CHANGE_EMAIL: "Confirm your new address",
}
_TEXTS = {
    TokenPurpose.CONFIRM_EMAIL: "Somebody, most likely you, signed up with this address. This link confirms it, within "
    "24 hours. If it was not you, leave it alone: nothing happens then.",
    TokenPurpose.RESET_PASSWORD: "Somebody, most likely you, asked to set a new password. This link does it, within "
    "30 minutes. If it was not you, leave it alone: your password stays as it is.",
    TokenPurpose.CHANGE_EMAIL: "Somebody, most likely you, wants to sign in with this address from now on. This link "
    "confirms it, within 24 hours. If it was not you, leave it alone: nothing happens then.",
}


class Links:
    """Makes and redeems the tokens of links.

    What is done for a letter alone is done in the background: how long it takes tells nobody who has an account.
    """

    def __init__(self, db: Database, mailer: Mailer, public_url: str) -> None:
        """`public_url` is where the web app is."""
        self._db, self._mailer, self._public_url = db, mailer, public_url
        self._sending: set[asyncio.Task[None]] = set()
        self._preparing = asyncio.Lock()

    def send(self, account: Account, purpose: TokenPurpose, now: datetime) -> None:
        """Send a link that replaces the one before, at most once a minute; all of it in the background."""
        self._begin(self._send(account, purpose, now))

    async def _send(self, account: Account, purpose: TokenPurpose, now: datetime) -> None:
        try:
            async with self._preparing, self._db.transaction() as session:  # in the order in which they were asked for
                letter = await self.prepare(session, account, purpose, account.email, now)
        except Exception:
            log.exception("a link could not be made", purpose=purpose.value)
            return
        if letter is not None:
            await self._mailer.send(letter)

    async def prepare(
        self, session: Session, account: Account, purpose: TokenPurpose, to: str, now: datetime
    ) -> Letter | None:
        """The letter with a link that replaces the one before; None within a minute of that."""
        last = await queries.last_sent_at(session, account.id, purpose)
        if last is not None and now - last < PAUSE:
            return None
        token = secrets.token_urlsafe(32)
        await queries.replace_one_time_token(
            session,
            OneTimeToken(
                token_hash=hashed(token),
                account_id=account.id,
                purpose=purpose,
                email=to,
                created_at=now,
                expires_at=now + LIFETIMES[purpose],
            ),
        )
        link = f"{self._public_url}/{_PATHS[purpose]}?token={token}"
        return Letter(to, _SUBJECTS[purpose], _TEXTS[purpose], link)

    def post(self, letter: Letter) -> None:
        """Send a letter in the background."""
        self._begin(self._mailer.send(letter))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="send a letter")
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def redeem(
        self, session: Session, token: str, purposes: Sequence[TokenPurpose], now: datetime
    ) -> OneTimeToken:
        """Take a token for one of these purposes; it does not work again.

        Raises:
            InvalidCredentials: unknown, spent or too old.

        """
        found = await queries.spend_one_time_token(session, _hash_of(token), purposes, now)
        if found is None:
            raise _spent()
        return found

    async def look(self, token: str, purpose: TokenPurpose, now: datetime) -> None:
        """Leave a token as it is, and refuse one that would not be taken: before work is done for whoever made it up.

        Raises:
            InvalidCredentials: unknown, spent or too old.

        """
        async with self._db.read() as session:
            if not await queries.is_one_time_token(session, _hash_of(token), purpose, now):
                raise _spent()

    async def aclose(self) -> None:
        """Wait for the letters on their way, for a few seconds."""
        if self._sending:
            await asyncio.wait(self._sending, timeout=_CLOSING_SECONDS)


def _hash_of(token: str) -> bytes:
    if len(token) > _TOKEN_CHARACTERS_MAX or not token.isascii():
        raise InvalidCredentials
    return hashed(token)


def _spent() -> InvalidCredentials:
    text = "This link was used before, or is too old. Ask for a new one."
    return InvalidCredentials(text, field=("input", "token"))
