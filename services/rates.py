"""How much a caller may ask for: points in windows of time, counted in Redis where there is one, else in this process.

Each process counts for itself without Redis, and while Redis is away: nobody is ever let off.
"""

import contextlib
import ipaddress
import itertools
import math
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import structlog
from limits.aio.storage import RedisStorage, Storage
from redis.exceptions import RedisError

from services import device
from services.actor import Actor
from services.errors import RateLimited

T = TypeVar("T")

WINDOW_SECONDS = 60
UNLIMITED = 10_000_000
REDIS_SECONDS_MAX = 0.25
"""Longer than this no request waits for Redis."""
AWAY_SECONDS = 5.0
"""After a fault Redis is left alone for so long."""
KEYS_MAX = 200_000
_PREFIX = "mailverdict"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a caller has left, after paying `cost` points."""

    limit: int
    remaining: int
    cost: int
    reset_at: datetime


SPENT: ContextVar[Allowance | None] = ContextVar("spent", default=None)
"""What the operation that is being answered has left to its caller; set before it runs."""


class Memory(Storage):
    """Counters in this process. The one that comes with `limits` looks at every key on each hit, and has no bound."""

    STORAGE_SCHEME = None
    base_exceptions = ()

    def __init__(self) -> None:
        """Empty."""
        super().__init__()
        self._counts: dict[str, tuple[int, float]] = {}
        self._look_at = 1024

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count; a window begins with its first."""
        now = time.time()
        count, ends = self._counts.get(key, (0, 0.0))
        if ends <= now:
            count, ends = 0, now + expiry
            self._counts.pop(key, None)  # so that the oldest windows stand first
            self._make_room(now)
        self._counts[key] = (count + amount, ends)
        return count + amount

    async def get(self, key: str) -> int:
        """What was counted."""
        count, ends = self._counts.get(key, (0, 0.0))
        return count if ends > time.time() else 0

    async def get_expiry(self, key: str) -> float:
        """When the window ends, in seconds since the epoch."""
        return max(self._counts.get(key, (0, 0.0))[1], time.time())

    async def check(self) -> bool:
        """It is always there."""
        return True

    async def reset(self) -> int:
        """Forget everything."""
        count = len(self._counts)
        self._counts.clear()
        return count

    async def clear(self, key: str) -> None:
        """Forget one."""
        self._counts.pop(key, None)

    def _make_room(self, now: float) -> None:
        """Drop windows that have ended, seldom enough that a hit costs the same however many there are."""
        if len(self._counts) < self._look_at:
            return
        self._counts = {key: kept for key, kept in self._counts.items() if kept[1] > now}
        if len(self._counts) >= KEYS_MAX * 3 // 4:  # all are running: the oldest half goes
            self._counts = dict(itertools.islice(self._counts.items(), len(self._counts) // 2, None))
        self._look_at = min(max(1024, 2 * len(self._counts)), KEYS_MAX)


class Rates:
    """Counters that all processes share through Redis, or that this process has for itself."""

    def __init__(self, redis_url: str = "") -> None:
        """`redis_url` is redis[s]://[user:password@]host[:port][/database]; empty: in memory."""
        self._memory = Memory()
        self._redis: RedisStorage | None = None
        self._away_until = 0.0
        if redis_url:
            self._redis = RedisStorage(
                redis_url,
                implementation="redispy",
                key_prefix=_PREFIX,
                socket_timeout=REDIS_SECONDS_MAX,
                socket_connect_timeout=REDIS_SECONDS_MAX,
            )

    async def count(self, name: str, who: str, *, seconds: int, amount: int = 1) -> int:
        """Add to a counter; gives what it holds now. Its window of `seconds` begins with its first."""
        return (await self.spend(name, who, seconds=seconds, amount=amount))[0]

    async def spend(self, name: str, who: str, *, seconds: int, amount: int) -> tuple[int, float]:
        """`count`, and when the window ends, in seconds since the epoch."""

        async def add(storage: Storage) -> tuple[int, float]:
            key = f"{name}:{who}"
            return await storage.incr(key, seconds, amount), await storage.get_expiry(key)

        return await self._run(add)

    async def seconds_left(self, name: str, who: str) -> float:
        """How long the window of a counter still lasts; 0 where nothing was counted."""

        async def look(storage: Storage) -> float:
            if await storage.get(f"{name}:{who}") <= 0:
                return 0.0
            return max(await storage.get_expiry(f"{name}:{who}") - time.time(), 0.0)

        return await self._run(look)

    async def forget(self, name: str, who: str) -> None:
        """Set a counter to nothing."""
        await self._run(lambda storage: storage.clear(f"{name}:{who}"))

    async def aclose(self) -> None:
        """Close the connections to Redis."""
        if self._redis is not None:
            bridge: Any = self._redis.bridge
            with contextlib.suppress(RedisError, OSError):
                await bridge.get_connection().aclose()

    async def _run(self, work: Callable[[Storage], Awaitable[T]]) -> T:
        if self._redis is not None and time.monotonic() >= self._away_until:
            try:
                return await work(self._redis)
            except (RedisError, OSError) as error:  # TimeoutError is an OSError
                self._away_until = time.monotonic() + AWAY_SECONDS
                log.warning("Redis is away: rates are counted in this process", problem=type(error).__name__)
        return await work(self._memory)


class Meter:
    """Lets callers spend points: so many a minute for each key, each account and, signed out, each network."""

    def __init__(
        self, rates: Rates | None = None, *, points: int = UNLIMITED, points_signed_out: int = UNLIMITED
    ) -> None:
        """`points` a minute for a key or an account, `points_signed_out` for a network."""
        self._rates = rates or Rates()
        self._points, self._points_signed_out = points, points_signed_out

    async def charge(self, actor: Actor | None, cost: int) -> Allowance:
        """Take points from the caller.

        Raises:
            RateLimited: there are not so many left in this minute.

        """
        limit = self._points if actor is not None else self._points_signed_out
        who = payer(actor)
        spent, ends_at = await self._rates.spend("points", who, seconds=WINDOW_SECONDS, amount=cost)
        allowance = Allowance(limit, max(limit - spent, 0), cost, datetime.fromtimestamp(ends_at, UTC))
        SPENT.set(allowance)
        if spent > limit:
            raise RateLimited(
                f"This costs {cost} points, and of {limit} a minute not so many are left.",
                retry_after_seconds=max(1, math.ceil(ends_at - time.time())),
            )
        return allowance


def payer(actor: Actor | None) -> str:
    """Who pays: a key for itself, a session for its account, everybody else for the network they come from."""
    if actor is None:
        return f"network:{network(device.HERE.get().ip_address)}"
    return f"key:{actor.api_key_id}" if actor.api_key_id is not None else f"account:{actor.account_id}"


def network(address: str | None) -> str:
    """The network that an address counts for: itself in IPv4, its /64 in IPv6 (RFC 6177: one site has many)."""
    try:
        parsed = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.IPv6Network((parsed, 64), strict=False))
    return str(parsed)
