"""Who an account is, in its owner's own words."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db import ids
from db.models.table import Table

DOCUMENT_BYTES_MAX = 256 * 1024


class Profile(Table):
    """Name and document of an account. Version and times are the database's: it counts every change, whoever makes it.

    PostgreSQL writes a document with a space after each comma and colon, which makes it longer by a half at most.
    """

    __tablename__ = "profile"
    __table_args__ = (
        CheckConstraint(
            f"jsonb_typeof(document) = 'object' AND octet_length(document::text) <= {DOCUMENT_BYTES_MAX * 3 // 2}",
            name="document",
        ),
        CheckConstraint("char_length(display_name) BETWEEN 1 AND 200", name="display_name"),
    )

    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), primary_key=True)
    display_name: Mapped[str | None]
    document: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'::jsonb"))
    version: Mapped[int] = mapped_column(server_default=text("1"))
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    updated_at: Mapped[datetime] = mapped_column(server_default=text("now()"))

    @property
    def global_id(self) -> str:
        """Public id."""
        return ids.global_id("profile", self.account_id)
