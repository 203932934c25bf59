"""Pacing by mail host: a chunk of one mail host runs under a lease that all workers share."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID, uuid4
from weakref import WeakValueDictionary

from verifier.store.database import Pool
from verifier.store.queries import leases

LEASE_SECONDS = 6.0
RENEW_SECONDS = 2.0
WAIT_SECONDS = 2.0
ASK_AGAIN_SECONDS = 0.1
WAITERS_MAX = 4  # of one mail host in this process that ask the database; the rest wait for them


class MailHostBusy(Exception):
    """All slots of the mail host stayed lent for as long as we wait."""


@dataclass(slots=True)
class Gate:
    """Lends slots of mail hosts to this worker's chunks; `renew` must run beside them."""

    pool: Pool
    held: set[UUID] = field(default_factory=set)
    turns: WeakValueDictionary[str, asyncio.Semaphore] = field(default_factory=WeakValueDictionary)

    @asynccontextmanager
    async def lease(self, mail_host: str | None) -> AsyncIterator[None]:
        """Hold a slot of a mail host, or raise MailHostBusy after two seconds; nothing is held for no mail host."""
        if mail_host is None:
            yield
            return
        holder = uuid4()
        turn = self.turns.setdefault(mail_host, asyncio.Semaphore(WAITERS_MAX))
        async with AsyncExitStack() as held:
            try:
                async with asyncio.timeout(WAIT_SECONDS):
                    await held.enter_async_context(turn)
                    # No event can wake us: who gives the slot back may be another process.
                    while not await leases.acquire(self.pool, mail_host, holder=holder, seconds=LEASE_SECONDS):  # noqa: ASYNC110
                        await asyncio.sleep(ASK_AGAIN_SECONDS)
            except TimeoutError as error:
                raise MailHostBusy(mail_host) from error
            self.held.add(holder)
            held.push_async_callback(self._release, mail_host, holder)
            yield

    async def _release(self, mail_host: str, holder: UUID) -> None:
        self.held.discard(holder)
        await leases.release(self.pool, mail_host, holder=holder)

    async def renew(self) -> None:
        """Lend what is held for longer, for ever."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            if self.held:
                await leases.renew(self.pool, self.held, seconds=LEASE_SECONDS)
