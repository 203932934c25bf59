"""The service's worker: posts parts upstream, follows them, brings their verdicts home.

Any number may run side by side. A part is leased for as long as it is worked on, so a worker that dies loses nothing:
the lease runs out and another goes on from the part's cursor.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog

from db import ids
from db.models import PartState, TaskPart
from db.queries import parts as queries
from db.session import Database
from services import ingest
from services.errors import UpstreamDown, UpstreamError, UpstreamMissing, UpstreamRefused
from services.progress import Announcer, Hub
from services.upstream.contract import LIST_IDS_MAX, RESULTS_MAX, Upstream, UpstreamTask
from services.upstream_keys import UpstreamKeys

log = structlog.get_logger(__name__)

_LEASE = timedelta(seconds=30)
_POLL_MIN, _POLL_MAX, _POLL_GROWTH = timedelta(seconds=0.2), timedelta(seconds=5), 1.5
_BACKOFF_MAX_SECONDS = 60.0
_GIVE_UP_AFTER = timedelta(hours=24)
_IDLE_SECONDS = 1.0
_PAGES_MAX = 5
_BEAT_SECONDS = 5.0
_RECOVER_SECONDS = 1.0
_REMADE_MAX = 1


@dataclass(frozen=True, slots=True)
class Worker:
    """What a worker works with."""

    db: Database
    upstream: Upstream
    keys: UpstreamKeys
    hub: Hub
    announcer: Announcer
    concurrency: int = 8

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; a part in hand is finished first."""
        beating = asyncio.create_task(self._beat())
        try:
            while not stop.is_set():
                try:
                    worked = await self.tick(datetime.now(UTC))
                except Exception:  # the loop outlives a lost database: it logs, waits and goes on
                    log.exception("worker_tick_failed")
                    await asyncio.sleep(_RECOVER_SECONDS)
                    continue
                if not worked:
                    await self._rest(stop)
        finally:
            beating.cancel()
            await self.announcer.flush()

    async def tick(self, now: datetime) -> int:
        """Act on every part that is due; how many those were."""
        async with self.db.transaction() as session:
            due = await queries.lease_due(session, now, limit=LIST_IDS_MAX, lease=_LEASE)
        gate = asyncio.Semaphore(self.concurrency)

        async def guarded(parts: Sequence[TaskPart], act: Callable[[], Awaitable[None]]) -> None:
            async with gate:
                await self._guard(parts, act, now)

        async with asyncio.TaskGroup() as group:
            running = defaultdict(list)
            for part in due:
                if part.state is PartState.RUNNING:
                    running[part.account_id].append(part)
                else:
                    act = self._post if part.state is PartState.WAITING else self._stop
                    group.create_task(guarded([part], lambda p=part, a=act: a(p, now)))  # type: ignore[misc]
            for parts in (await self._by_key(running)).values():
                group.create_task(guarded(parts, lambda ps=parts: self._follow(ps, now)))  # type: ignore[misc]
        return len(due)

    async def _by_key(self, running: dict[UUID, list[TaskPart]]) -> dict[str, list[TaskPart]]:
        by_key: defaultdict[str, list[TaskPart]] = defaultdict(list)
        for account_id, parts in running.items():
            by_key[await self.keys.of(account_id)] += parts
        return by_key

    async def _guard(self, parts: Sequence[TaskPart], act: Callable[[], Awaitable[None]], now: datetime) -> None:
        try:
            await act()
        except UpstreamDown as error:
            for part in parts:
                await self._postpone(part, now, error)
        except UpstreamError as error:
            for part in parts:
                await self._fail(part, str(error), now)

    async def _post(self, part: TaskPart, _now: datetime) -> None:
        key = (part.task_id, part.n)
        async with self.db.read() as session:
            emails = await queries.addresses(session, key)
        credential = await self.keys.of(part.account_id)
        idempotency_key = f"{part.task_id}:{part.n}" + (f":{part.remade_count}" if part.remade_count else "")
        upstream_id = await self.upstream.create(credential, emails, idempotency_key=idempotency_key)
        async with self.db.transaction() as session:
            await queries.mark_running(session, key, upstream_id, datetime.now(UTC), _POLL_MIN)
        self.announcer.changed([part.task_id])
        log.info("part_posted", task_id=ids.global_id("task", part.task_id), part=part.n, addresses=len(emails))

    async def _follow(self, parts: Sequence[TaskPart], now: datetime) -> None:
        credential = await self.keys.of(parts[0].account_id)
        found = await self.upstream.tasks(credential, [p.upstream_id for p in parts if p.upstream_id is not None])
        for part in parts:
            task = found.get(part.upstream_id) if part.upstream_id is not None else None
            try:
                if task is None:
                    raise UpstreamMissing
                await self._bring_home(part, task, credential)
            except UpstreamMissing:
                await self._remake(part, now)

    async def _bring_home(self, part: TaskPart, task: UpstreamTask, credential: str) -> None:
        """Drain the results so far, then move the counters: what is counted is always there to be read."""
        key, cursor, drained = (part.task_id, part.n), part.cursor, 0
        pages = 0
        while True:
            page = await self.upstream.results(credential, task.id, after=cursor)
            if not page.results:
                break
            async with self.db.transaction() as session:
                recorded = await ingest.record_batch(session, key, page.results, seen=cursor, cursor=page.next_after)
            if recorded is None:
                return
            cursor, drained, pages = page.next_after, drained + recorded.new_count, pages + 1
            # A part that runs is not chased to its newest result: its counters move, and it is soon looked at again.
            if not task.is_over and (pages == _PAGES_MAX or len(page.results) < RESULTS_MAX):
                break
        now = datetime.now(UTC)
        if task.is_over:
            if await ingest.end_part(self.db, key, task.snapshot, now):
                log.info("task_completed", task_id=ids.global_id("task", part.task_id))
        else:
            await ingest.record_snapshot(self.db, key, task.snapshot, now)
            await self._poll_again(part, now, has_moved=drained > 0)
        if drained or task.is_over:
            self.announcer.changed([part.task_id])

    async def _poll_again(self, part: TaskPart, now: datetime, *, has_moved: bool) -> None:
        grown = min(part.poll_seconds * _POLL_GROWTH, _POLL_MAX.total_seconds())
        seconds = _POLL_MIN.total_seconds() if has_moved else grown
        async with self.db.transaction() as session:
            await queries.change(
                session,
                (part.task_id, part.n),
                due_at=now + timedelta(seconds=seconds),
                poll_seconds=seconds,
                attempt=0,
            )

    async def _remake(self, part: TaskPart, now: datetime) -> None:
        """Upstream has lost the task: made again once with what still lacks a verdict, then failed."""
        if part.remade_count >= _REMADE_MAX:
            await self._fail(part, "The verifier lost the task twice.", now)
            return
        async with self.db.transaction() as session:
            await queries.change(
                session,
                (part.task_id, part.n),
                state=PartState.WAITING,
                upstream_id=None,
                cursor=0,
                remade_count=part.remade_count + 1,
                due_at=now,
            )

    async def _stop(self, part: TaskPart, _now: datetime) -> None:
        if part.upstream_id is not None:
            try:
                await self.upstream.cancel(await self.keys.of(part.account_id), part.upstream_id)
            except (UpstreamMissing, UpstreamRefused):
                log.info("part_not_there_to_stop", task_id=ids.global_id("task", part.task_id), part=part.n)
        async with self.db.transaction() as session:
            await queries.change(session, (part.task_id, part.n), state=PartState.ENDED)

    async def _postpone(self, part: TaskPart, now: datetime, error: UpstreamDown) -> None:
        """Try again later, as upstream asks or with doubling waits; after 24 hours give up."""
        if now - ids.made_at(part.task_id) > _GIVE_UP_AFTER and part.state is PartState.WAITING:
            await self._fail(part, "The verifier could not be reached for 24 hours.", now)
            return
        wait = error.retry_after_seconds or min(2.0 ** min(part.attempt, 10), _BACKOFF_MAX_SECONDS)
        log.warning("upstream_down", task_id=ids.global_id("task", part.task_id), wait_seconds=wait, error=str(error))
        async with self.db.transaction() as session:
            await queries.change(
                session,
                (part.task_id, part.n),
                due_at=now + timedelta(seconds=wait),
                attempt=part.attempt + 1,
            )

    async def _fail(self, part: TaskPart, reason: str, now: datetime) -> None:
        log.error("task_failed", task_id=ids.global_id("task", part.task_id), reason=reason)
        await ingest.fail(self.db, part.task_id, reason, now)
        self.announcer.changed([part.task_id])

    async def _rest(self, stop: asyncio.Event) -> None:
        """Sleep until a part is due, a task changes, or a second has passed."""
        async with self.db.read() as session:
            due_at = await queries.next_due_at(session)
        wait = _IDLE_SECONDS
        if due_at is not None:
            wait = min(max((due_at - datetime.now(UTC)).total_seconds(), 0.01), _IDLE_SECONDS)
        waking = asyncio.create_task(self.hub.wait_for_any(wait))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({waking, stopping}, return_when=asyncio.FIRST_COMPLETED)
        waking.cancel()
        stopping.cancel()

    async def _beat(self) -> None:
        worker_id, started_at = ids.new_uuid(), datetime.now(UTC)
        while True:
            try:
                async with self.db.transaction() as session:
                    await queries.beat(session, worker_id, started_at, datetime.now(UTC))
            except Exception:  # noqa: BLE001 - a missed beat shows in readiness; the next may work
                log.warning("heartbeat_failed")
            await asyncio.sleep(_BEAT_SECONDS)
