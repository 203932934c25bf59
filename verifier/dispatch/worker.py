"""The process that carries plans out: jobs from the queue, leases kept alive, lost chunks found again."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import structlog
from pgqueuer.db import AsyncpgPoolDriver
from pgqueuer.errors import FailingListenerError, RetryRequested
from pgqueuer.models import Job
from pgqueuer.qm import QueueManager
from pgqueuer.queries import Queries

from verifier.dispatch import delivery, gate, housekeeping, planner, retries, runner, tally
from verifier.engine.check import Engine
from verifier.settings import Settings
from verifier.store import database
from verifier.store.queries import jobs, orphans, workers
from verifier.webhooks import deliver

POOL_SIZE = 14
CHUNKS_A_CONNECTION = 0.75  # a chunk may use two; those that wait for one stand in no order of priority
BATCH = 10
LONG_PLANS = 2  # at a time, in a lane of their own
HEARTBEAT_SECONDS = 5.0  # a killed worker's jobs are picked by another one after this long
IDLE_SECONDS = 2.0  # how long at most until a free worker looks for such jobs
RECONCILE_SECONDS = 15.0
PROBE_SECONDS = 2.0
SEEN_SECONDS = 5.0
LISTENER_PROBE_SECONDS = 20.0
STOP_SECONDS = 4.0
AWAY_PAUSE_SECONDS = 1.0  # until PostgreSQL is looked for again

log = structlog.get_logger()


class DatabaseLost(Exception):
    """PostgreSQL went away; the worker is to begin anew."""


@dataclass(slots=True)
class Worker:
    """One worker; `run` lasts until `stopping` is set. Any number may run beside each other."""

    settings: Settings
    pool: database.Pool
    engine: Engine
    stopping: asyncio.Event
    id: UUID = field(default_factory=uuid4)
    ending: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when it was told to stop, and when it cannot go on: no work is begun any more."""

    async def run(self) -> None:
        """Work until told to stop, then give back what is unfinished. Raises DatabaseLost."""
        figures = tally.Tally(self.pool)
        chunk_runner = self._runner(figures)
        queues = [self._chunk_queue(chunk_runner), self._plan_queue()]
        most = [max(2 * BATCH, int(CHUNKS_A_CONNECTION * self.settings.concurrency)), LONG_PLANS]
        serving = {
            asyncio.create_task(
                queue.run(
                    batch_size=min(BATCH, limit // 2),
                    max_concurrent_tasks=limit,
                    dequeue_timeout=timedelta(seconds=IDLE_SECONDS),
                    heartbeat_timeout=timedelta(seconds=HEARTBEAT_SECONDS),
                )
            )
            for queue, limit in zip(queues, most, strict=True)
        }
        parts = (
            chunk_runner.gate.renew(), chunk_runner.watch(), figures.keep_flushing(), self._say_alive(),
            self._reconcile(), self._probe(),
            housekeeping.keep_purging(self.pool, housekeeping.Retention.of(self.settings)),
            deliver.run(self.pool, self.settings, self.ending),
            *(self._probe_listener(queue) for queue in queues),
        )  # fmt: skip
        beside = [asyncio.create_task(part) for part in parts]
        stop = asyncio.create_task(self.stopping.wait())
        try:
            done, _ = await asyncio.wait({*serving, stop, *beside}, return_when=asyncio.FIRST_COMPLETED)
            first = done.pop().exception()
            was_told = self.stopping.is_set()
            self.ending.set()
            for queue in queues:
                queue.shutdown.set()
            await asyncio.wait(serving, timeout=STOP_SECONDS if was_told else 1.0)
        finally:
            everything = (*serving, stop, *beside)
            for task in everything:
                task.cancel()
            outcomes = await asyncio.gather(*everything, return_exceptions=True)
        failures = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        if not failures:
            await self._say_goodbye(figures)
            return
        failures.sort(key=lambda failure: failure is not first)
        for failure in failures:
            if not isinstance(failure, (*database.LOST, FailingListenerError)):
                raise failure
        raise DatabaseLost(f"PostgreSQL went away: {failures[0]!r}") from failures[0]

    def _runner(self, figures: tally.Tally) -> runner.ChunkRunner:
        settings = self.settings
        schedule = retries.Schedule(
            settings.retry_seconds,
            settings.zone_retry_seconds,
            settings.pause_seconds,
            settings.zone_pause_seconds,
        )
        return runner.ChunkRunner(
            self.pool, self.engine, gate.Gate(self.pool), schedule, figures, self.ending, settings.egress_name
        )

    def _chunk_queue(self, chunk_runner: runner.ChunkRunner) -> QueueManager:
        """Return the queue of chunks and short plans."""
        queue = QueueManager(Queries(AsyncpgPoolDriver(self.pool)))

        async def verify(job: Job) -> None:
            with _asking_again():
                await chunk_runner.run(jobs.ChunkJob.from_payload(job.payload))

        queue.entrypoint(jobs.PLAN, on_failure="hold")(
            self._plan(planner.Planner(self.pool, self.engine, self.settings.zones))
        )
        for lane in (jobs.VERIFY, jobs.RETRY, jobs.retry_by(self.settings.egress_name)):
            queue.entrypoint(lane, on_failure="hold")(verify)
        return queue

    def _plan_queue(self) -> QueueManager:
        """Return the queue of long plans."""
        queue = QueueManager(Queries(AsyncpgPoolDriver(self.pool)))
        plan = self._plan(planner.Planner(self.pool, self.engine, self.settings.zones))
        queue.entrypoint(jobs.PLAN_LONG, on_failure="hold")(plan)
        return queue

    def _plan(self, plans: planner.Planner) -> Callable[[Job], Awaitable[None]]:
        async def plan(job: Job) -> None:
            with _asking_again():
                await self._unless_stopped(plans.plan(UUID((job.payload or b"").decode())))

        return plan

    async def _say_alive(self) -> None:
        """Let others see that this worker lives, and which way out it has."""
        while True:
            await workers.seen(self.pool, self.id, egress=self.settings.egress_name)
            await asyncio.sleep(SEEN_SECONDS)

    async def _say_goodbye(self, figures: tally.Tally) -> None:
        try:
            async with asyncio.timeout(1.0):
                await figures.flush()
                await workers.gone(self.pool, self.id)
        except (TimeoutError, *database.LOST) as error:
            log.warning("the last figures are lost", error=repr(error))

    async def _unless_stopped(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something that may be done again from its start; have it delivered again where the worker stops first."""
        doing, stop = asyncio.create_task(work), asyncio.create_task(self.ending.wait())
        await asyncio.wait({doing, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not doing.done():
            doing.cancel()
            raise delivery.Interrupted
        await doing

    async def _reconcile(self) -> None:
        """Enqueue now and then what no live job serves, though it should."""
        while True:
            found = await orphans.enqueue(self.pool, quiet_for=timedelta(seconds=RECONCILE_SECONDS))
            if found:
                log.warning("orphans enqueued again", count=found)
            await asyncio.sleep(RECONCILE_SECONDS)

    async def _probe(self) -> None:
        """Notice within seconds that PostgreSQL went away, also while nothing else asks it."""
        async with self.pool.acquire() as connection:  # held, so that a cut is felt even if new connections work
            while True:
                async with asyncio.timeout(PROBE_SECONDS * 5):
                    await database.probe(connection)
                await asyncio.sleep(PROBE_SECONDS)

    async def _probe_listener(self, queue: QueueManager) -> None:
        """Notice that the connection that hears of new jobs was cut; the worker would only look every two seconds.

        PgQueuer's own watch, `shutdown_on_listener_failure`, sends its first signal before anybody listens.
        """
        while True:
            await asyncio.sleep(LISTENER_PROBE_SECONDS)
            await queue.listener_healthy(timedelta(seconds=LISTENER_PROBE_SECONDS))


@contextlib.contextmanager
def _asking_again() -> Iterator[None]:
    """Make what asks for another delivery the queue's word for it."""
    try:
        yield
    except gate.MailHostBusy as busy:
        raise RetryRequested(timedelta(seconds=busy.seconds), reason="mail host busy") from busy
    except delivery.Interrupted as interrupted:
        raise RetryRequested(timedelta(0), reason="worker stops") from interrupted
    except database.LOST as lost:
        # As after a kill; sooner, and a database that comes and goes would use up the attempts of a chunk.
        raise RetryRequested(timedelta(seconds=HEARTBEAT_SECONDS), reason="PostgreSQL went away") from lost


async def run(settings: Settings, stopping: asyncio.Event, on_ready: Callable[[], None]) -> None:
    """Work until `stopping` is set; where PostgreSQL goes away, begin anew when it is back.

    Raises database.DatabaseUnusableError where it cannot be used from the beginning.
    """
    pool = await database.open_pool(settings.database_url, size=POOL_SIZE)
    on_ready()
    log.info("worker started", concurrency=settings.concurrency)
    while pool is not None:
        try:
            await _work(settings, pool, stopping)
            break
        except DatabaseLost as error:
            log.warning("the worker waits for PostgreSQL", error=str(error))
        pool = await _reopened(settings, stopping)
    log.info("worker stopped")


async def _work(settings: Settings, pool: database.Pool, stopping: asyncio.Event) -> None:
    engine = Engine(settings.engine_config())
    try:
        await Worker(settings, pool, engine, stopping).run()
    finally:
        await _close(engine, pool)


async def _reopened(settings: Settings, stopping: asyncio.Event) -> database.Pool | None:
    """Give a pool as soon as there can be one; None where the worker is told to stop first."""
    while not stopping.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), AWAY_PAUSE_SECONDS)
            break
        with contextlib.suppress(database.DatabaseUnusableError, *database.LOST):
            return await database.open_pool(settings.database_url, size=POOL_SIZE)
    return None


async def _close(engine: Engine, pool: database.Pool) -> None:
    try:
        async with asyncio.timeout(1.0):
            await engine.aclose()
            await pool.close()
    except (TimeoutError, *database.LOST):
        pool.terminate()
