"""Bearer tokens of sessions: the only file that reads and writes JWTs (RFC 7519)."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import jwt

from db import ids
from services.errors import Unauthenticated

_ALGORITHM = "HS256"
_AUDIENCE = "authenticated"
_TOKEN_CHARACTERS_MAX = 8192
SECRET_CHARACTERS_MIN = 32


@dataclass(frozen=True, slots=True)
class Claims:
    """What a valid token says."""

    account_id: UUID
    expires_at: datetime


class Tokens:
    """Issues and reads the tokens of one issuer. One key, one algorithm: there is nothing for a token to choose."""

    def __init__(self, secret: str, issuer: str) -> None:
        """`secret` has at least 32 characters."""
        if len(secret) < SECRET_CHARACTERS_MIN:
            message = f"the secret must have at least {SECRET_CHARACTERS_MIN} characters"
            raise ValueError(message)
        self._secret, self._issuer = secret, issuer

    def issue(self, account_id: UUID, email: str, *, now: datetime, lifetime: timedelta) -> str:
        """A token for an account, with the claims that Supabase's have."""
        claims = {
            "iss": self._issuer,
            "sub": str(account_id),
            "aud": _AUDIENCE,
            "iat": int(now.timestamp()),
            "exp": int((now + lifetime).timestamp()),
            "email": email,
            "role": _AUDIENCE,
            "session_id": str(ids.new_uuid()),
        }
        return jwt.encode(claims, self._secret, algorithm=_ALGORITHM)

    def read(self, token: str) -> Claims:
        """The claims of a valid token.

        Raises:
            Unauthenticated: forged, expired, of another issuer or audience, without a claim it needs, or no token.

        """
        if len(token) > _TOKEN_CHARACTERS_MAX:
            raise Unauthenticated
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[_ALGORITHM],
                audience=_AUDIENCE,
                issuer=self._issuer,
                options={"require": ["exp", "iat", "sub", "aud", "iss"], "strict_aud": True},
            )
            return Claims(UUID(claims["sub"]), datetime.fromtimestamp(claims["exp"], UTC))
        except (jwt.PyJWTError, TypeError, ValueError, OverflowError, RecursionError) as error:  # the last: nested JSON
            raise Unauthenticated from error
