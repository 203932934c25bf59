"""Who uses the service, and the credentials of programs."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db import ids
from db.models.table import Table, words


class UserRole(StrEnum):
    """What an account may do."""

    MEMBER = "MEMBER"
    ADMIN = "ADMIN"


class ApiKeyScope(StrEnum):
    """What an API key may do; what no scope names, a key may not do."""

    PROFILE_READ = "PROFILE_READ"
    PROFILE_WRITE = "PROFILE_WRITE"
    USAGE_READ = "USAGE_READ"
    CREDITS_DEDUCT = "CREDITS_DEDUCT"
    TASKS_READ = "TASKS_READ"
    TASKS_WRITE = "TASKS_WRITE"
    VERIFY = "VERIFY"
    CREDITS_READ = "CREDITS_READ"
    WEBHOOKS_WRITE = "WEBHOOKS_WRITE"


class Account(Table):
    """A person with an account."""

    __tablename__ = "account"
    __table_args__ = (
        Index("uq_account_email", text("lower(email)"), unique=True),
        Index("ix_account_created_at", "created_at", "id"),
        Index("ix_account_deleted_at", "deleted_at", postgresql_where=text("deleted_at IS NOT NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    email: Mapped[str]
    role: Mapped[UserRole] = mapped_column(words(UserRole), default=UserRole.MEMBER)
    email_confirmed_at: Mapped[datetime | None]
    suspended_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]
    """The person is gone and nobody can sign in; the worker removes what is left, and then the row."""

    @property
    def global_id(self) -> str:
        """Public id."""
        return ids.global_id("user", self.id)

    @property
    def is_email_confirmed(self) -> bool:
        """The address has been confirmed."""
        return self.email_confirmed_at is not None


class ApiKey(Table):
    """A credential for programs, found by the hash of its secret in one indexed look-up."""

    __tablename__ = "api_key"
    __table_args__ = (Index("ix_api_key_account_id", "account_id", "created_at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
    name: Mapped[str]
    prefix: Mapped[str]
    secret_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    integration: Mapped[str | None]
    """Slug of the product that it was made for."""
    notes: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """What the integration keeps here; GraphQL says metadata."""
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    previous_hash: Mapped[bytes | None] = mapped_column(LargeBinary, unique=True)
    """The secret before the last rotation, which works until `previous_expires_at`."""
    previous_expires_at: Mapped[datetime | None]

    @property
    def global_id(self) -> str:
        """Public id."""
        return ids.global_id("key", self.id)
