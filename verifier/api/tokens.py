"""JWTs of an identity provider (RFC 7519, RFC 8725): each key goes with exactly one algorithm."""

from dataclasses import dataclass
from uuid import UUID

import jwt

from verifier.api import parameters
from verifier.api.key_set import Key, KeySet

CHARACTERS_MAX = 8192
CLAIMS = ("exp", "iat", "sub", "aud", "iss")
LEEWAY_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Tokens:
    """Reads the tokens of one issuer. `secret` is for HS256 alone, `keys` for ES256 and RS256; either may lack."""

    secret: str
    keys: KeySet | None
    issuer: str
    audience: str

    async def user_of(self, token: str) -> UUID | None:
        """Return the user whom a token names; None for one that is forged, expired, for others, or none at all."""
        if len(token) > CHARACTERS_MAX:
            return None
        try:
            key = await self._key(jwt.get_unverified_header(token))
            if key is None:
                return None
            claims = jwt.decode(
                token,
                key.public,
                algorithms=[key.algorithm],
                audience=self.audience,
                issuer=self.issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": list(CLAIMS), "strict_aud": True},
            )
        except (jwt.PyJWTError, TypeError, ValueError, OverflowError, RecursionError):  # the last: nested JSON
            return None
        return parameters.uuid(str(claims["sub"]))

    async def _key(self, header: dict[str, object]) -> Key | None:
        """Choose key and algorithm together; a token cannot ask for another algorithm than its key's."""
        if header.get("alg") == "HS256":
            return Key("HS256", self.secret) if self.secret else None
        id = header.get("kid")
        return await self.keys.key(id) if self.keys is not None and isinstance(id, str) else None

    async def aclose(self) -> None:
        """Stop what is under way."""
        if self.keys is not None:
            await self.keys.aclose()
