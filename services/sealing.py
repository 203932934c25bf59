"""Secrets at rest: AES-256-GCM under a key made from the application's secret, bound to the place they are kept in."""

import hashlib
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_VERSION = b"\x01"
_NONCE_BYTES = 12


class Unsealable(Exception):
    """The data was sealed with another secret, for another place, or was changed."""


class Box:
    """Seals and opens. What is sealed for one place (`table:row:column`) cannot be opened at another."""

    def __init__(self, secret: str) -> None:
        """`secret` is the application's."""
        key = hashlib.sha256(b"sealing:" + secret.encode()).digest()
        self._aead = AESGCM(key)
        self.kid = hashlib.sha256(b"kid:" + key).hexdigest()[:8]
        """Names the key, and tells nothing of it."""

    def seal(self, data: bytes, place: str) -> bytes:
        """The data, unreadable: version, nonce, ciphertext with its tag."""
        nonce = os.urandom(_NONCE_BYTES)
        return _VERSION + nonce + self._aead.encrypt(nonce, data, place.encode())

    def open(self, sealed: bytes, place: str) -> bytes:
        """The data again.

        Raises:
            Unsealable: it cannot be opened here.

        """
        if sealed[:1] != _VERSION:
            raise Unsealable
        nonce, rest = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            return self._aead.decrypt(nonce, rest, place.encode())
        except (InvalidTag, ValueError) as error:
            raise Unsealable from error
