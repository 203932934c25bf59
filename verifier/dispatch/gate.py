"""Pacing by mail host: a chunk of one mail host runs under a lease that all workers share."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from verifier.store.database import Pool
from verifier.store.queries import leases

LEASE_SECONDS = 8.0
RENEW_SECONDS = 2.0
WAIT_SECONDS = 2.0
ASK_AGAIN_SECONDS = 0.1


class MailHostBusy(Exception):
    """All slots of the mail host stayed lent for as long as we wait."""


@dataclass(slots=True)
class Gate:
    """Lends slots of mail hosts to this worker's chunks; `renew` must run beside them."""

    pool: Pool
    held: set[UUID] = field(default_factory=set)

    @asynccontextmanager
    async def lease(self, mail_host: str | None) -> AsyncIterator[None]:
        """Hold a slot of a mail host; raise MailHostBusy after two seconds. Without a mail host there is nothing to hold."""
        if mail_host is None:
            yield
            return
        holder = uuid4()
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while not await leases.acquire(self.pool, mail_host, holder=holder, seconds=LEASE_SECONDS):
                    await asyncio.sleep(ASK_AGAIN_SECONDS)
        except TimeoutError as error:
            raise MailHostBusy(mail_host) from error
        self.held.add(holder)
        try:
            yield
        finally:
            self.held.discard(holder)
            await leases.release(self.pool, mail_host, holder=holder)

    async def renew(self) -> None:
        """Lend what is held for longer, for ever."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            if self.held:
                await leases.renew(self.pool, self.held, seconds=LEASE_SECONDS)
