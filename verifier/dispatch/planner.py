"""The plan of a task: malformed addresses are settled, the rest is cut into chunks by mail host."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import structlog

from verifier.dispatch import chunking, verdicts
from verifier.engine.check import Engine
from verifier.engine.config import Zone
from verifier.store.database import Pool
from verifier.store.queries import jobs, plans
from verifier.store.queries.results import Verdict

LOOKUPS_AT_ONCE = 50
LOOKUP_SECONDS = 4.0  # a domain that takes longer stands alone in the plan
MALFORMED_SECONDS = 10.0
JOBS_BEFORE_ANALYZE = 1000

log = structlog.get_logger()


@dataclass(slots=True)
class Planner:
    """Plans tasks, one call each; safe to call twice and from several workers."""

    pool: Pool
    engine: Engine
    zones: Sequence[Zone]
    jobs_since_analyze: int = 0

    async def plan(self, task_id: UUID) -> None:
        """Plan a task; after too many attempts that died on the way, give its addresses up."""
        unplanned = await plans.begin(self.pool, task_id)
        if unplanned is None:
            return
        if unplanned.attempts > plans.ATTEMPTS_MAX:
            ns = [*unplanned.malformed, *(n for ns in unplanned.numbers.values() for n in ns)]
            log.error("plan given up", task=str(task_id), attempts=unplanned.attempts)
            await plans.write(self.pool, task_id, settled=verdicts.given_up(ns), chunks=())
            return
        settled = await self._malformed(unplanned.malformed)
        chunks = self._short(unplanned) if unplanned.is_short else await self._chunks(unplanned.numbers)
        made = await plans.write(self.pool, task_id, settled=settled, chunks=chunks)
        log.info("planned", task=str(task_id), chunks=made, malformed=len(settled))
        self.jobs_since_analyze += made
        if self.jobs_since_analyze > JOBS_BEFORE_ANALYZE:
            self.jobs_since_analyze = 0
            await jobs.analyze(self.pool)

    async def _malformed(self, malformed: Mapping[int, str]) -> list[Verdict]:
        numbers: dict[str, list[int]] = {}
        for n, email in malformed.items():
            numbers.setdefault(email, []).append(n)
        return [
            verdict
            async for result in self.engine.check_many(list(numbers), budget_seconds=MALFORMED_SECONDS)
            for verdict in verdicts.of(result, numbers[result.input])
        ]

    def _short(self, unplanned: plans.Unplanned) -> list[plans.NewChunk]:
        """Return one chunk, and one of the sandbox, without asking for mail hosts: who runs it has to ask anyway."""
        ns: dict[bool, list[int]] = {True: [], False: []}
        for email, numbers in unplanned.numbers.items():
            ns[self._is_in_zone(email.rpartition("@")[2])] += numbers
        return [plans.NewChunk(None, is_in_zone, numbers) for is_in_zone, numbers in ns.items() if numbers]

    def _is_in_zone(self, domain: str) -> bool:
        return any(zone.covers(domain) for zone in self.zones)

    async def _chunks(self, numbers: Mapping[str, Sequence[int]]) -> list[plans.NewChunk]:
        by_domain: dict[str, list[Sequence[int]]] = {}
        for email, ns in numbers.items():
            by_domain.setdefault(email.rpartition("@")[2], []).append(ns)
        hosts = await self._mail_hosts(by_domain)
        groups: dict[bool, dict[str, list[Sequence[int]]]] = {True: {}, False: {}}
        for domain, addresses in by_domain.items():
            groups[self._is_in_zone(domain)].setdefault(hosts[domain], []).extend(addresses)
        return [chunk for is_in_zone, group in groups.items() for chunk in chunking.cut(group, is_in_zone=is_in_zone)]

    async def _mail_hosts(self, domains: Iterable[str]) -> dict[str, str]:
        """Ask for the mail host of every domain, so many at once; who does not answer in time stands alone."""
        hosts = {domain: f"domain:{domain}" for domain in domains}
        waiting = iter(list(hosts))

        async def ask() -> None:
            for domain in waiting:
                hosts[domain] = await self.engine.mail_host_group(domain)

        try:
            async with asyncio.timeout(LOOKUP_SECONDS), asyncio.TaskGroup() as group:
                for _ in range(min(LOOKUPS_AT_ONCE, len(hosts))):
                    group.create_task(ask())
        except TimeoutError:
            log.warning("some mail hosts were not found in time", seconds=LOOKUP_SECONDS)
        return hosts
