"""Pacing by mail host: who asks one holds a lease of it that all workers share, and tells how it went."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from verifier.store.database import Pool
from verifier.store.queries import leases
from verifier.store.queries.leases import Answer, Report, Word

LEASE_SECONDS = 6.0
RENEW_SECONDS = 2.0
WAIT_SECONDS = 2.0
ASK_AGAIN_SECONDS = 0.1
WAITERS_MAX = 4  # of one mail host in this process; more of them would take the places of chunks that could run
BUSY_SECONDS_MAX = 10.0
HELD_SECONDS_FIRST = 0.3


class MailHostBusy(Exception):
    """No slot of the mail host is free; `seconds` says when it is worth while to ask again."""

    def __init__(self, mail_host: str, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(mail_host)


@dataclass(slots=True)
class Lease:
    """Slots that one chunk holds. `reports` tells, when they are given back, how it went with each mail host."""

    holder: UUID = field(default_factory=uuid4)
    held: dict[str, Answer] = field(default_factory=dict)
    reports: dict[str, Report] = field(default_factory=dict)


@dataclass(slots=True)
class Gate:
    """Lends slots of mail hosts to this worker's chunks; `renew` must run beside them."""

    pool: Pool
    holders: set[UUID] = field(default_factory=set)
    waiting: Counter[str] = field(default_factory=Counter)
    turns: dict[str, float] = field(default_factory=dict)
    held_seconds: float = HELD_SECONDS_FIRST

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[Lease]:
        """Hold what `acquire` gets for this lease until the context ends."""
        lease = Lease()
        begun_at = asyncio.get_running_loop().time()
        self.holders.add(lease.holder)
        try:
            yield lease
        finally:
            self.holders.discard(lease.holder)
            if lease.held:
                self.held_seconds += (asyncio.get_running_loop().time() - begun_at - self.held_seconds) / 8
                await self.give_back(lease)

    async def acquire(self, lease: Lease, mail_hosts: Collection[str]) -> Mapping[str, Answer]:
        """Take a slot of each mail host that has one free now; say of every one how it stands."""
        answers = await leases.acquire(self.pool, mail_hosts, holder=lease.holder, seconds=LEASE_SECONDS)
        lease.held |= {mail_host: answer for mail_host, answer in answers.items() if answer.is_lent}
        return answers

    async def wait(self, lease: Lease, mail_host: str) -> Answer:
        """Take a slot of one mail host, after two seconds at the latest; a paused one is answered at once.

        Raises MailHostBusy.
        """
        if self.waiting[mail_host] >= WAITERS_MAX:
            raise MailHostBusy(mail_host, self.turn_seconds(mail_host))
        self.waiting[mail_host] += 1
        try:
            until = asyncio.get_running_loop().time() + WAIT_SECONDS
            # No event can wake us: who gives the slot back may be another process.
            while True:
                answer = (await self.acquire(lease, [mail_host]))[mail_host]
                if answer.is_lent or answer.is_paused:
                    return answer
                if asyncio.get_running_loop().time() >= until:
                    raise MailHostBusy(mail_host, self.turn_seconds(mail_host, slots=answer.slots))
                await asyncio.sleep(max(ASK_AGAIN_SECONDS, min(answer.wait_seconds, WAIT_SECONDS)))
        finally:
            self.waiting[mail_host] -= 1
            if not self.waiting[mail_host]:
                del self.waiting[mail_host]

    def turn_seconds(self, mail_host: str, *, slots: int = 1) -> float:
        """Return after how long a chunk that was refused is to be delivered again.

        Many refused chunks are spread over the time that the mail host will take for them, so that they do not all
        come back at once only to be refused again.
        """
        now = asyncio.get_running_loop().time()
        turn = max(self.turns.get(mail_host, now), now) + self.held_seconds / slots
        self.turns[mail_host] = min(turn, now + BUSY_SECONDS_MAX)
        if len(self.turns) > 10_000:
            self.turns = {host: at for host, at in self.turns.items() if at > now}
        return max(turn - now, ASK_AGAIN_SECONDS) * random.uniform(0.8, 1.2)  # noqa: S311 - no secret

    async def give_back(self, lease: Lease) -> Mapping[str, float]:
        """Give back what a lease holds, early if need be; return how long the blocked mail hosts are paused."""
        held, lease.held = lease.held, {}
        reports = [lease.reports.pop(host, Report(host, Word.NOTHING)) for host in sorted(held)]
        return await leases.release(self.pool, lease.holder, reports) if reports else {}

    async def renew(self) -> None:
        """Lend what is held for longer, for ever."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            if self.holders:
                await leases.renew(self.pool, self.holders, seconds=LEASE_SECONDS)


_ALONE = "domain:"


def alone(domain: str) -> str:
    """Return the name of the group of a domain without a mail host, as the engine gives it."""
    return _ALONE + domain


def is_alone(group: str) -> bool:
    """Tell whether a group has no mail host, so that there is nothing to pace."""
    return group.startswith(_ALONE)
