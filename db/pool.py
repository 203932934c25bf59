"""Connections for single statements, each of which remembers on whose behalf it acts.

Taking one and giving it back costs no task and no round trip; neither does acting for whom it acted before. Identities
are set for the session, so these connections run hot reads alone, and none goes on after a statement whose end is not
known.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from db import acting

WAIT_SECONDS = 30.0
PASSED_OVER_MAX = 8
"""So often in a row one that waits for the identity that a connection has goes before the first in the queue."""


@dataclass(slots=True, eq=False)
class Held:
    """A connection in use, and whose rows it sees: an account's, or all (None)."""

    driver: asyncpg.Connection
    acting_for: UUID | None = None


class Pool:
    """At most `size` connections, opened when first needed and kept.

    Nobody waits longer than 30 seconds for one: TimeoutError.
    """

    def __init__(self, connect: Callable[[], Awaitable[asyncpg.Connection]], size: int) -> None:
        """Use what opens a connection that acts for nobody."""
        self._connect = connect
        self._size = size
        self._opened_count = 0
        self._free: list[Held] = []  # the last given back stands last
        self._used: set[Held] = set()
        self._waiting: deque[tuple[UUID | None, asyncio.Future[Held | None]]] = deque()
        self._passed_over_count = 0

    async def take(self, acting_for: UUID | None) -> Held:
        """A connection that acts for an account, or for nobody (None); to be given back or dropped by the caller."""
        held = self._found(acting_for) or await self._opened_or_waited_for(acting_for)
        self._used.add(held)
        try:
            if held.acting_for != acting_for:
                await held.driver.fetch(acting.BECOME, *acting.identity(acting_for))
                held.acting_for = acting_for
        except BaseException:
            self.drop(held)
            raise
        return held

    def give(self, held: Held) -> None:
        """Take a connection back, at rest."""
        self._used.discard(held)
        self._pass_on(held)

    def drop(self, held: Held) -> None:
        """End a connection that may be in the middle of something, or lost."""
        self._used.discard(held)
        self._opened_count -= 1
        held.driver.terminate()
        self._pass_on(None)

    def drop_free(self) -> None:
        """End those that are at rest: the server may have closed them."""
        while self._free:
            self.drop(self._free.pop())

    def close(self) -> None:
        """End every connection."""
        for held in [*self._free, *self._used]:
            held.driver.terminate()

    def _found(self, acting_for: UUID | None) -> Held | None:
        """One at rest that acts for whom it should; else, where no more may be opened, that which rests longest."""
        for place in range(len(self._free) - 1, -1, -1):
            if self._free[place].acting_for == acting_for and not self._free[place].driver.is_closed():
                return self._free.pop(place)
        if self._opened_count < self._size:
            return None
        while self._free:
            held = self._free.pop(0)
            if not held.driver.is_closed():
                return held
            self.drop(held)
        return None

    async def _opened_or_waited_for(self, acting_for: UUID | None) -> Held:
        async with asyncio.timeout(WAIT_SECONDS):
            while self._opened_count >= self._size:
                turn: asyncio.Future[Held | None] = asyncio.get_running_loop().create_future()
                self._waiting.append((acting_for, turn))
                try:
                    held = await turn
                except BaseException:
                    if turn.done() and not turn.cancelled():
                        self._pass_on(turn.result())  # what came too late for this one is for the next
                    raise
                if held is not None and not held.driver.is_closed():
                    return held
                if held is not None:
                    self.drop(held)
            self._opened_count += 1
            try:
                return Held(await self._connect())
            except BaseException:
                self._opened_count -= 1
                self._pass_on(None)
                raise

    def _pass_on(self, held: Held | None) -> None:
        """Give a connection, or the room for one, to who waits longest, or to one whom it need not be told of."""
        while self._waiting and self._waiting[0][1].done():
            self._waiting.popleft()
        if not self._waiting:
            if held is not None:
                self._free.append(held)
            return
        place = self._place_of(held.acting_for) if held is not None else 0
        self._passed_over_count = self._passed_over_count + 1 if place else 0
        turn = self._waiting[place][1]
        del self._waiting[place]
        turn.set_result(held)

    def _place_of(self, acting_for: UUID | None) -> int:
        """Where the first waits in the queue who wants this identity; 0 where nobody does, or it is the first's turn."""
        if self._passed_over_count < PASSED_OVER_MAX:
            for place, (wanted, turn) in enumerate(self._waiting):
                if wanted == acting_for and not turn.done():
                    return place
        return 0
