"""The service's worker: posts parts upstream, follows them, brings their verdicts home.

Any number may run side by side. A part is leased for as long as it is worked on, so a worker that dies loses nothing:
the lease runs out and another goes on from the part's cursor.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import structlog

from db import ids
from db.models import PartState, TaskPart
from db.queries import parts as queries
from db.session import Database
from services import chores, ingest, searching
from services.errors import UpstreamDown, UpstreamError, UpstreamMissing, UpstreamRefused
from services.payments.port import Payments
from services.progress import Announcer, Hub
from services.upstream.contract import LIST_IDS_MAX, Upstream, UpstreamTask
from services.upstream_keys import UpstreamKeys
from services.usage import Usage

log = structlog.get_logger(__name__)

_LEASE = timedelta(seconds=30)
_POLL_MIN, _POLL_MAX, _POLL_GROWTH = timedelta(seconds=0.2), timedelta(seconds=5), 1.5
_BACKOFF_MAX_SECONDS = 60.0
_GIVE_UP_AFTER = timedelta(hours=24)
_UNREACHABLE = "The verifier could not be reached for 24 hours."
_BROKEN = "An internal error, which the service's log names, kept the task from going on for 24 hours."
_IDLE_SECONDS = 5.0
"""Whatever makes a part due is announced: a look without a word is for messages that were lost."""
_PAGES_MAX = 5
_BEAT_SECONDS = 5.0
_RECOVER_SECONDS = 1.0
_REST_SECONDS_MIN = 0.02
_ACT_SECONDS = 25.0
"""Less than a lease, so that nobody else takes up what is still in hand."""
_REMADE_MAX = 1


@dataclass(frozen=True, slots=True)
class Worker:
    """What a worker works with."""

    db: Database
    upstream: Upstream
    keys: UpstreamKeys
    hub: Hub
    announcer: Announcer
    usage: Usage
    concurrency: int = 8
    payments: Payments | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; a part in hand is finished first."""
        beside = [chore.repeat() for chore in chores.of_worker(self.db, self.payments, self.announcer)]
        tasks = [asyncio.create_task(work) for work in (self._beat(), *beside)]
        acting: set[asyncio.Task[None]] = set()
        wake = asyncio.Event()

        def end(task: asyncio.Task[None]) -> None:
            acting.discard(task)
            wake.set()

        try:
            # Nobody waits for the slowest: parts that fall due are acted on while others hang.
            async with asyncio.TaskGroup() as group:
                while not stop.is_set():
                    try:
                        acts = await self._acts(datetime.now(UTC), slots=self.concurrency - len(acting))
                        if not acts:
                            await self._rest(stop, wake, is_busy=len(acting) >= self.concurrency)
                    except Exception:  # the loop outlives a lost database: it logs, waits and goes on
                        log.exception("worker_tick_failed")
                        await asyncio.sleep(_RECOVER_SECONDS)
                        continue
                    for act in acts:
                        task = group.create_task(act)
                        acting.add(task)
                        task.add_done_callback(end)
        finally:
            for task in tasks:
                task.cancel()
            await self.announcer.flush()

    async def tick(self, now: datetime) -> int:
        """Act once on what is due, to the end; how many acts those were."""
        acts = await self._acts(now, slots=LIST_IDS_MAX)
        await asyncio.gather(*acts)
        return len(acts)

    async def _acts(self, now: datetime, *, slots: int) -> list[Coroutine[Any, Any, None]]:
        """Lease what is due, for as many acts as there are slots: one a part to post or stop, one to follow."""
        if slots <= 0:
            return []
        async with self.db.transaction() as session:
            moving = await queries.lease_due(
                session, now, (PartState.WAITING, PartState.STOPPING), limit=slots, lease=_LEASE
            )
            running = await queries.lease_due(session, now, (PartState.RUNNING,), limit=LIST_IDS_MAX, lease=_LEASE)
            sent = await queries.lease_due(session, now, (PartState.SENT,), limit=LIST_IDS_MAX, lease=_LEASE)
        acts = []
        for part in moving:
            # One that is to be stopped and has no id may be upstream all the same: the same key gives the same task.
            is_to_be_posted = part.state is PartState.WAITING or (part.upstream_id is None and self.upstream.gives_ids)
            act = self._post if is_to_be_posted else self._stop
            acts.append(self._guard([part], now, act(part)))
        for parts, act_on in ((running, self._follow), (sent, self._search)):
            by_reader: defaultdict[UUID | None, list[TaskPart]] = defaultdict(list)
            for part in parts:
                by_reader[self.keys.reader_of(part.account_id)].append(part)
            for reader, its in by_reader.items():
                acts.append(self._guard(its, now, act_on(reader, its, now)))
        return acts

    async def _guard(self, parts: Sequence[TaskPart], now: datetime, act: Coroutine[Any, Any, None]) -> None:
        """Do something with parts; what goes wrong puts off or ends these alone. Ends before their lease does."""
        try:
            try:
                async with asyncio.timeout(_ACT_SECONDS):
                    await act
            except UpstreamDown as error:
                await self._postpone(parts, now, error)
            except TimeoutError:
                await self._postpone(parts, now, UpstreamDown(is_timeout=True))
            except UpstreamError as error:
                for part in parts:
                    await self._fail(part, str(error), now)
            except Exception:
                log.exception("part_not_done", task_ids=[ids.global_id("task", part.task_id) for part in parts])
                await self._postpone(parts, now, None)
        except Exception:  # the database is away, perhaps: the leases run out, and somebody goes on
            log.exception("parts_not_put_off", task_ids=[ids.global_id("task", part.task_id) for part in parts])

    async def _post(self, part: TaskPart) -> None:
        async with self.db.read() as session:
            emails = await queries.addresses(session, part.key)
        create = partial(self.upstream.create, emails=emails, idempotency_key=part.idempotency_key)
        try:
            if self.upstream.gives_ids:
                upstream_id = await self.keys.asking(part.account_id, create)
            else:
                upstream_id = await self._send(part, create)
        except (UpstreamMissing, UpstreamRefused):  # what was refused is not there to be looked for, or to be stopped
            async with self.db.transaction() as session:
                await queries.mark_unsent(session, part.key)
            raise
        if upstream_id is None:
            return
        async with self.db.transaction() as session:
            await queries.mark_running(session, part.key, upstream_id, datetime.now(UTC), _POLL_MIN)
        self.announcer.changed([part.task_id, part.account_id])
        log.info("part_posted", task_id=ids.global_id("task", part.task_id), part=part.n, addresses=len(emails))

    async def _send(self, part: TaskPart, create: Callable[[str], Awaitable[UUID | None]]) -> UUID | None:
        """Post a part to an upstream that may not tell its id, once. What may have arrived is looked for afterwards."""
        now = datetime.now(UTC)
        async with self.db.transaction() as session:
            if not await queries.mark_sent(session, part, now, _POLL_MIN):
                await queries.change(session, part.key, due_at=now + _POLL_MAX)
                return None
        self.announcer.changed([part.task_id, part.account_id])
        try:
            return await self.keys.asking(part.account_id, create)
        except UpstreamDown as error:
            if error.may_have_worked:
                log.warning("answer_lost", task_id=ids.global_id("task", part.task_id), part=part.n, error=str(error))
                return None
            async with self.db.transaction() as session:
                await queries.mark_unsent(session, part.key)
            raise

    async def _search(self, reader: UUID | None, parts: Sequence[TaskPart], now: datetime) -> None:
        """Look for parts whose ids upstream did not tell; after 24 hours they are lost."""
        found = await searching.find(self.db, self.upstream, self.keys, reader, now, _POLL_MIN)
        self.announcer.changed(found)
        for part in parts:
            if part.task_id in found:
                continue
            if part.sent_at is not None and now - part.sent_at > _GIVE_UP_AFTER:
                await self._fail(part, "The verifier took the list, and its task was not found for 24 hours.", now)
            else:
                await self._poll_again(part, now, has_moved=False)

    async def _follow(self, reader: UUID | None, parts: Sequence[TaskPart], now: datetime) -> None:
        """Ask for many parts in one call, then bring the results of each home."""
        known = [part.upstream_id for part in parts if part.upstream_id is not None]
        try:
            found = await self.keys.reading(reader, partial(self.upstream.tasks, task_ids=known))
        except UpstreamRefused as error:  # says nothing of any one of them
            raise UpstreamDown(str(error)) from error
        gate = asyncio.Semaphore(self.concurrency)

        async def bring_home(part: TaskPart) -> None:
            task = found.get(part.upstream_id) if part.upstream_id is not None else None
            try:
                if task is None:
                    raise UpstreamMissing
                await self._bring_home(part, task, reader)
            except UpstreamMissing:
                await self._remake(part, now)

        async def guarded(part: TaskPart) -> None:
            async with gate:
                await self._guard([part], now, bring_home(part))

        await asyncio.gather(*map(guarded, parts))

    async def _bring_home(self, part: TaskPart, task: UpstreamTask, reader: UUID | None) -> None:
        """Drain the results so far, then move the counters: what is counted is always there to be read."""
        key, cursor, drained, pages = part.key, part.cursor, 0, 0
        while True:
            page = await self.keys.reading(reader, partial(self.upstream.results, task_id=task.id, after=cursor))
            if not page.results:
                break
            if page.next_after <= cursor:
                raise UpstreamDown("The verifier's results do not move on.")
            async with self.db.transaction() as session:
                recorded = await ingest.record_batch(
                    session, key, page.results, seen=cursor, cursor=page.next_after, now=datetime.now(UTC)
                )
            if recorded is None:
                return
            of, spent = recorded.task, recorded.spent_count
            self.usage.count(of.account_id, of.api_key_id, verifications=recorded.new_count, credits=spent)
            cursor, drained, pages = page.next_after, drained + recorded.new_count, pages + 1
            if page.is_last:
                break
            # A part that runs is not chased to its newest result: its counters move, and it is soon looked at again.
            if not task.is_over and pages == _PAGES_MAX:
                break
        now = datetime.now(UTC)
        if task.is_over:
            async with self.db.read() as session:
                if await queries.has_waiting(session, key):  # upstream says that it is done, and is not
                    raise UpstreamMissing
            if await ingest.end_part(self.db, key, task.snapshot, now):
                log.info("task_completed", task_id=ids.global_id("task", part.task_id))
        else:
            await ingest.record_snapshot(self.db, key, task.snapshot, now)
            await self._poll_again(part, now, has_moved=drained > 0)
        if drained or task.is_over:
            self.announcer.changed([part.task_id, part.account_id])

    async def _poll_again(self, part: TaskPart, now: datetime, *, has_moved: bool) -> None:
        grown = min(part.poll_seconds * _POLL_GROWTH, _POLL_MAX.total_seconds())
        seconds = _POLL_MIN.total_seconds() if has_moved else grown
        async with self.db.transaction() as session:
            due_at = now + timedelta(seconds=seconds)
            await queries.change(session, part.key, due_at=due_at, poll_seconds=seconds, attempt=0)

    async def _remake(self, part: TaskPart, now: datetime) -> None:
        """Upstream has lost the task: made again once with what still lacks a verdict, then failed."""
        if part.remade_count >= _REMADE_MAX:
            await self._fail(part, "The verifier lost the task twice.", now)
            return
        log.warning("upstream_lost_task", task_id=ids.global_id("task", part.task_id), part=part.n)
        if await ingest.send_again(self.db, part.key, part.remade_count + 1, now):
            self.announcer.changed([part.task_id, part.account_id])

    async def _stop(self, part: TaskPart) -> None:
        if part.upstream_id is not None:
            cancel = partial(self.upstream.cancel, task_id=part.upstream_id)
            try:
                await self.keys.reading(self.keys.reader_of(part.account_id), cancel)
            except (UpstreamMissing, UpstreamRefused):
                log.info("part_not_there_to_stop", task_id=ids.global_id("task", part.task_id), part=part.n)
        async with self.db.transaction() as session:
            await queries.change(session, part.key, state=PartState.ENDED)

    async def _postpone(self, parts: Sequence[TaskPart], now: datetime, error: UpstreamDown | None) -> None:
        """Try again later, as upstream asks or with doubling waits; after 24 hours of nothing else give up.

        Without an `error` of upstream's it is one of ours, or an answer that nobody thought of.
        """
        for part in parts:
            asked_for = error.retry_after_seconds if error is not None else None
            wait = asked_for or min(2.0 ** min(part.attempt, 10), _BACKOFF_MAX_SECONDS)
            failing_since = (part.failing_since if part.attempt else None) or now
            async with self.db.transaction() as session:
                if not await queries.postpone(session, part, now + timedelta(seconds=wait), failing_since):
                    continue
            if now - failing_since > _GIVE_UP_AFTER:
                await self._fail(part, _UNREACHABLE if error is not None else _BROKEN, now)
            elif error is not None:
                log.warning(
                    "upstream_down", task_id=ids.global_id("task", part.task_id), wait_seconds=wait, error=str(error)
                )

    async def _fail(self, part: TaskPart, reason: str, now: datetime) -> None:
        if part.state is PartState.STOPPING:  # its task has ended long ago
            async with self.db.transaction() as session:
                await queries.change(session, part.key, state=PartState.ENDED)
            return
        log.error("task_failed", task_id=ids.global_id("task", part.task_id), reason=reason)
        await ingest.fail(self.db, part.task_id, reason, now)
        if part.state is PartState.SENT:  # the end of its task leaves it to be looked for
            async with self.db.transaction() as session:
                await queries.mark_lost(session, part.key)
        self.announcer.changed([part.task_id, part.account_id])

    async def _rest(self, stop: asyncio.Event, wake: asyncio.Event, *, is_busy: bool) -> None:
        """Sleep until a part is due, a task changes, an act has ended, or five seconds have passed.

        With every slot taken (`is_busy`) what is due has to wait for an act to end.
        """
        due_at = None
        if not is_busy:
            async with self.db.read() as session:
                due_at = await queries.next_due_at(session)
        wait = _IDLE_SECONDS
        if due_at is not None:
            wait = min(max((due_at - datetime.now(UTC)).total_seconds(), _REST_SECONDS_MIN), _IDLE_SECONDS)
        waiting = [asyncio.create_task(w) for w in (self.hub.wait_for_any(wait), stop.wait(), wake.wait())]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for waiter in waiting:
            waiter.cancel()
        wake.clear()

    async def _beat(self) -> None:
        worker_id, started_at = ids.new_uuid(), datetime.now(UTC)
        while True:
            try:
                async with self.db.transaction() as session:
                    await queries.beat(session, worker_id, started_at, datetime.now(UTC))
            except Exception:  # noqa: BLE001 - a missed beat shows in readiness; the next may work
                log.warning("heartbeat_failed")
            await asyncio.sleep(_BEAT_SECONDS)
