"""LISTEN and NOTIFY: how processes tell each other that something changed.

Messages carry ids, never contents, and may be lost.
"""

import asyncio
import contextlib
from collections.abc import Callable

import asyncpg
import structlog

log = structlog.get_logger(__name__)

_RECONNECT_SECONDS = 1.0
_LOST = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What the driver raises when its connection goes; the last when that happens just as a query begins."""
PAYLOAD_BYTES_MAX = 7900
"""PostgreSQL refuses a payload of 8,000 bytes and more."""


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
        connection = await asyncpg.connect(self._url, server_settings={"application_name": "mailverdict-listen"})
        closed = asyncio.Event()
        try:
            connection.add_termination_listener(lambda _: closed.set())
            await connection.add_listener(self._channel, lambda *args: self._hear(args[3]))
            self._hear(None)
            await closed.wait()
        finally:
            with contextlib.suppress(Exception):
                await connection.close(timeout=1)


class Notifier:
    """One connection that sends notifications, in autocommit: never in a transaction that writes results."""

    def __init__(self, url: str) -> None:
        """Connects when the first message is sent."""
        self._url = url
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._one_at_a_time = asyncio.Lock()

    async def send(self, channel: str, payload: str) -> None:
        """Send one message; it is lost when PostgreSQL cannot be reached."""
        async with self._one_at_a_time:
            try:
                if self._connection is None or self._connection.is_closed():
                    self._connection = await asyncpg.connect(self._url)
                await self._connection.execute("SELECT pg_notify($1, $2)", channel, payload)
            except _LOST as error:
                log.warning("notification_lost", channel=channel, error=type(error).__name__)
                await self.close()

    async def close(self) -> None:
        """Close the connection, if there is one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                await connection.close(timeout=1)
