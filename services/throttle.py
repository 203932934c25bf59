"""Holds back who guesses passwords, fills the table of accounts, or has letters sent to others.

The answer is the same whether or not an account exists: it looks only at what was typed, and where it came from.
"""

import contextlib
import hashlib
import hmac
import math
from collections.abc import AsyncIterator

from services import device, rates
from services.errors import InvalidCredentials, RateLimited, TooManyLetters
from services.rates import Rates

_TRIES_SECONDS = 15 * 60
_NETWORK_TRIES, _NETWORK_SECONDS = 30, 5 * 60
"""Wrong passwords of one network, for whatever accounts."""
_PAIR_TRIES, _PAIR_WAIT_MAX = 5, _TRIES_SECONDS
"""Tries of one network for one account; after them one at a time, and each wait is twice the one before."""
_ACCOUNT_TRIES, _ACCOUNT_WAIT_MAX = 20, 30
"""The same for one account from everywhere: it slows a botnet, and locks nobody out."""
_KNOWN_SECONDS = 30 * 24 * 3600
"""How long a network from which an account has signed in is not held back by what others try."""
_LETTERS, _LETTERS_OF_NETWORK, _LETTERS_SECONDS = 5, 30, 3600
_SIGN_UPS_SECONDS = 3600


class Throttle:
    """Counts tries by network, by account, and by both. Accounts stand in the counters as keyed hashes."""

    def __init__(self, counters: Rates, secret: str, *, sign_ups_per_hour: int = rates.UNLIMITED) -> None:
        """`secret` is the application's."""
        self._rates, self._sign_ups = counters, sign_ups_per_hour
        self._key = hashlib.sha256(b"throttle:" + secret.encode()).digest()

    @contextlib.asynccontextmanager
    async def attempt(self, who: str) -> AsyncIterator[None]:
        """Try a password of `who`, an address or an id, within the block: InvalidCredentials makes the try count.

        Raises:
            RateLimited: wait first; nothing was tried.

        """
        network, account = _network(), self._hashed(who)
        pair = f"{account}:{network}"
        await self._bounded("tries-of-network", network, _NETWORK_TRIES, _NETWORK_SECONDS)
        await self._paced("tries", pair, _PAIR_TRIES, _PAIR_WAIT_MAX)
        if not await self._rates.seconds_left("known", pair):
            await self._paced("tries-of-account", account, _ACCOUNT_TRIES, _ACCOUNT_WAIT_MAX)
        try:
            yield
        except InvalidCredentials:
            raise
        except Exception:  # the password was right, or was not looked at
            await self._take_back(network, pair)
            raise
        await self._take_back(network, pair)
        await self._rates.count("known", pair, seconds=_KNOWN_SECONDS)

    async def sign_up(self) -> None:
        """Count a new account. Raises RateLimited."""
        await self._bounded("sign-ups", _network(), self._sign_ups, _SIGN_UPS_SECONDS)

    async def letter(self, email: str) -> None:
        """Count a letter that somebody asks for. Raises TooManyLetters."""
        try:
            await self._bounded("letters-of-network", _network(), _LETTERS_OF_NETWORK, _LETTERS_SECONDS)
            await self._bounded("letters", self._hashed(email), _LETTERS, _LETTERS_SECONDS)
        except RateLimited as error:
            raise TooManyLetters(retry_after_seconds=error.retry_after_seconds) from None

    async def _take_back(self, network: str, pair: str) -> None:
        await self._rates.count("tries-of-network", network, seconds=_NETWORK_SECONDS, amount=-1)
        for name in ("tries", "tries-wait"):
            await self._rates.forget(name, pair)

    async def _bounded(self, name: str, who: str, most: int, seconds: int) -> None:
        if await self._rates.count(name, who, seconds=seconds) > most:
            raise _refusal(await self._rates.seconds_left(name, who))

    async def _paced(self, name: str, who: str, free: int, longest_seconds: int) -> None:
        """Let the first tries pass, then one in each wait, which doubles; whoever comes within it is not counted."""
        waiting = f"{name}-wait"
        if left := await self._rates.seconds_left(waiting, who):
            raise _refusal(left)
        tries = await self._rates.count(name, who, seconds=_TRIES_SECONDS)
        if tries > free:
            seconds = min(2 ** min(tries - free, 16), longest_seconds)
            if await self._rates.count(waiting, who, seconds=seconds) > 1:  # another was quicker
                raise _refusal(await self._rates.seconds_left(waiting, who))

    def _hashed(self, who: str) -> str:
        typed = who.strip().lower().encode(errors="surrogatepass")
        return hmac.digest(self._key, typed, "sha256").hex()[:32]


def _network() -> str:
    return rates.network(device.HERE.get().ip_address)


def _refusal(seconds: float) -> RateLimited:
    return RateLimited(retry_after_seconds=max(1, math.ceil(seconds)))
