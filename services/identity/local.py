"""Identity kept by the service itself: passwords, sessions and links in its own tables."""

import contextlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from db import ids
from db.models import Account, Credential, TokenPurpose, UserRole
from db.queries import accounts as account_queries
from db.queries import administration as administration_queries
from db.queries import identity as queries
from db.session import Database, Session
from services import accounts, addresses, documents, profiles
from services.device import Device
from services.errors import (
    EmailUnconfirmed,
    Invalid,
    InvalidCredentials,
    NotFound,
    Required,
    Suspended,
    Taken,
    TooManyLetters,
)
from services.identity import address_change, passwords
from services.identity.links import LIFETIMES, Links
from services.identity.passwords import Passwords
from services.identity.port import Changes, Grant, SignOutScope
from services.identity.sessions import Sessions
from services.mail import Letter, Mailer
from services.rates import Rates
from services.signing import SigningKeys
from services.throttle import Throttle
from services.tokens import Tokens

METADATA_BYTES_MAX = 16 * 1024
_EMAIL, _PASSWORD = ("input", "email"), ("input", "password")
_NEW, _CURRENT = ("input", "newPassword"), ("input", "currentPassword")
_NEW_EMAIL = ("input", "newEmail")


class LocalIdentity:
    """The port's adapter for our own tables. Nothing it answers tells who has an account, but sign-up without mail."""

    def __init__(
        self,
        db: Database,
        tokens: Tokens,
        keys: SigningKeys,
        mailer: Mailer,
        *,
        secret: str,
        public_url: str,
        welcome_credits: int = 0,
        throttle: Throttle | None = None,
    ) -> None:
        """`secret` is the application's; `public_url` is where links lead; every new account is given the credits."""
        self._throttle = throttle or Throttle(Rates(), secret)
        self._db, self._keys, self._mailer, self._welcome_credits = db, keys, mailer, welcome_credits
        self._sessions = Sessions(db, tokens, secret)
        self._links = Links(db, mailer, public_url)
        self._passwords = Passwords()

    are_accounts_kept_here = True

    @property
    def is_confirmation_on(self) -> bool:
        """On where mail reaches people."""
        return self._mailer.is_real

    async def key_set(self) -> Mapping[str, Any]:
        """The public keys."""
        await self._keys.prepare()
        return self._keys.document()

    async def sign_up(
        self, email: str, password: str, *, user_metadata: Mapping[str, Any], device: Device, now: datetime
    ) -> Grant | None:
        """Make an account."""
        address = normalised(email)
        passwords.check(password, _PASSWORD)
        metadata = checked_metadata(user_metadata)
        await self._throttle.sign_up()
        password_hash = await self._passwords.hash(password)  # before the look-up: both ways take as long
        account = Account(
            id=ids.new_uuid(),
            email=address,
            role=UserRole.MEMBER,
            email_confirmed_at=None if self.is_confirmation_on else now,
            created_at=now,
        )
        credential = Credential(
            account_id=account.id, password_hash=password_hash, user_metadata=metadata, updated_at=now
        )
        async with self._db.transaction() as session:
            is_new = await queries.add_account(session, account, credential)
            if is_new:
                await accounts.begin(
                    session,
                    account.id,
                    now,
                    welcome_credits=self._welcome_credits,
                    display_name=profiles.usable_name(metadata.get("name")),
                )
            begun = (
                await self._sessions.begin(session, account, device, now)
                if is_new and not self.is_confirmation_on
                else None
            )
        if begun is not None:
            return await self._sessions.grant(account, metadata, *begun, now)
        if not self.is_confirmation_on:
            raise Taken("This address has an account already: sign in.", field=_EMAIL)
        await self._welcome(account, now, is_new=is_new)
        return None

    async def _welcome(self, account: Account, now: datetime, *, is_new: bool) -> None:
        """Send the letter of a sign-up: a link to a new account, a word to the owner of an old one."""
        if is_new:
            self._links.send(account, TokenPurpose.CONFIRM_EMAIL, now)
            return
        text = "Somebody, most likely you, tried to sign up with this address, which has an account already: sign in."
        with contextlib.suppress(TooManyLetters):  # the answer stays the same, and nobody's post box is filled
            await self._throttle.letter(account.email)
            self._links.post(Letter(account.email, "You have an account already", text))

    async def sign_in(self, email: str, password: str, *, device: Device, now: datetime) -> Grant:
        """Begin a session."""
        address = addresses.parse(email)
        async with self._throttle.attempt(address.email if address is not None else email):
            async with self._db.read() as session:
                found = await queries.by_email(session, address.email) if address is not None else None
            stored = found[1].password_hash if found is not None else None
            is_right = await self._passwords.is_right(password, stored)
            if found is None or stored is None or not is_right:
                raise _wrong()
        account, credential = found
        self._admit(account)
        newer = await self._passwords.hash(password) if self._passwords.needs_rehash(stored) else None
        async with self._db.transaction() as session:
            if not await queries.is_in_force(session, account.id, stored):
                raise _wrong()
            if newer is not None:
                await queries.set_password(session, account.id, newer, now)
            begun = await self._sessions.begin(session, account, device, now)
        return await self._sessions.grant(account, credential.user_metadata, *begun, now)

    def _admit(self, account: Account) -> None:
        """Refuse an account that may not sign in; only after it has proved to be its owner."""
        if account.suspended_at is not None:
            raise Suspended
        if self.is_confirmation_on and account.email_confirmed_at is None:
            raise EmailUnconfirmed

    async def refresh(self, refresh_token: str, *, device: Device, now: datetime) -> Grant:
        """Trade a refresh token."""
        return await self._sessions.refresh(refresh_token, device, now)

    async def sign_out(self, account_id: UUID, session_id: UUID | None, scope: SignOutScope) -> int:
        """End sessions."""
        if scope is SignOutScope.LOCAL and session_id is None:
            return 0  # a token without a session, as that of development: there is nothing to end
        async with self._db.transaction() as session:
            return await queries.end_sessions(
                session,
                account_id,
                only=session_id if scope is SignOutScope.LOCAL else None,
                but=session_id if scope is SignOutScope.OTHERS else None,
            )

    async def user_metadata(self, account_id: UUID) -> Mapping[str, Any]:
        """What a person says of itself."""
        async with self._db.read() as session:
            credential = await queries.credential_of(session, account_id)
        return credential.user_metadata if credential is not None else {}

    async def change(
        self, account_id: UUID, session_id: UUID | None, changes: Changes, current: str | None, now: datetime
    ) -> Account:
        """Change address, password and what a person says of itself."""
        address = normalised(changes.email, _NEW_EMAIL) if changes.email is not None else None
        if changes.password is not None:
            passwords.check(changes.password, _NEW)
        checked_metadata(changes.user_metadata or {})
        is_proof_needed = address is not None or changes.password is not None
        proved = await self._proved(account_id, session_id, changes, current, now) if is_proof_needed else None
        password_hash = await self._passwords.hash(changes.password) if changes.password is not None else None
        if address is not None:
            await self._throttle.letter(address)
        letters: Sequence[Letter] = ()
        async with self._db.transaction() as session:
            # The account before its password, as whoever deletes it locks them.
            account = await administration_queries.lock_account(session, account_id)
            if account is None:
                raise NotFound
            if is_proof_needed and not await queries.is_in_force(session, account_id, proved):
                raise InvalidCredentials("The password was changed meanwhile.", field=_CURRENT)
            if password_hash is not None:
                await _replace_password(session, account_id, password_hash, now, but=session_id)
                if session_id is not None:
                    await queries.end_reset(session, session_id)
            if changes.user_metadata:
                await _merge_metadata(session, account_id, changes.user_metadata, now)
            if address is not None:
                links = self._links if self.is_confirmation_on else None
                account, letters = await address_change.begin(session, links, account, address, now)
        for letter in letters:
            self._links.post(letter)
        return account

    async def _proved(
        self, account_id: UUID, session_id: UUID | None, changes: Changes, current: str | None, now: datetime
    ) -> str | None:
        """The hash of the password in force, which was asked for; but for a new one in a session of a reset link."""
        async with self._db.read() as session:
            credential = await queries.credential_of(session, account_id)
            row = (await queries.sessions_by_ids(session, [session_id])).get(session_id) if session_id else None
        is_reset = row is not None and row.may_reset_until is not None and row.may_reset_until > now
        if changes.email is not None or not is_reset:
            await self._prove(account_id, credential, current)
        return _hash_of(credential)

    async def prove(self, account_id: UUID, current: str | None, now: datetime) -> str | None:
        """Ask for the password."""
        del now
        async with self._db.read() as session:
            credential = await queries.credential_of(session, account_id)
        await self._prove(account_id, credential, current)
        return _hash_of(credential)

    async def _prove(self, account_id: UUID, credential: Credential | None, current: str | None) -> None:
        if credential is None:
            return
        if current is None:
            raise Required("The password in force is needed.", field=_CURRENT)
        async with self._throttle.attempt(str(account_id)):
            if not await self._passwords.is_right(current, credential.password_hash):
                raise InvalidCredentials("The password in force is another.", field=_CURRENT)

    async def request_confirmation(self, email: str, now: datetime) -> None:
        """Send the link again."""
        address = normalised(email)
        await self._throttle.letter(address)
        account = await self._known(address)
        if account is not None and account.email_confirmed_at is None:
            self._links.send(account, TokenPurpose.CONFIRM_EMAIL, now)

    async def confirm_email(self, token: str, *, device: Device, now: datetime) -> Grant:
        """Confirm the address of an account, or its new one, and begin a session."""
        return await self._by_link(token, (TokenPurpose.CONFIRM_EMAIL, TokenPurpose.CHANGE_EMAIL), device, now)

    async def request_password_reset(self, email: str, now: datetime) -> None:
        """Send a link."""
        address = normalised(email)
        await self._throttle.letter(address)
        account = await self._known(address)
        if account is not None:
            self._links.send(account, TokenPurpose.RESET_PASSWORD, now)

    async def reset_password(self, token: str, new: str, now: datetime) -> Account:
        """Set a new password, and end every session."""
        passwords.check(new, _NEW)
        await self._links.look(token, TokenPurpose.RESET_PASSWORD, now)  # hashing is dear, and anybody may ask
        password_hash = await self._passwords.hash(new)
        async with self._db.transaction() as session:
            spent = await self._links.redeem(session, token, (TokenPurpose.RESET_PASSWORD,), now)
            account = await queries.confirm(session, spent.account_id, spent.email, now)
            if account is None:
                raise InvalidCredentials
            await _replace_password(session, account.id, password_hash, now)
        text = "The password of your account was changed, and every device signed out. If it was not you, reset it now."
        self._links.post(Letter(account.email, "Your password was changed", text))
        return account

    async def redeem_reset(self, token: str, *, device: Device, now: datetime) -> Grant:
        """Begin a session with the token of a reset link."""
        return await self._by_link(token, (TokenPurpose.RESET_PASSWORD,), device, now)

    async def aclose(self) -> None:
        """Let letters leave and threads end."""
        await self._links.aclose()
        self._passwords.close()

    async def _by_link(self, token: str, purposes: Sequence[TokenPurpose], device: Device, now: datetime) -> Grant:
        """Begin a session with the token of a link: whoever reads the mail owns the address."""
        async with self._db.transaction() as session:
            spent = await self._links.redeem(session, token, purposes, now)
            settle = queries.change_email if spent.purpose is TokenPurpose.CHANGE_EMAIL else queries.confirm
            account = await settle(session, spent.account_id, spent.email, now)
            if account is None:
                raise InvalidCredentials
            if account.suspended_at is not None:
                raise Suspended
            credential = await queries.credential_of(session, account.id)
            begun = await self._sessions.begin(session, account, device, now)
            if spent.purpose is TokenPurpose.RESET_PASSWORD:
                begun[0].may_reset_until = now + LIFETIMES[spent.purpose]
        return await self._sessions.grant(account, credential.user_metadata if credential else {}, *begun, now)

    async def _known(self, email: str) -> Account | None:
        async with self._db.read() as session:
            account = await account_queries.by_email(session, email)
        return account if account is not None and account.suspended_at is None else None


def _wrong() -> InvalidCredentials:
    return InvalidCredentials("E-mail or password is wrong.")


def _hash_of(credential: Credential | None) -> str | None:
    return credential.password_hash if credential is not None else None


async def _replace_password(
    session: Session, account_id: UUID, password_hash: str, now: datetime, *, but: UUID | None = None
) -> None:
    """Store a new password; what the old one had opened ends: every session `but` one, and links on their way."""
    await queries.set_password(session, account_id, password_hash, now)
    await queries.end_sessions(session, account_id, but=but)
    await queries.forget_links(session, account_id)


async def _merge_metadata(session: Session, account_id: UUID, changes: Mapping[str, Any], now: datetime) -> None:
    credential = await queries.locked_credential(session, account_id)
    if credential is None:
        raise NotFound
    metadata = checked_metadata({**credential.user_metadata, **changes})
    await queries.set_metadata(session, account_id, metadata, now)


def normalised(email: str, field: tuple[str, ...] = _EMAIL) -> str:
    """The address in a text.

    Raises:
        Required, Invalid: there is none.

    """
    if not email.strip():
        raise Required("An address is needed.", field=field)
    address = addresses.parse(email)
    if address is None:
        raise Invalid("This is not an e-mail address.", field=field)
    return address.email


def checked_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What a person says of itself, if it is small enough.

    Raises:
        TooLarge, Invalid: more than 16 KiB or 32 levels, or not JSON that can be stored.

    """
    return documents.checked(metadata, "The user's data", bytes_max=METADATA_BYTES_MAX)
