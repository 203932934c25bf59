"""One chunk, from the queue to its verdicts: leased, taken, asked, written as it goes, put off where that may help."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import structlog

from verifier.dispatch import gate, verdicts
from verifier.dispatch.delivery import Delivery, Interrupted
from verifier.dispatch.gate import Gate, Lease
from verifier.dispatch.retries import Schedule
from verifier.dispatch.tally import Tally
from verifier.engine.check import Engine
from verifier.store.database import Pool
from verifier.store.queries import chunks, jobs, results
from verifier.store.queries.chunks import Ending, Taken
from verifier.store.queries.leases import Answer

STALLS_MAX = 5
LOOKUP_SECONDS = 1.0
CANCELED_EVERY_SECONDS = 1.0

log = structlog.get_logger()


@dataclass(slots=True)
class ChunkRunner:
    """Runs chunks of this worker; any number at once. `watch` must run beside them."""

    pool: Pool
    engine: Engine
    gate: Gate
    schedule: Schedule
    tally: Tally
    stopping: asyncio.Event
    egress: str | None = None
    deliveries: set[Delivery] = field(default_factory=set)
    alone: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by the one chunk at a time that was taken before without progress."""

    async def run(self, job: jobs.ChunkJob) -> None:
        """Run one chunk. Raises gate.MailHostBusy and Interrupted, both of which ask for another delivery."""
        try:
            await self._deliver(job, is_alone=False)
        except chunks.SuspectError:
            async with self.alone:
                await self._deliver(job, is_alone=True)

    async def _deliver(self, job: jobs.ChunkJob, *, is_alone: bool) -> None:
        if self.stopping.is_set():
            raise Interrupted
        async with self.gate.lease() as lease:
            answers: dict[str, Answer] = {}
            if job.mail_host is not None:
                answers[job.mail_host] = await self.gate.wait(lease, job.mail_host)
            taken = await chunks.take(self.pool, job, is_alone=is_alone)
            if taken is None:
                return
            try:
                await self._run(taken, lease, answers)
            except chunks.TokenLostError:
                log.warning("chunk lost to another worker", chunk=str(taken.id))
            except results.TaskCanceledError:
                await chunks.drop(self.pool, taken)

    async def _run(self, taken: Taken, lease: Lease, answers: Mapping[str, Answer]) -> None:
        if taken.stalls > STALLS_MAX:
            log.error("chunk given up", chunk=str(taken.id), task=str(taken.task_id), addresses=taken.open_count)
            ns = [n for ns in taken.numbers.values() for n in ns]
            await chunks.write(self.pool, taken, verdicts.given_up(ns), Ending.IS_DONE)
            return
        delivery = Delivery(self, taken, lease)
        self.deliveries.add(delivery)
        try:
            if taken.mail_host is not None and taken.mail_host in answers:
                await delivery.run_one(taken.mail_host, answers[taken.mail_host])
            else:
                await delivery.run_many(await self._by_mail_host(list(taken.numbers)))
        finally:
            self.deliveries.discard(delivery)

    async def _by_mail_host(self, emails: Sequence[str]) -> dict[str, list[str]]:
        """Sort the addresses of a packed chunk; a domain that does not answer at once stands for itself."""
        domains = {email: email.rpartition("@")[2] for email in emails}
        lookups = {domain: asyncio.create_task(self.engine.mail_host_group(domain)) for domain in set(domains.values())}
        if lookups:
            await asyncio.wait(lookups.values(), timeout=LOOKUP_SECONDS)
        groups: dict[str, list[str]] = {}
        for email, domain in domains.items():
            lookup = lookups[domain]
            group = lookup.result() if lookup.done() and not lookup.exception() else gate.alone(domain)
            groups.setdefault(group, []).append(email)
        for lookup in lookups.values():
            lookup.cancel()
        await asyncio.gather(*lookups.values(), return_exceptions=True)
        return groups

    async def watch(self) -> None:
        """Stop at once, for ever, what is asked for tasks that were canceled."""
        while True:
            await asyncio.sleep(CANCELED_EVERY_SECONDS)
            if not self.deliveries:
                continue
            task_ids: set[UUID] = {delivery.taken.task_id for delivery in self.deliveries}
            canceled = await chunks.canceled(self.pool, task_ids)
            for delivery in self.deliveries:
                if delivery.taken.task_id in canceled:
                    delivery.cancel()
