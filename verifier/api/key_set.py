"""The public keys of an identity provider (RFC 7517), fetched when needed and kept while the provider is away."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import jwt
import orjson
import structlog

FRESH_SECONDS = 300.0
REFETCH_SECONDS = 30.0
FETCH_SECONDS = 5.0
BYTES_MAX = 256 * 1024
RSA_BITS_MIN = 2048

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Key:
    """A public key with the one algorithm that it may be used with."""

    algorithm: str
    public: Any


class KeySet:
    """The keys by id. At most one fetch at a time, and at most one in 30 s, however many unknown ids are asked for."""

    def __init__(self, url: str) -> None:
        self._url = url
        # One for all fetches: to make one reads all certificates of authorities, which stops the loop for 20 ms.
        self._client = httpx.AsyncClient(follow_redirects=False, trust_env=False, timeout=FETCH_SECONDS)
        self._keys: Mapping[str, Key] = {}
        self._fetched_at = self._tried_at = float("-inf")
        self._fetching: asyncio.Task[None] | None = None

    async def key(self, id: str) -> Key | None:
        """Return the key of an id; waits for a fetch only where the id is not known yet."""
        now = time.monotonic()
        is_known = id in self._keys
        is_due = not is_known or now - self._fetched_at > FRESH_SECONDS
        if self._fetching is None and is_due and now - self._tried_at > REFETCH_SECONDS:
            self._tried_at = now
            self._fetching = asyncio.create_task(self._fetch())
        if not is_known and self._fetching is not None:
            await asyncio.wait({self._fetching})
        return self._keys.get(id)

    async def aclose(self) -> None:
        """Give up a fetch that is under way, and close every connection."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait({self._fetching})
        await self._client.aclose()

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                self._keys = read(await self._download())
            self._fetched_at = time.monotonic()
        except (httpx.HTTPError, ValueError, TimeoutError) as error:
            log.warning("key set not fetched", problem=repr(error), keys_kept=len(self._keys))
        finally:
            self._fetching = None

    async def _download(self) -> bytes:
        """Return the document; raise ValueError where it is none or too large."""
        async with self._client.stream("GET", self._url, headers={"Accept": "application/json"}) as response:
            if response.status_code != 200:
                raise ValueError(f"answered {response.status_code}")
            document = bytearray()
            async for piece in response.aiter_bytes():
                document += piece
                if len(document) > BYTES_MAX:
                    raise ValueError(f"more than {BYTES_MAX} bytes")
            return bytes(document)


def read(document: bytes) -> dict[str, Key]:
    """Return the usable keys of a key set; symmetric ones have no place in a public document and are left out.

    Raises ValueError for what is no key set.
    """
    content = orjson.loads(document)
    if not isinstance(content, dict) or not isinstance(content.get("keys"), list):
        raise ValueError("not a key set")  # noqa: TRY004 - it is about a document, not about our types
    found: dict[str, Key] = {}
    for entry in content["keys"]:
        id = entry.get("kid") if isinstance(entry, dict) else None
        key = _key(entry) if isinstance(id, str) else None
        if isinstance(id, str) and key is not None:
            found[id] = key
    return found


def _key(entry: dict[str, Any]) -> Key | None:
    algorithm = {("EC", "P-256"): "ES256", ("RSA", None): "RS256"}.get((str(entry.get("kty")), entry.get("crv")))
    if algorithm is None or entry.get("alg", algorithm) != algorithm or entry.get("use", "sig") != "sig":
        return None
    public = {name: value for name, value in entry.items() if name in {"kty", "crv", "x", "y", "n", "e"}}
    try:
        key = jwt.PyJWK.from_dict(public, algorithm=algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    if algorithm == "RS256" and key.key_size < RSA_BITS_MIN:
        return None
    return Key(algorithm, key)
