"""Hidden keys at the verifier. No GraphQL type shows this table."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from db.models.table import Table, words


class KeyOrigin(StrEnum):
    """Where an upstream key comes from: made by the verifier for us, or entered by an administrator."""

    MADE = "MADE"
    ENTERED = "ENTERED"


class UpstreamKey(Table):
    """An account's key at the verifier, sealed. A row without one is a claim: somebody is having the key made."""

    __tablename__ = "upstream_key"
    __table_args__ = (
        CheckConstraint("(sealed IS NULL) = (kid IS NULL) AND (sealed IS NULL) = (made_at IS NULL)", name="whole"),
    )

    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), primary_key=True)
    origin: Mapped[KeyOrigin] = mapped_column(words(KeyOrigin))
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    kid: Mapped[str | None]
    """Names the key that it is sealed under."""
    made_at: Mapped[datetime | None]
    claimed_until: Mapped[datetime | None]
    """Until then one process alone has a new key made. Its value is also the proof of the claim."""
