"""Who waits for which task or account: an in-process hub of latest values, fed by notifications of ids alone."""

import asyncio
import contextlib
import json
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterable
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from db import listen

CHANNEL = "mailverdict_task"
_FLUSH_SECONDS = 0.2
_IDS_MAX = listen.PAYLOAD_BYTES_MAX // 40
QUIET = timedelta(seconds=5)
"""A waiter looks for itself after this long without a word: a lost message then costs only delay."""


class Hub:
    """Wakes those who wait for a task or an account, and whoever wants to know of every change. One a process."""

    def __init__(self) -> None:
        """Nobody waits yet."""
        self._waiting: defaultdict[UUID, set[asyncio.Event]] = defaultdict(set)
        self._any = asyncio.Event()

    def hear(self, payload: str | None) -> None:
        """Take a notification; None means that some may have been missed, so everyone looks again."""
        self._any.set()
        try:
            changed = [UUID(i) for i in json.loads(payload)] if payload is not None else list(self._waiting)
        except (ValueError, TypeError, AttributeError):
            return
        for subject_id in changed:
            for event in self._waiting.get(subject_id, ()):
                event.set()

    async def wait_for_any(self, timeout_seconds: float) -> None:
        """Wait for any change, at most this long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                await self._any.wait()
        self._any.clear()

    async def changes(self, subject_id: UUID, *, gap: timedelta) -> AsyncGenerator[None, None]:
        """Yield when a task, or anything of an account, may have changed: at once, then at most once a gap."""
        event = asyncio.Event()
        self._waiting[subject_id].add(event)
        try:
            while True:
                event.clear()
                yield
                await asyncio.sleep(gap.total_seconds())
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(QUIET.total_seconds()):
                        await event.wait()
        finally:
            self._waiting[subject_id].discard(event)
            if not self._waiting[subject_id]:
                del self._waiting[subject_id]


class Notifier(Protocol):
    """Sends messages to those who listen to a channel: through PostgreSQL or Redis."""

    async def send(self, channel: str, payload: str) -> None:
        """Send one message, which may be lost; raises nothing."""

    async def close(self) -> None:
        """Close its connections."""


class Listener(Protocol):
    """Hears the messages of a channel: through PostgreSQL or Redis."""

    async def run(self) -> None:
        """Listen until cancelled."""


class Announcer:
    """Gathers the ids of what changed and sends them together, a few times a second."""

    def __init__(self, notifier: Notifier) -> None:
        """Sends through `notifier`."""
        self._notifier = notifier
        self._changed: set[UUID] = set()
        self._wake = asyncio.Event()
        self._closing = asyncio.Event()

    def changed(self, subject_ids: Iterable[UUID]) -> None:
        """Note that tasks, or things of accounts, have changed; it is announced within 0.2 seconds."""
        self._changed.update(subject_ids)
        if self._changed:
            self._wake.set()

    async def run(self) -> None:
        """Send until `close` is called."""
        while not self._closing.is_set():
            await self._wake.wait()
            self._wake.clear()
            await self.flush()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FLUSH_SECONDS):
                    await self._closing.wait()

    def close(self) -> None:
        """Let `run` send what is gathered and end. Not by cancelling it: a connection cut off in a query is noisy."""
        self._closing.set()
        self._wake.set()

    async def flush(self) -> None:
        """Send what is gathered."""
        while self._changed:
            batch = [self._changed.pop() for _ in range(min(_IDS_MAX, len(self._changed)))]
            await self._notifier.send(CHANNEL, json.dumps([str(i) for i in batch]))
