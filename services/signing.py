"""The keys that sign access tokens (ES256, RFC 7518 section 3.4): made at first need, kept sealed in the database."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import structlog
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from db.models import SigningKey
from db.queries import identity as queries
from db.session import Database
from services.jwks import VerifyingKey
from services.sealing import Box, Unsealable

ALGORITHM = "ES256"
_RELOAD_SECONDS = 30.0
"""An unknown kid makes the keys be read again, but not more often than this."""

log = structlog.get_logger(__name__)


class SigningKeys:
    """The key set of this service, shared by all its processes through the database."""

    def __init__(self, db: Database, box: Box) -> None:
        """Nothing is read before it is needed: a process may start while the database is away."""
        self._db, self._box = db, box
        self._keys: dict[str, ec.EllipticCurvePrivateKey] = {}
        self._public: dict[str, VerifyingKey] = {}
        self._read_at: float | None = None
        self._lock = asyncio.Lock()

    async def prepare(self, kid: str | None = None) -> None:
        """Have the keys at hand; read them again for a `kid` that is not known, at most once in 30 seconds."""
        if self._is_fresh(kid):
            return
        async with self._lock:
            if not self._is_fresh(kid):
                await self._load()

    def _is_fresh(self, kid: str | None) -> bool:
        if self._read_at is None or not self._keys:
            return False
        return kid is None or kid in self._keys or time.monotonic() - self._read_at < _RELOAD_SECONDS

    def public(self, kid: str) -> VerifyingKey | None:
        """The public half of a key; None for a kid that is not ours."""
        return self._public.get(kid)

    def current(self) -> tuple[str, ec.EllipticCurvePrivateKey]:
        """The newest key and its kid: what signs now. After `prepare`."""
        return next(iter(self._keys.items()))

    def document(self) -> dict[str, Any]:
        """The public key set (RFC 7517, section 5). After `prepare`."""
        return {
            "keys": [
                ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
                | {"kid": kid, "alg": ALGORITHM, "use": "sig", "key_ops": ["verify"]}
                for kid, key in self._keys.items()
            ]
        }

    async def _load(self) -> None:
        async with self._db.read() as session:
            keys = self._opened(await queries.signing_keys(session))
        if not keys:
            async with self._db.transaction() as session:
                await queries.lock_signing_keys(session)
                rows = await queries.signing_keys(session)
                keys = self._opened(rows)
                if not keys:
                    added = self._new()
                    await queries.add_signing_key(session, added)
                    keys = self._opened([added, *rows])
        self._keys, self._read_at = keys, time.monotonic()
        self._public = {kid: VerifyingKey(ALGORITHM, key.public_key()) for kid, key in keys.items()}

    def _opened(self, rows: Sequence[SigningKey]) -> dict[str, ec.EllipticCurvePrivateKey]:
        keys = {}
        for row in rows:
            try:
                pem = self._box.open(row.sealed, _place(row.kid))
            except Unsealable:
                log.warning("a signing key was sealed with another SECRET_KEY and is not used", kid=row.kid)
                continue
            key = serialization.load_pem_private_key(pem, password=None)
            if isinstance(key, ec.EllipticCurvePrivateKey):
                keys[row.kid] = key
        return keys

    def _new(self) -> SigningKey:
        kid = str(uuid4())
        pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return SigningKey(kid=kid, sealed=self._box.seal(pem, _place(kid)), created_at=datetime.now(UTC))


def _place(kid: str) -> str:
    return f"signing_key:{kid}:sealed"
