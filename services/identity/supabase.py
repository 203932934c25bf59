"""Identity kept by a Supabase project: its calls are forwarded, its tokens are read, its people get accounts here."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from db.models import Account, UserRole
from db.queries import accounts as queries
from db.session import Database
from services import accounts
from services.device import Device
from services.errors import (
    Forbidden,
    IdentityDown,
    InvalidCredentials,
    RefreshTokenUnknown,
    Required,
    ServiceError,
    SessionEnded,
    Suspended,
    Unauthenticated,
)
from services.identity import passwords
from services.identity.gotrue import GoTrue
from services.identity.local import checked_metadata, normalised
from services.identity.port import AuthTokens, Changes, Grant, SignOutScope
from services.throttle import Throttle
from services.tokens import Claims, Tokens

CHECK_SECONDS = 5.0
"""A session is asked about again after so long: one that was signed out elsewhere is refused within ten seconds, on an
open WebSocket too, which looks every four."""
_SESSIONS_KEPT = 10_000
_TOKEN_CHARACTERS_MAX = 512
_PASSWORD, _NEW, _CURRENT = ("input", "password"), ("input", "newPassword"), ("input", "currentPassword")
_NEW_EMAIL = ("input", "newEmail")


@dataclass(slots=True)
class _Seen:
    """A session that was seen here: its newest token, and when it was last known to live."""

    account_id: UUID
    token: str = field(repr=False)
    checked_at: float | None = None
    is_reset: bool = False
    """It began with the link of a reset: once, a new password needs no old one."""
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)


class SupabaseIdentity:
    """The port's adapter for a Supabase project. It decides who people are; roles and suspension stay ours."""

    def __init__(
        self, db: Database, tokens: Tokens, supabase: GoTrue, throttle: Throttle, *, welcome_credits: int = 0
    ) -> None:
        """`tokens` reads those of the project; every account is given the credits when it is first seen."""
        self._db, self._tokens, self._supabase, self._throttle = db, tokens, supabase, throttle
        self._welcome_credits = welcome_credits
        self._seen: OrderedDict[UUID, _Seen] = OrderedDict()

    are_accounts_kept_here = False

    @property
    def is_confirmation_on(self) -> bool:
        """The project decides; what follows a sign-up is seen in its answer."""
        return True

    async def key_set(self) -> Mapping[str, Any]:
        """The public keys."""
        return await self._supabase.call("GET", "/.well-known/jwks.json")

    async def account(self, claims: Claims, token: str, now: datetime) -> Account:
        """The account of a valid token, made when it is first seen, once the session was found to live."""
        if claims.session_id is None:
            raise Unauthenticated
        await self._check(self._remember(claims.session_id, claims.account_id, token), claims.session_id)
        return await self._account_of(claims.account_id, claims.email, now)

    async def sign_up(
        self, email: str, password: str, *, user_metadata: Mapping[str, Any], device: Device, now: datetime
    ) -> Grant | None:
        """Make an account."""
        del device
        address = normalised(email)
        passwords.check(password, _PASSWORD)
        body = {"email": address, "password": password, "data": checked_metadata(user_metadata)}
        await self._throttle.sign_up()
        answer = await self._supabase.call("POST", "/signup", body)
        return await self._grant(answer, now) if "access_token" in answer else None

    async def sign_in(self, email: str, password: str, *, device: Device, now: datetime) -> Grant:
        """Begin a session."""
        del device
        async with self._throttle.attempt(email):
            return await self._grant(await self._token("password", email=email.strip(), password=password), now)

    async def refresh(self, refresh_token: str, *, device: Device, now: datetime) -> Grant:
        """Trade a refresh token."""
        del device
        if not refresh_token or len(refresh_token) > _TOKEN_CHARACTERS_MAX or not refresh_token.isascii():
            raise RefreshTokenUnknown
        try:
            return await self._grant(await self._token("refresh_token", refresh_token=refresh_token), now)
        except (SessionEnded, InvalidCredentials) as error:
            raise error if isinstance(error, InvalidCredentials) else RefreshTokenUnknown from error

    async def sign_out(self, account_id: UUID, session_id: UUID | None, scope: SignOutScope) -> int:
        """End sessions. The project tells no number: 1 where it took the call."""
        seen = self._seen.get(session_id) if session_id is not None else None
        if seen is None or seen.account_id != account_id:
            return 0
        try:
            await self._supabase.call("POST", f"/logout?scope={scope.value}", token=seen.token)
        except SessionEnded:
            return 0
        finally:
            self._forget(account_id, session_id, scope)
        return 1

    async def user_metadata(self, account_id: UUID) -> Mapping[str, Any]:
        """What a person says of itself."""
        return _metadata(await self._supabase.call("GET", "/user", token=self._newest(account_id).token))

    async def change(
        self, account_id: UUID, session_id: UUID | None, changes: Changes, current: str | None, now: datetime
    ) -> Account:
        """Have it changed by one call; the account here follows its address.

        A project need not ask for the old password: so it is tried.
        """
        body: dict[str, Any] = {}
        if changes.email is not None:
            body["email"] = normalised(changes.email, _NEW_EMAIL)
        if changes.password is not None:
            passwords.check(changes.password, _NEW)
            body["password"] = changes.password
        if changes.user_metadata is not None:
            body["data"] = checked_metadata(changes.user_metadata)
        seen = self._seen.get(session_id) if session_id is not None else None
        if seen is None or seen.account_id != account_id:
            raise SessionEnded
        if changes.email is not None or (changes.password is not None and not seen.is_reset):
            await self.prove(account_id, current, now)
        if current is not None:
            body["current_password"] = current
        if changes.email is not None:
            await self._throttle.letter(body["email"])
        user = await self._supabase.call("PUT", "/user", body, token=seen.token)
        if changes.password is not None:
            seen.is_reset = False
            await self._supabase.call("POST", f"/logout?scope={SignOutScope.OTHERS.value}", token=seen.token)
            self._forget(account_id, session_id, SignOutScope.OTHERS)
        email = user.get("email")
        return await self._account_of(account_id, email if isinstance(email, str) else None, now)

    async def prove(self, account_id: UUID, current: str | None, now: datetime) -> str | None:
        """Try the password, in a session that is ended at once. The project does not say who has none: all need one."""
        if current is None:
            raise Required("The password in force is needed.", field=_CURRENT)
        async with self._db.read() as session:
            account = (await queries.by_ids(session, [account_id])).get(account_id)
        if account is None:
            raise SessionEnded
        try:
            async with self._throttle.attempt(str(account_id)):
                granted = await self._grant(await self._token("password", email=account.email, password=current), now)
        except InvalidCredentials:
            raise InvalidCredentials("The password in force is another.", field=_CURRENT) from None
        await self.sign_out(account_id, granted.session_id, SignOutScope.LOCAL)
        return None  # the project keeps it

    async def request_confirmation(self, email: str, now: datetime) -> None:
        """Have the link sent again."""
        del now
        address = normalised(email)
        await self._throttle.letter(address)
        await self._supabase.call("POST", "/resend", {"type": "signup", "email": address})

    async def confirm_email(self, token: str, *, device: Device, now: datetime) -> Grant:
        """Confirm an address, or a new one, and begin a session. The project asks which; the link does not say."""
        del device
        try:
            return await self._by_link("signup", token, now)
        except InvalidCredentials:
            return await self._by_link("email_change", token, now)

    async def request_password_reset(self, email: str, now: datetime) -> None:
        """Have a link sent."""
        del now
        address = normalised(email)
        await self._throttle.letter(address)
        await self._supabase.call("POST", "/recover", {"email": address})

    async def reset_password(self, token: str, new: str, now: datetime) -> Account:
        """Set a new password, and end every session."""
        passwords.check(new, _NEW)
        granted = await self._by_link("recovery", token, now)
        access = granted.tokens.access_token
        await self._supabase.call("PUT", "/user", {"password": new}, token=access)
        await self._supabase.call("POST", f"/logout?scope={SignOutScope.GLOBAL.value}", token=access)
        self._forget(granted.account.id, None, SignOutScope.GLOBAL)
        return granted.account

    async def redeem_reset(self, token: str, *, device: Device, now: datetime) -> Grant:
        """Begin a session with the token of a reset link."""
        del device
        granted = await self._by_link("recovery", token, now)
        self._seen[granted.session_id].is_reset = True
        return granted

    async def aclose(self) -> None:
        """Close the connections."""
        await self._supabase.aclose()

    async def _token(self, grant_type: str, **body: str) -> dict[str, Any]:
        return await self._supabase.call("POST", f"/token?grant_type={grant_type}", body)

    async def _by_link(self, kind: str, token: str, now: datetime) -> Grant:
        if not token or len(token) > _TOKEN_CHARACTERS_MAX or not token.isascii():
            raise InvalidCredentials
        return await self._grant(await self._supabase.call("POST", "/verify", {"type": kind, "token_hash": token}), now)

    async def _grant(self, answer: Mapping[str, Any], now: datetime) -> Grant:
        """What a client is given for the project's answer. Raises IdentityDown where that is none of its tokens."""
        user, access, refresh = answer.get("user"), answer.get("access_token"), answer.get("refresh_token")
        if not isinstance(access, str) or not isinstance(refresh, str) or not isinstance(user, dict):
            raise IdentityDown
        try:
            claims = await self._tokens.verify(access)
        except Unauthenticated as error:
            raise IdentityDown(
                "The identity provider gives tokens that cannot be read here: look at its keys and its issuer."
            ) from error
        if claims.session_id is None:
            raise IdentityDown
        account = await self._account_of(claims.account_id, claims.email, now)
        if account.suspended_at is not None:
            raise Suspended
        self._remember(claims.session_id, account.id, access).checked_at = time.monotonic()
        return Grant(account, _metadata(user), claims.session_id, AuthTokens(access, claims.expires_at, refresh))

    async def _account_of(self, account_id: UUID, email: str | None, now: datetime) -> Account:
        """The account here of a person there; it follows a change of the address."""
        async with self._db.read() as session:
            account = (await queries.by_ids(session, [account_id])).get(account_id)
        if account is not None and (email is None or account.email == email):
            return account
        if not email:
            raise Unauthenticated
        async with self._db.transaction() as session:
            await queries.add(session, account_id=account_id, email=email, role=UserRole.MEMBER, now=now)
            followed = await queries.follow_email(session, account_id, email)
            if followed is None:
                raise Forbidden("This address belongs to another account here. Ask an administrator.")
            await accounts.begin(session, account_id, now, welcome_credits=self._welcome_credits)
        return followed

    async def _check(self, seen: _Seen, session_id: UUID) -> None:
        """Ask about a session that was not asked about for a while; while nobody answers, one that is known goes on."""
        async with seen.asking:
            if seen.checked_at is not None and time.monotonic() - seen.checked_at < CHECK_SECONDS:
                return
            try:
                await self._supabase.call("GET", "/user", token=seen.token)
            except Suspended:
                raise Forbidden("This account is suspended.") from None
            except ServiceError as error:
                if isinstance(error, SessionEnded):
                    self._seen.pop(session_id, None)
                    raise
                if seen.checked_at is None:
                    raise
            seen.checked_at = time.monotonic()

    def _remember(self, session_id: UUID, account_id: UUID, token: str) -> _Seen:
        seen = self._seen.get(session_id)
        if seen is None or seen.account_id != account_id:
            seen = self._seen[session_id] = _Seen(account_id, token)
        seen.token = token
        self._seen.move_to_end(session_id)
        while len(self._seen) > _SESSIONS_KEPT:
            self._seen.popitem(last=False)
        return seen

    def _newest(self, account_id: UUID) -> _Seen:
        """The last session of an account that was seen here."""
        for seen in reversed(self._seen.values()):
            if seen.account_id == account_id:
                return seen
        raise SessionEnded

    def _forget(self, account_id: UUID, session_id: UUID | None, scope: SignOutScope) -> None:
        for known in [known for known, seen in self._seen.items() if seen.account_id == account_id]:
            if scope is SignOutScope.GLOBAL or (known == session_id) == (scope is SignOutScope.LOCAL):
                del self._seen[known]


def _metadata(user: Mapping[str, Any]) -> dict[str, Any]:
    metadata = user.get("user_metadata")
    return metadata if isinstance(metadata, dict) else {}
