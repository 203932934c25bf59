"""Who asks: an account, through a session or through a key with scopes."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from db.models import ApiKeyScope, UserRole
from services.errors import Forbidden


@dataclass(frozen=True, slots=True)
class Actor:
    """The caller of an operation. `scopes` is None for a session, which may do all that its account may."""

    account_id: UUID
    role: UserRole
    scopes: frozenset[ApiKeyScope] | None = None
    api_key_id: UUID | None = None
    expires_at: datetime | None = None
    integration: str | None = None
    """The product that the key was made for."""
    session_id: UUID | None = None
    """The session that asks; None for a key, and for a token without a session."""

    @property
    def is_admin(self) -> bool:
        """Reads and manages every account. A key never does: it acts for its owner alone."""
        return self.role is UserRole.ADMIN and self.scopes is None

    @property
    def acting_for(self) -> UUID | None:
        """The account whose rows alone the database shows and takes for the caller; None (all) for an administrator."""
        return None if self.is_admin else self.account_id

    def require(self, scope: ApiKeyScope | None) -> None:
        """Refuse a key without this scope, and every key where a session is needed (None)."""
        if self.scopes is None:
            return
        if scope is None:
            raise Forbidden("An API key cannot do this: sign in.")
        if scope not in self.scopes:
            raise Forbidden(f"This API key lacks the scope {scope.value}.")

    def reaches(self, account_id: UUID) -> bool:
        """Things of this account are the caller's to see."""
        return self.is_admin or self.account_id == account_id
