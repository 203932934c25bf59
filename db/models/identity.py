"""How people prove who they are: passwords, sessions, the tokens of links, and the keys that sign."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db import ids
from db.models.table import Table, words

# The names of browsers and systems in a user agent, the telling ones first: most browsers also name others.
_BROWSERS = (("Edg", "Edge"), ("OPR", "Opera"), ("Firefox", "Firefox"), ("Chrome", "Chrome"), ("Safari", "Safari"))
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS", "macOS"),
    ("Linux", "Linux"),
)


class Credential(Table):
    """A password, and what the person says of itself: never to be trusted, and read by nothing that decides."""

    __tablename__ = "credential"

    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), primary_key=True)
    password_hash: Mapped[str]
    user_metadata: Mapped[dict[str, Any]] = mapped_column(JSONB)
    updated_at: Mapped[datetime]


class AuthSession(Table):
    """One signed-in device. The row is the session: without it, no token of it counts."""

    __tablename__ = "auth_session"
    __table_args__ = (Index("ix_auth_session_account_id", "account_id", "created_at", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
    counter: Mapped[int]
    """Number of the refresh token in force."""
    salt: Mapped[bytes] = mapped_column(LargeBinary)
    user_agent: Mapped[str | None]
    ip_address: Mapped[str | None]
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime]
    """When the refresh token in force was given out."""
    expires_at: Mapped[datetime]
    may_reset_until: Mapped[datetime | None]
    """It began with the link of a reset: until then, and once, a new password needs no old one."""

    @property
    def global_id(self) -> str:
        """Public id."""
        return ids.global_id("session", self.id)

    @property
    def device(self) -> str | None:
        """The client's name, read from its user agent."""
        if not self.user_agent:
            return None
        browser = next((name for mark, name in _BROWSERS if f"{mark}/" in self.user_agent), None)
        if browser is None:
            return self.user_agent.split("/", maxsplit=1)[0][:50]
        system = next((name for mark, name in _SYSTEMS if mark in self.user_agent), None)
        return f"{browser} on {system}" if system else browser


class RefreshToken(Table):
    """A refresh token of a session, by its hash; spent ones are kept, so that a replay is noticed."""

    __tablename__ = "refresh_token"
    __table_args__ = (Index("ix_refresh_token_session_id", "session_id", "counter"),)

    token_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    session_id: Mapped[UUID] = mapped_column(ForeignKey("auth_session.id", ondelete="CASCADE"))
    counter: Mapped[int]


class TokenPurpose(StrEnum):
    """What the token of a link is good for."""

    CONFIRM_EMAIL = "CONFIRM_EMAIL"
    RESET_PASSWORD = "RESET_PASSWORD"  # noqa: S105 - a word, no password
    CHANGE_EMAIL = "CHANGE_EMAIL"


class OneTimeToken(Table):
    """The token of a link that was sent by mail, by its hash: works once, and a newer one replaces it."""

    __tablename__ = "one_time_token"
    __table_args__ = (Index("ix_one_time_token_account_id", "account_id", "purpose"),)

    token_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
    purpose: Mapped[TokenPurpose] = mapped_column(words(TokenPurpose))
    email: Mapped[str]
    """The address it was sent to: it confirms no other."""
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class SigningKey(Table):
    """A key that signs access tokens (ES256): its private half sealed with the application's secret."""

    __tablename__ = "signing_key"

    kid: Mapped[str] = mapped_column(primary_key=True)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]
