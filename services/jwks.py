"""The public keys of an identity provider (RFC 7517): fetched when needed, and kept while the provider is away."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import httpx
import jwt
import orjson
import structlog

from services import trust

FRESH_SECONDS = 300.0
"""Older keys are fetched again, while they go on being used."""
KEPT_SECONDS = 24 * 3600.0
"""Keys that could not be fetched again for so long are not used any more."""
REFETCH_SECONDS = 30.0
"""No more than one fetch in this time, however many unknown keys are asked for, and whether or not it worked."""
FETCH_SECONDS_MAX = 5.0
BYTES_MAX = 64 * 1024
RSA_BITS_MIN = 2048
_ALGORITHMS = {("EC", "P-256"): "ES256", ("RSA", None): "RS256"}

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A public key, and the one algorithm that it is used with."""

    algorithm: str
    public: Any


class KeySource(Protocol):
    """Where the keys of tokens come from: our own tables, or an identity provider."""

    async def prepare(self, kid: str | None = None) -> None:
        """Have the key of `kid` at hand, if there is one."""

    def public(self, kid: str) -> VerifyingKey | None:
        """The key of `kid`; None for one that is not known. After `prepare`."""


class KeySet:
    """The keys of one URL. Requests wait for a fetch only where their key is not known yet."""

    def __init__(self, url: str) -> None:
        """Nothing is fetched before it is needed."""
        self._url = url
        self._keys: Mapping[str, VerifyingKey] = {}
        self._fetched_at = self._tried_at = float("-inf")
        self._fetching: asyncio.Task[None] | None = None

    async def prepare(self, kid: str | None = None) -> None:
        """Fetch the keys where they are old or this one is unknown, and it is time for it."""
        now = time.monotonic()
        is_known = kid in self._keys
        is_due = not is_known or now - self._fetched_at > FRESH_SECONDS
        if is_due and self._fetching is None and now - self._tried_at > REFETCH_SECONDS:
            self._tried_at = now
            self._fetching = asyncio.create_task(self._fetch(), name="fetch the key set")
        if not is_known and self._fetching is not None:
            await asyncio.wait({self._fetching})

    def public(self, kid: str) -> VerifyingKey | None:
        """The key of `kid`, unless it has not been seen at its source for a day."""
        return self._keys.get(kid) if time.monotonic() - self._fetched_at < KEPT_SECONDS else None

    async def aclose(self) -> None:
        """Give up a fetch that is under way."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait({self._fetching})

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(FETCH_SECONDS_MAX):
                self._keys = read(await _document(self._url))
            self._fetched_at = time.monotonic()
        except (httpx.HTTPError, ValueError, TimeoutError) as error:
            log.warning("the key set was not fetched", problem=type(error).__name__, keys_kept=len(self._keys))
        finally:
            self._fetching = None


async def _document(url: str) -> bytes:
    """What stands at the URL. Raises ValueError where that is no answer, or too long."""
    async with (
        trust.client(timeout=FETCH_SECONDS_MAX) as client,
        client.stream("GET", url, headers={"accept": "application/json"}) as response,
    ):
        if response.status_code != 200:
            raise ValueError(f"answered {response.status_code}")
        document = bytearray()
        async for piece in response.aiter_bytes():
            document += piece
            if len(document) > BYTES_MAX:
                raise ValueError(f"more than {BYTES_MAX} bytes")
        return bytes(document)


def read(document: bytes) -> dict[str, VerifyingKey]:
    """The usable keys of a key set by id: ES256 and RS256. A shared secret (`oct`) has no place in one.

    Raises ValueError for what is no key set.
    """
    content = orjson.loads(document)
    entries = content.get("keys") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise ValueError("this is no key set")  # noqa: TRY004 - it is about a document, not about our types
    found = {}
    for entry in entries:
        key = _key(entry) if isinstance(entry, dict) else None
        if key is not None and isinstance(entry.get("kid"), str):
            found[entry["kid"]] = key
    return found


def _key(entry: dict[str, Any]) -> VerifyingKey | None:
    algorithm = _ALGORITHMS.get((str(entry.get("kty")), entry.get("crv") if entry.get("kty") == "EC" else None))
    if algorithm is None or entry.get("alg", algorithm) != algorithm or entry.get("use", "sig") != "sig":
        return None
    public = {name: value for name, value in entry.items() if name in {"kty", "crv", "x", "y", "n", "e"}}
    try:
        key = jwt.PyJWK.from_dict(public, algorithm=algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    return VerifyingKey(algorithm, key) if algorithm != "RS256" or key.key_size >= RSA_BITS_MIN else None
