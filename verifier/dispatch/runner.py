"""One chunk, from the queue to its verdicts: leased, taken, asked, written as it goes, put off where that may help."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from verifier.dispatch import verdicts
from verifier.dispatch.asking import Asking
from verifier.dispatch.gate import Gate
from verifier.dispatch.retries import Schedule
from verifier.engine.check import Engine
from verifier.engine.evidence import Result
from verifier.store.database import Pool
from verifier.store.queries import chunks, jobs, results
from verifier.store.queries.chunks import Ending, Taken

BUDGET_SECONDS = 120.0
BATCH = 50
WRITE_EVERY_SECONDS = 0.3
STALLS_MAX = 5

log = structlog.get_logger()


class Interrupted(Exception):
    """The worker stops: the chunk was given back and is to be delivered again at once."""


@dataclass(slots=True)
class ChunkRunner:
    """Runs chunks of this worker; any number at once."""

    pool: Pool
    engine: Engine
    gate: Gate
    schedule: Schedule
    stopping: asyncio.Event

    async def run(self, job: jobs.ChunkJob) -> None:
        """Run one chunk. Raises gate.MailHostBusy and Interrupted, both of which ask for another delivery."""
        if self.stopping.is_set():
            raise Interrupted
        async with self.gate.lease(job.mail_host):
            taken = await chunks.take(self.pool, job)
            if taken is None:
                return
            try:
                await self._run(taken)
            except chunks.TokenLostError:
                log.warning("chunk lost to another worker", chunk=str(taken.id))
            except results.TaskCanceledError:
                await chunks.drop(self.pool, taken)

    async def _run(self, taken: Taken) -> None:
        if taken.stalls > STALLS_MAX:
            log.error("chunk given up", chunk=str(taken.id), task=str(taken.task_id), addresses=taken.open_count)
            ns = [n for ns in taken.numbers.values() for n in ns]
            await chunks.write(self.pool, taken, verdicts.given_up(ns), Ending.IS_DONE)
            return
        delay = self.schedule.delay_seconds(taken.retries, is_in_zone=taken.is_in_zone)
        asking = Asking(self.engine, list(taken.numbers), BUDGET_SECONDS, keeps_transient=delay is None, batch=BATCH)
        async with asking.running() as task:
            while await self._goes_on(asking, task):
                if asking.found:
                    await chunks.write(self.pool, taken, _rows(taken, asking.drain()), Ending.GOES_ON)
        rows = _rows(taken, asking.drain())
        if asking.has_ended:
            await self._end(taken, rows, delay)
        elif self.stopping.is_set():
            await chunks.write(self.pool, taken, rows, Ending.IS_RELEASED)
            raise Interrupted
        else:  # a fault of ours; the chunk stays taken until it is found without a job, and is given up in the end
            if rows:
                await chunks.write(self.pool, taken, rows, Ending.GOES_ON)
            task.result()

    async def _goes_on(self, asking: Asking, task: asyncio.Task[None]) -> bool:
        """Wait for a batch, or for a while; False once the asking ended or the worker stops."""
        waits = [asyncio.create_task(event.wait()) for event in (asking.has_batch, self.stopping)]
        await asyncio.wait({task, *waits}, timeout=WRITE_EVERY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        return not (task.done() or self.stopping.is_set())

    async def _end(self, taken: Taken, rows: list[results.Verdict], delay: float | None) -> None:
        if len(rows) == taken.open_count:
            await chunks.write(self.pool, taken, rows, Ending.IS_DONE)
        elif delay is not None:
            await chunks.write(self.pool, taken, rows, Ending.IS_PUT_OFF, delay_seconds=delay)
        else:  # the engine said nothing about some of them: our fault, not theirs
            told = {row.n for row in rows}
            missing = [n for ns in taken.numbers.values() for n in ns if n not in told]
            await chunks.write(self.pool, taken, [*rows, *verdicts.given_up(missing)], Ending.IS_DONE)


def _rows(taken: Taken, found: Sequence[Result]) -> list[results.Verdict]:
    return [row for result in found for row in verdicts.of(result, taken.numbers.get(result.input, ()))]
