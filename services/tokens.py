"""Bearer tokens of sessions: the only file that reads and writes JWTs (RFC 7519)."""

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import jwt

from services import signing
from services.errors import Unauthenticated
from services.jwks import KeySource
from services.signing import SigningKeys

_SHARED_ALGORITHM = "HS256"
_PUBLIC_ALGORITHMS = ("ES256", "RS256")
_AUDIENCE = "authenticated"
_TOKEN_CHARACTERS_MAX = 8192
_TOKENS_KEPT = 10_000
_LEEWAY_SECONDS = 30
SECRET_CHARACTERS_MIN = 32


@dataclass(frozen=True, slots=True)
class Claims:
    """What a valid token says. `session_id` is None for a token of the shared secret that names no session."""

    account_id: UUID
    expires_at: datetime
    session_id: UUID | None = None
    email: str | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a session's token is about."""

    account_id: UUID
    email: str
    session_id: UUID
    user_metadata: dict[str, Any] = field(default_factory=dict)


class Tokens:
    """Issues and reads the tokens of one issuer: this service, or an identity provider.

    A token's header chooses nothing: HS256 goes with the shared secret alone, where one is configured, and ES256 and
    RS256 with the key of its kid alone, each key with its one algorithm.
    """

    def __init__(
        self,
        secret: str | None,
        issuer: str,
        keys: KeySource | None = None,
        *,
        is_own: bool = True,
    ) -> None:
        """`secret` has at least 32 characters; None: no token with a shared secret is read.

        `is_own` is False for a provider's tokens: each must name a session, and its clock may differ from ours.
        """
        self._is_own = is_own
        if secret is not None and len(secret) < SECRET_CHARACTERS_MIN:
            raise ValueError(f"the secret must have at least {SECRET_CHARACTERS_MIN} characters")
        self._secret, self._issuer, self._keys = secret, issuer, keys
        # To verify a signature takes longer than to ask the database who is signed in. By digest: no token is kept.
        self._read: dict[bytes, tuple[str | None, Claims]] = {}

    def issue(self, account_id: UUID, email: str, *, now: datetime, lifetime: timedelta) -> str:
        """A token of the shared secret, without a session: that of development. It ends when it expires."""
        if self._secret is None or not self._is_own:
            raise ValueError("there is no shared secret of ours")
        claims = self._claims(account_id, email, now, lifetime)
        return jwt.encode(claims, self._secret, algorithm=_SHARED_ALGORITHM)

    async def issue_session(self, subject: Subject, *, now: datetime, lifetime: timedelta) -> str:
        """A token of a session, with the claims that Supabase's have, signed by the service's newest key."""
        if not isinstance(self._keys, SigningKeys):
            raise ValueError("there are no keys to sign with")  # noqa: TRY004 - about how the process was put together, not about a type
        await self._keys.prepare()
        kid, key = self._keys.current()
        claims = self._claims(subject.account_id, subject.email, now, lifetime) | {
            "session_id": str(subject.session_id),
            "user_metadata": subject.user_metadata,
        }
        return jwt.encode(claims, key, algorithm=signing.ALGORITHM, headers={"kid": kid})

    async def verify(self, token: str) -> Claims:
        """The claims of a valid token, of one that was read before without looking at its signature again.

        Raises:
            Unauthenticated: as `read`.

        """
        known = self._known(token)
        if known is not None:
            return known
        await self.prepare(token)
        return self.read(token)

    async def prepare(self, token: str) -> None:
        """Have the key at hand that a token names, if it is one of ours; for `read`, which does not wait."""
        if self._keys is not None and len(token) <= _TOKEN_CHARACTERS_MAX:
            header = _header(token)
            if header.get("alg") in _PUBLIC_ALGORITHMS:
                await self._keys.prepare(str(header.get("kid")))

    def read(self, token: str) -> Claims:
        """The claims of a valid token.

        Raises:
            Unauthenticated: forged, expired, of another issuer or audience, without a claim it needs, or no token.

        """
        if len(token) > _TOKEN_CHARACTERS_MAX:
            raise Unauthenticated
        header = _header(token)
        key, algorithm = self._key(header)
        is_session = algorithm != _SHARED_ALGORITHM or not self._is_own
        required = ["exp", "iat", "sub", "aud", "iss", *(["session_id"] if is_session else [])]
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=_AUDIENCE,
                issuer=self._issuer,
                leeway=0 if self._is_own else _LEEWAY_SECONDS,
                options={"require": required, "strict_aud": True},
            )
            if claims.get("role", _AUDIENCE) != _AUDIENCE or claims.get("is_anonymous", False) is not False:
                raise Unauthenticated
            session_id = UUID(claims["session_id"]) if "session_id" in claims else None
            expires_at = datetime.fromtimestamp(claims["exp"], UTC)
            email = claims.get("email")
            read = Claims(UUID(claims["sub"]), expires_at, session_id, email if isinstance(email, str) else None)
        except _REFUSALS as error:
            raise Unauthenticated from error
        if self._is_own:  # the keys of others have to be fetched again in time: that is for `prepare`
            if len(self._read) >= _TOKENS_KEPT:
                self._read.clear()
            self._read[_digest(token)] = (header.get("kid") if is_session else None), read
        return read

    def _known(self, token: str) -> Claims | None:
        """The claims of a token that was read before, while it has not expired and its key is one of ours."""
        kid, claims = self._read.get(_digest(token), (None, None))
        if claims is None or claims.expires_at <= datetime.now(UTC):
            return None
        if kid is not None and (self._keys is None or self._keys.public(kid) is None):
            return None
        return claims

    def _key(self, header: dict[str, Any]) -> tuple[Any, str]:
        """The key and its one algorithm; Unauthenticated where no key goes with the header."""
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm == _SHARED_ALGORITHM and self._secret is not None:
            return self._secret, _SHARED_ALGORITHM
        if algorithm in _PUBLIC_ALGORITHMS and self._keys is not None and isinstance(kid, str):
            key = self._keys.public(kid)
            if key is not None and key.algorithm == algorithm:
                return key.public, key.algorithm
        raise Unauthenticated

    def _claims(self, account_id: UUID, email: str, now: datetime, lifetime: timedelta) -> dict[str, Any]:
        return {
            "iss": self._issuer,
            "sub": str(account_id),
            "aud": _AUDIENCE,
            "iat": int(now.timestamp()),
            "exp": int((now + lifetime).timestamp()),
            "email": email,
            "phone": "",
            "app_metadata": {"provider": "email", "providers": ["email"]},
            "user_metadata": {},
            "role": _AUDIENCE,
            "is_anonymous": False,
        }


_REFUSALS = (
    jwt.PyJWTError,
    TypeError,
    ValueError,
    AttributeError,  # a session_id that is no text
    OverflowError,
    RecursionError,  # deep JSON
)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()


def _header(token: str) -> dict[str, Any]:
    try:
        return jwt.get_unverified_header(token)
    except _REFUSALS as error:
        raise Unauthenticated from error
