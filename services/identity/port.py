"""What the rest of the service knows of identity: this port, whoever keeps the passwords."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from db.models import Account
from services.device import Device

REUSE_WINDOW = timedelta(seconds=30)
"""How long the refresh token before the one in force may be used again: two tabs, or an answer that was lost."""


class SignOutScope(StrEnum):
    """Which sessions a sign-out ends."""

    LOCAL = "local"
    OTHERS = "others"
    GLOBAL = "global"


@dataclass(frozen=True, slots=True)
class AuthTokens:
    """Tokens of a session."""

    access_token: str
    access_token_expires_at: datetime
    refresh_token: str


@dataclass(frozen=True, slots=True)
class Grant:
    """A sign-in that worked."""

    account: Account
    user_metadata: Mapping[str, Any]
    session_id: UUID
    tokens: AuthTokens


@dataclass(frozen=True, slots=True)
class Changes:
    """What a person wants to be otherwise; what is None stays."""

    email: str | None = None
    password: str | None = field(default=None, repr=False)
    user_metadata: Mapping[str, Any] | None = None
    """By key; other keys stay."""


class Identity(Protocol):
    """Keeps passwords and sessions.

    Every refusal is a ServiceError: InvalidCredentials and those below it, Suspended, Taken, Invalid, TooLarge,
    EmailUnconfirmed.
    """

    @property
    def are_accounts_kept_here(self) -> bool:
        """An account that is deleted here is gone; else it could sign in again from where it is kept."""

    @property
    def is_confirmation_on(self) -> bool:
        """A new address must be confirmed before it can sign in, which needs mail."""

    async def key_set(self) -> Mapping[str, Any]:
        """The public keys of access tokens (RFC 7517)."""

    async def sign_up(
        self, email: str, password: str, *, user_metadata: Mapping[str, Any], device: Device, now: datetime
    ) -> Grant | None:
        """Make an account. None where confirmation is on, whether or not the address was taken."""

    async def sign_in(self, email: str, password: str, *, device: Device, now: datetime) -> Grant:
        """Begin a session."""

    async def refresh(self, refresh_token: str, *, device: Device, now: datetime) -> Grant:
        """Trade a refresh token for new tokens.

        The one before is good for REUSE_WINDOW and gives the one in force; an older one ends its session.
        """

    async def sign_out(self, account_id: UUID, session_id: UUID | None, scope: SignOutScope) -> int:
        """End sessions; gives how many there were."""

    async def user_metadata(self, account_id: UUID) -> Mapping[str, Any]:
        """What a person says of itself."""

    async def change(
        self, account_id: UUID, session_id: UUID | None, changes: Changes, current: str | None, now: datetime
    ) -> Account:
        """Do all of what is wanted, or nothing of it. A new password ends every other session.

        A new address counts at once, or where confirmation is on, when the link sent to it is used. Address and
        password ask for the one in force, `current`; it is left out where there is none yet.
        """

    async def prove(self, account_id: UUID, current: str | None, now: datetime) -> str | None:
        """Refuse whoever does not know the password in force; an account that has none yet needs none.

        Gives its hash where passwords are kept here: whoever acts on the proof sees that it is still in force then.
        """

    async def request_confirmation(self, email: str, now: datetime) -> None:
        """Send the link that confirms an address again; nothing is told about it."""

    async def confirm_email(self, token: str, *, device: Device, now: datetime) -> Grant:
        """Confirm an address with the token of a link, and begin a session."""

    async def request_password_reset(self, email: str, now: datetime) -> None:
        """Send a link that sets a new password; nothing is told about it."""

    async def reset_password(self, token: str, new: str, now: datetime) -> Account:
        """Set a new password with the token of a link, and end every session."""

    async def redeem_reset(self, token: str, *, device: Device, now: datetime) -> Grant:
        """Begin a session with the token of a reset link, as Supabase's clients do, who set the password after it."""

    async def aclose(self) -> None:
        """Send what is to be sent, and let go of threads."""
