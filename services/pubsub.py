"""Redis in the place of LISTEN and NOTIFY: how processes tell each other that something changed.

Messages carry ids, never contents, and may be lost.
"""

import asyncio
import contextlib
from collections.abc import Callable

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

_RECONNECT_SECONDS = 1.0
_ANSWER_SECONDS = 1.0
"""Longer than this nobody waits for Redis."""
_QUIET_SECONDS = 5.0
"""After this long without a message Redis is asked whether it is there."""
_LOST = (RedisError, OSError)  # TimeoutError is an OSError


class Listener:
    """One connection that listens to one channel for as long as `run` runs; it comes back after every loss."""

    def __init__(self, url: str, channel: str, hear: Callable[[str | None], None]) -> None:
        """`hear` gets each payload, and None after every (re)connection: what was missed is to be read anew."""
        self._url, self._channel, self._hear = url, channel, hear

    async def run(self) -> None:
        """Listen until cancelled."""
        while True:
            try:
                await self._listen_once()
            except _LOST as error:
                log.warning("listener_lost", channel=self._channel, error=type(error).__name__)
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _listen_once(self) -> None:
        async with _client(self._url) as client, client.pubsub() as listening:
            await listening.subscribe(self._channel)
            is_asked = False
            while True:
                message = await listening.get_message(timeout=_QUIET_SECONDS)
                if message is not None:
                    is_asked = False
                    self._take(message["type"], message["data"])
                elif is_asked:
                    raise TimeoutError
                else:
                    is_asked = True
                    await listening.ping()

    def _take(self, kind: str, payload: str) -> None:
        match kind:
            case "subscribe":
                self._hear(None)
            case "message":
                self._hear(payload)


class Notifier:
    """Sends messages. Never in a transaction that writes results."""

    def __init__(self, url: str) -> None:
        """Connects when the first message is sent."""
        self._client = _client(url)

    async def send(self, channel: str, payload: str) -> None:
        """Send one message; it is lost when Redis cannot be reached within a second."""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await self._client.publish(channel, payload)
        except _LOST as error:
            log.warning("notification_lost", channel=channel, error=type(error).__name__)

    async def close(self) -> None:
        """Close the connections, if there are any."""
        with contextlib.suppress(*_LOST):
            await self._client.aclose()


def _client(url: str) -> Redis:
    """A client that tells of a fault at once; those who use it come back by themselves."""
    return Redis.from_url(
        url,
        decode_responses=True,
        encoding_errors="replace",
        socket_timeout=_ANSWER_SECONDS,
        socket_connect_timeout=_ANSWER_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
