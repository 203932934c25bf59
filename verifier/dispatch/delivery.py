"""One delivery of a chunk: mail host by mail host under its lease, until every address is written or put off."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from verifier.dispatch import breaker, gate, verdicts
from verifier.dispatch.asking import Asking
from verifier.dispatch.gate import Gate, Lease
from verifier.dispatch.retries import Schedule
from verifier.dispatch.tally import Tally
from verifier.engine.check import Engine
from verifier.engine.evidence import Result
from verifier.store.database import Pool
from verifier.store.queries import chunks, results
from verifier.store.queries.chunks import Cause, Ending, Rest, Taken
from verifier.store.queries.leases import Answer, Report, Word

BUDGET_SECONDS = 120.0
BATCH = 50
WRITE_EVERY_SECONDS = 0.3
PAUSE_JITTER_SECONDS = 2.0


class Interrupted(Exception):
    """The worker stops: the chunk was given back and is to be delivered again at once."""


class Parts(Protocol):
    """What the deliveries of one worker share."""

    pool: Pool
    engine: Engine
    gate: Gate
    schedule: Schedule
    tally: Tally
    stopping: asyncio.Event
    egress: str | None


@dataclass(eq=False, slots=True)
class Delivery:
    """A chunk in our hands, with the lease for its mail hosts."""

    parts: Parts
    taken: Taken
    lease: Lease
    rests: list[Rest] = field(default_factory=list)
    is_canceled: asyncio.Event = field(default_factory=asyncio.Event)

    def cancel(self) -> None:
        """Stop asking: nothing of it may be written any more."""
        self.is_canceled.set()

    async def run_one(self, mail_host: str, answer: Answer) -> None:
        """Ask a chunk whose addresses have one mail host, of which the gate said this."""
        emails = list(self.taken.numbers)
        rows = (
            await self._ask({mail_host: emails}) if answer.is_lent else self._wait_for_pause(mail_host, answer, emails)
        )
        await self._end(rows)

    async def run_many(self, groups: dict[str, list[str]]) -> None:
        """Ask a packed chunk, in rounds: who has a free slot now; those that have none for long wait for another time.

        Addresses without a mail host need no lease.
        """
        rows: list[results.Verdict] = []
        waiting = dict(groups)
        alone = {host: waiting.pop(host) for host in groups if gate.is_alone(host)}
        since = asyncio.get_running_loop().time()
        while waiting or alone:
            answers = await self.parts.gate.acquire(self.lease, waiting) if waiting else {}
            for host in [host for host, answer in answers.items() if answer.is_paused]:
                rows += self._wait_for_pause(host, answers[host], waiting.pop(host))
            now = {host: waiting.pop(host) for host, answer in answers.items() if answer.is_lent}
            if now or alone:
                rows += await self._ask({**alone, **now})
                alone = {}
                since = asyncio.get_running_loop().time()
            elif asyncio.get_running_loop().time() - since > gate.WAIT_SECONDS:
                for host, emails in waiting.items():
                    seconds = self.parts.gate.turn_seconds(host, slots=answers[host].slots)
                    self._put_off(Cause.BUSY, emails, host, seconds)
                break
            elif waiting:
                await self._pause_for_slots()
        await self._end(rows)

    async def _pause_for_slots(self) -> None:
        await asyncio.sleep(gate.ASK_AGAIN_SECONDS)
        if self.parts.stopping.is_set():
            await self._give_back([])

    async def _ask(self, groups: Mapping[str, Sequence[str]]) -> list[results.Verdict]:
        """Ask addresses under their leases and write what is settled; return the rows that are still to be written."""
        hosts = {email: host for host, emails in groups.items() for email in emails}
        asking = Asking(self.parts.engine, list(hosts), BUDGET_SECONDS, is_settled=_is_settled, batch=BATCH)
        async with asking.running() as task:
            while await self._goes_on(asking, task):
                if asking.found:
                    await chunks.write(self.parts.pool, self.taken, self._rows(asking.drain()), Ending.GOES_ON)
        rows = self._rows(asking.drain())
        if self.is_canceled.is_set():
            raise results.TaskCanceledError
        if asking.has_ended:
            return rows + await self._conclude(asking.everything, hosts)
        if self.parts.stopping.is_set():
            await self._give_back(rows)
        # A fault of ours; the chunk stays taken until it is found without a job, and is given up in the end.
        if rows:
            await chunks.write(self.parts.pool, self.taken, rows, Ending.GOES_ON)
        task.result()
        raise RuntimeError("the engine ended without a result for every address")

    async def _give_back(self, rows: Sequence[results.Verdict]) -> None:
        await chunks.write(self.parts.pool, self.taken, rows, Ending.IS_RELEASED)
        raise Interrupted

    async def _goes_on(self, asking: Asking, task: asyncio.Task[None]) -> bool:
        """Wait for a batch, or for a while; False once the asking ended, the task was canceled or the worker stops."""
        ends = (self.parts.stopping, self.is_canceled)
        waits = [asyncio.create_task(event.wait()) for event in (asking.has_batch, *ends)]
        await asyncio.wait({task, *waits}, timeout=WRITE_EVERY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        return not (task.done() or any(event.is_set() for event in ends))

    async def _conclude(self, found: Sequence[Result], hosts: Mapping[str, str]) -> list[results.Verdict]:
        """Tell the gate how it went, mail host by mail host, and decide about the answers that may still change."""
        by_host: dict[str, list[Result]] = {}
        for result in found:
            by_host.setdefault(hosts[result.input], []).append(result)
        pauses = self.parts.schedule.pauses(is_in_zone=self.taken.is_in_zone)
        words: dict[str, Word] = {}
        for host, of_host in by_host.items():
            if gate.is_alone(host):
                words[host] = Word.NOTHING
                continue
            word = words[host] = breaker.judge(of_host)
            self.parts.tally.count(host, of_host, word)
            refusal = verdicts.refusal(of_host) if word is Word.BLOCKED else None
            self.lease.reports[host] = Report(host, word, pauses, refusal)
        paused = await self.parts.gate.give_back(self.lease)
        rows: list[results.Verdict] = []
        transient: list[Result] = []
        for host, of_host in by_host.items():
            blocked = [result for result in of_host if breaker.is_block(result)]
            transient += [result for result in of_host if not (_is_settled(result) or breaker.is_block(result))]
            if words[host] is Word.BLOCKED and self._may_wait_for_pause() and host in paused:
                self._put_off(Cause.PAUSED, [result.input for result in blocked], host, paused[host])
            else:
                rows += self._rows(blocked)
        return rows + self._ask_again(transient, hosts)

    def _ask_again(self, transient: Sequence[Result], hosts: Mapping[str, str]) -> list[results.Verdict]:
        """Put off what may change; return the rows of what stands because the schedule is spent."""
        taken = self.taken
        delay = self.parts.schedule.delay_seconds(taken.waits, is_in_zone=taken.is_in_zone, born_at=taken.born_at)
        if delay is None:
            return self._rows(transient)
        if transient:
            of = {hosts[result.input] for result in transient}
            host = of.pop() if len(of) == 1 else None
            named = host if host is not None and not gate.is_alone(host) else None
            self._put_off(Cause.TRANSIENT, [result.input for result in transient], named, delay)
        return []

    def _wait_for_pause(self, mail_host: str, answer: Answer, emails: Sequence[str]) -> list[results.Verdict]:
        """Put addresses of a paused mail host off; after pauses enough, return the block as their verdict."""
        if self._may_wait_for_pause():
            self._put_off(Cause.PAUSED, emails, mail_host, answer.wait_seconds)
            return []
        return [
            row
            for email in emails
            for row in verdicts.blocked(email, self.taken.numbers[email], mail_host, answer.refusal)
        ]

    def _may_wait_for_pause(self) -> bool:
        taken = self.taken
        return self.parts.schedule.waits_for_pause(taken.pauses, is_in_zone=taken.is_in_zone, born_at=taken.born_at)

    def _put_off(self, cause: Cause, emails: Sequence[str], mail_host: str | None, seconds: float) -> None:
        if cause is Cause.PAUSED:  # not all of them at the very moment when the pause ends
            seconds += random.uniform(0, min(PAUSE_JITTER_SECONDS, seconds))  # noqa: S311 - no secret
        ns = [n for email in emails for n in self.taken.numbers[email]]
        egress = self.parts.egress if cause is Cause.TRANSIENT else None
        self.rests.append(Rest(cause, ns, mail_host, seconds, egress))

    async def _end(self, rows: list[results.Verdict]) -> None:
        told = {row.n for row in rows}.union(*(rest.ns for rest in self.rests))
        missing = [n for ns in self.taken.numbers.values() for n in ns if n not in told]
        if missing:  # the engine said nothing about some of them: our fault, not theirs
            rows = [*rows, *verdicts.given_up(missing)]
        ending = Ending.IS_PUT_OFF if self.rests else Ending.IS_DONE
        await chunks.write(self.parts.pool, self.taken, rows, ending, self.rests)

    def _rows(self, found: Sequence[Result]) -> list[results.Verdict]:
        return [row for result in found for row in verdicts.of(result, self.taken.numbers.get(result.input, ()))]


def _is_settled(result: Result) -> bool:
    return not (result.is_transient or breaker.is_block(result))
