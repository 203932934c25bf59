"""The engine at work on addresses: it asks in the background, what it finds waits here until it is written."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field

from verifier.engine.check import Engine
from verifier.engine.evidence import Result


@dataclass(slots=True)
class Asking:
    """Addresses that are being asked. What `is_settled` says of is found at once, the rest is kept for the end."""

    engine: Engine
    emails: Sequence[str]
    budget_seconds: float
    is_settled: Callable[[Result], bool]
    batch: int
    found: list[Result] = field(default_factory=list)
    everything: list[Result] = field(default_factory=list)
    has_ended: bool = False
    has_batch: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        """Ask while the context lasts; leaving it before the end stops the asking. Yields the task that asks."""
        task = asyncio.create_task(self._ask())
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait({task})

    def drain(self) -> list[Result]:
        """Return what was settled since the last call."""
        found, self.found = self.found, []
        self.has_batch.clear()
        return found

    async def _ask(self) -> None:
        async with aclosing(self.engine.check_many(self.emails, budget_seconds=self.budget_seconds)) as results:
            async for result in results:
                self.everything.append(result)
                if self.is_settled(result):
                    self.found.append(result)
                if len(self.found) >= self.batch:
                    self.has_batch.set()
        self.has_ended = True
