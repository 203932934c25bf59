"""The third step: asks the mail hosts of one group about its addresses, in as few polite sessions as it takes."""

import asyncio
import math
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from verifier.engine import egress, findings, session
from verifier.engine.asks import Ask, Batch, Probe
from verifier.engine.config import EngineConfig, Way
from verifier.engine.domain import MailHost
from verifier.engine.evidence import Stage
from verifier.engine.findings import Cause, Failure
from verifier.engine.memory import CatchallMemory, Gates, HostMemories
from verifier.engine.questions import Questions
from verifier.engine.session import Ended, Session
from verifier.engine.transaction import Transactions

_FRUITLESS_SESSIONS_MAX = 3
_SILENCE_WEIGHT = 2  # a session that waited in vain costs a whole budget: two in a row are enough
_BUSY_WAIT_SECONDS = 0.5
_BUSY_TRIES = 2
_STEPS_END_BEFORE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Parts:
    """What the conversations of one engine share."""

    config: EngineConfig
    hosts: HostMemories
    catchall: CatchallMemory
    gates: Gates
    context: ssl.SSLContext
    accepts_then_bounces: Callable[[str], bool]


class Conversation:
    """Talks to the mail hosts of one group until every address is settled; `settled` is called once for each."""

    def __init__(
        self,
        parts: Parts,
        asks: Sequence[Ask],
        settled: Callable[[Ask, Probe | None], None],
        connections: int | None = None,
    ) -> None:
        self._parts = parts
        self._config = parts.config
        self._questions = Questions(parts.catchall, parts.accepts_then_bounces, settled)
        self._fruitless: dict[str, int] = {}
        self._busy: dict[str, int] = {}
        limit = parts.config.connections_per_address
        self._lanes = limit if connections is None else max(1, min(connections, limit))
        self._deadline = math.inf
        self._domain = asks[0].address.domain  # all of them leave by the same ways
        for ask in asks:
            self._questions.put(ask)

    async def run(self, deadline: float) -> None:
        """Settle every address by a deadline on the loop's clock; what is not settled by then timed out."""
        self._deadline = deadline - _STEPS_END_BEFORE_SECONDS
        sessions: set[asyncio.Task[None]] = set()
        try:
            async with asyncio.timeout_at(deadline):
                while True:
                    self._start_sessions(sessions)
                    if not sessions:
                        break
                    done, sessions = await asyncio.wait(sessions, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        task.result()
        except TimeoutError:
            pass
        finally:
            for task in sessions:
                task.cancel()
            await asyncio.gather(*sessions, return_exceptions=True)
        self._questions.give_up(
            findings.failed(Stage.RCPT, Cause.EXPIRED, "", detail="the time for this check ran out")
        )

    def _start_sessions(self, sessions: set[asyncio.Task[None]]) -> None:
        """Open as many sessions as the addresses that wait are worth, while there is time."""
        if asyncio.get_running_loop().time() >= self._deadline:
            return
        for host, waiting in self._questions.work():
            worth = math.ceil(waiting / self._config.refusals_per_connection)
            for _ in range(min(self._lanes, worth) - len(sessions)):
                sessions.add(asyncio.create_task(self._converse(host)))
            return  # the next host is begun when this one has said all it has to say

    async def _converse(self, host: MailHost) -> None:
        """Hold one session with a mail host, at the first of its addresses that answers."""
        failures: list[Failure] = []
        ways = egress.ways(self._config, host.name, self._domain)
        for address in host.addresses:
            usable = [way for way in ways if way.is_for_ipv6 in {None, ":" in address}]
            if not usable:
                detail = f"{address}: no source address of its kind"
                failures.append(findings.failed(Stage.CONNECT, Cause.NO_WAY_OUT, host.name, detail=detail))
            for way in usable:
                async with self._parts.gates.connection(address, host.port, way):
                    if not self._questions.has_work(host.name):
                        return
                    try:
                        opened = await self._open(host, address, way)
                    except Ended as ended:
                        failures.append(ended.failure)
                        if ended.failure.cause is not Cause.NO_WAY_OUT:
                            break
                    else:
                        await self._use(opened)
                        return
        await self._lose(host, failures)

    async def _open(self, host: MailHost, address: str, way: Way) -> Session:
        return await session.open_session(
            host.name,
            address,
            host.port,
            config=self._config,
            way=way,
            memory=self._parts.hosts.of(address, host.port),
            context=self._parts.context,
            deadline=self._deadline,
        )

    async def _use(self, opened: Session) -> None:
        """Ask batch after batch while the session is worth it, and say goodbye."""
        transactions = Transactions(opened, self._parts.context)
        answers = 0
        batch: Batch | None = None
        try:
            while not opened.is_over and asyncio.get_running_loop().time() < opened.expires_at:
                batch = self._questions.take(opened)
                if batch is None:
                    break
                heard = await transactions.ask(batch.paths, with_smtputf8=batch.needs_smtputf8, is_last=batch.is_last)
                answers += len(heard.replies)
                if self._questions.record(batch, heard, opened):
                    transactions.close()
                batch = None
                if heard.failure is not None:
                    self._learn(opened, heard.failure, answers)
                    if heard.failure.cause is not Cause.EAI_UNSUPPORTED:
                        break
                if heard.is_cut_short or opened.has_said_quit:
                    break
        except BaseException:
            opened.connection.abandon()
            raise
        self._questions.close_session(opened)
        await opened.end()

    def _learn(self, opened: Session, failure: Failure, answers: int) -> None:
        """Draw the lesson of a session that ended before its time: smaller batches, or no more of this host."""
        if failure.cause is Cause.EAI_UNSUPPORTED:
            return
        if failure.stage is Stage.MAIL and failure.cause is Cause.REPLY and answers == 0:
            self._questions.lose_host(opened.host, [failure])
        elif answers == 0:
            is_silent = failure.cause is Cause.EXPIRED
            self._fruitless[opened.host] = self._fruitless.get(opened.host, 0) + (_SILENCE_WEIGHT if is_silent else 1)
            if self._fruitless[opened.host] >= _FRUITLESS_SESSIONS_MAX:
                self._questions.lose_host(opened.host, [failure])
        else:
            self._fruitless[opened.host] = 0
            if failure.cause is not Cause.EXPIRED:
                opened.memory.refusals_limit = max(1, min(opened.memory.refusals_limit, opened.errors))

    async def _lose(self, host: MailHost, failures: list[Failure]) -> None:
        """Give a mail host up, unless it only wants fewer connections at a time."""
        is_busy = any(each.stage is Stage.BANNER and each.reply and each.reply.code == 421 for each in failures)
        tries = self._busy.get(host.name, 0)
        if is_busy and tries < _BUSY_TRIES and not self._questions.has_other_host(host.name):
            self._busy[host.name] = tries + 1
            self._lanes = 1
            await asyncio.sleep(_BUSY_WAIT_SECONDS * (tries + 1))
            return
        self._questions.lose_host(host.name, failures)
