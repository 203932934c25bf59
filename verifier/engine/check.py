"""The engine: syntax, signals, domain, conversation, verdict. One object a process; it owns what is learned."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from verifier.engine import egress, lists, score, signals, suggest, syntax, verdict, wire
from verifier.engine.asks import Ask, Probe
from verifier.engine.config import EngineConfig, Way
from verifier.engine.conversation import Conversation, Parts
from verifier.engine.domain import DomainReader, Route, RouteOutcome
from verifier.engine.evidence import Evidence, Reason, Result, Stage, Status
from verifier.engine.findings import Findings
from verifier.engine.memory import CatchallMemory, Gates, HostMemories
from verifier.engine.resolver import Resolver
from verifier.engine.syntax import Address, Malformed

_DOMAINS_AT_A_TIME = 64
_QUIET_SECONDS = 0.1
_GATHERING_SECONDS_MAX = 1.0
_log = logging.getLogger(__name__)

Found = Callable[[Address, Result], None]
Group = tuple[str, tuple[tuple[Way, ...], ...]]


class Engine:
    """Checks addresses. Lives in one event loop; close it when done."""

    def __init__(self, config: EngineConfig) -> None:
        self._resolver = Resolver(config)
        self._domains = DomainReader(config, self._resolver)
        self._config = config
        self._accepts_then_bounces = lists.AcceptThenBounce(config.accept_then_bounce).covers
        self._parts = Parts(
            config=config,
            hosts=HostMemories(config),
            catchall=CatchallMemory(config),
            gates=Gates(config),
            context=wire.tls_context(),
            accepts_then_bounces=self._accepts_then_bounces,
        )

    async def mail_host_group(self, domain: str) -> str:
        """Return a stable key of the mail hosts of an A-label domain; `domain:<domain>` where there are none."""
        return await self._domains.group(domain)

    async def check(self, email: str, *, budget_seconds: float) -> Result:
        """Check one address within a time; what is not known by then is UNKNOWN."""
        async with aclosing(self.check_many([email], budget_seconds=budget_seconds)) as results:
            async for result in results:
                return result
        raise RuntimeError("a check ended without a result")

    async def check_many(
        self, emails: Sequence[str], *, budget_seconds: float, connections: int | None = None
    ) -> AsyncGenerator[Result, None]:
        """Yield one result for each text, as they are found, within a time; equal ones are asked about once.

        `connections` is how many it may open to one mail host at a time, where that is fewer than the engine may.
        """
        deadline = asyncio.get_running_loop().time() + budget_seconds
        inputs: dict[Address, list[str]] = {}
        for text in emails:
            parsed = syntax.parse(text)
            if isinstance(parsed, Malformed):
                yield _malformed(text, parsed)
            else:
                inputs.setdefault(parsed, []).append(text)
        found: asyncio.Queue[tuple[Address, Result]] = asyncio.Queue()
        work = asyncio.create_task(
            self._check_all(list(inputs), _Call(deadline, connections, lambda *each: found.put_nowait(each)))
        )
        try:
            for _ in range(len(inputs)):
                address, result = await _next(found, work)
                for text in inputs[address]:
                    yield result if text == result.input else replace(result, input=text)
            await work
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def aclose(self) -> None:
        """Give up what is still being asked."""
        await self._resolver.aclose()

    async def _check_all(self, addresses: list[Address], call: "_Call") -> None:
        """Read which mail hosts the domains have, converse with each set of them; a slow domain delays no other."""
        by_domain: dict[str, list[Address]] = {}
        for address in addresses:
            by_domain.setdefault(address.domain, []).append(address)
        named: asyncio.Queue[Route] = asyncio.Queue()
        unread = iter(by_domain)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(min(_DOMAINS_AT_A_TIME, len(by_domain))):
                tasks.create_task(self._read_names(unread, call.deadline, named))
            left = len(by_domain)
            while left:
                read = await _gather(named, left)
                left -= len(read)
                by_group: dict[Group, list[Route]] = {}
                for route in read:
                    by_group.setdefault(self._group(route), []).append(route)
                for routes in by_group.values():
                    tasks.create_task(self._ask(routes, by_domain, call))

    async def _read_names(self, domains: Iterator[str], deadline: float, named: "asyncio.Queue[Route]") -> None:
        for domain in domains:
            named.put_nowait(await self._names(domain, deadline))

    async def _ask(self, named: list[Route], by_domain: dict[str, list[Address]], call: "_Call") -> None:
        """Ask about the addresses of the domains of one set of mail hosts; those of domains without are judged."""
        routes = await asyncio.gather(*(self._addresses(route, call.deadline) for route in named))
        asks: list[Ask] = []
        for route in routes:
            of_domain = [Ask(address, route) for address in by_domain[route.domain]]
            if route.outcome is RouteOutcome.MAIL_HOSTS:
                asks += of_domain
            else:
                for ask in of_domain:
                    call.found(ask.address, self._result(ask, None))
        if asks:
            await self._converse(asks, call)

    def _group(self, route: Route) -> Group:
        """Return the key of a conversation: the same mail hosts, asked by the same ways."""
        if not self._config.egress:
            return route.group, ()
        return route.group, tuple(egress.ways(self._config, host.name, route.domain) for host in route.hosts)

    def _result(self, ask: Ask, probe: Probe | None) -> Result:
        """Judge what was found out about an address."""
        accepts_then_bounces = bool(ask.answers) and self._accepts_then_bounces(ask.answers[-1].host)
        findings: Findings = ask.findings(probe, accepts_then_bounces=accepts_then_bounces)
        return _conclude(ask, verdict.judge(findings), ask.evidence(probe))

    async def _names(self, domain: str, deadline: float) -> Route:
        try:
            async with asyncio.timeout_at(deadline):
                return await self._domains.names(domain)
        except TimeoutError:
            return _too_late(domain)

    async def _addresses(self, named: Route, deadline: float) -> Route:
        try:
            async with asyncio.timeout_at(deadline):
                return await self._domains.addresses(named)
        except TimeoutError:
            return _too_late(named.domain)

    async def _converse(self, asks: list[Ask], call: "_Call") -> None:
        """Hold one conversation. A fault of ours costs the addresses it met, not the others."""
        settled: set[Address] = set()

        def settle(ask: Ask, probe: Probe | None) -> None:
            result = self._result(ask, probe)
            settled.add(ask.address)
            call.found(ask.address, result)

        try:
            await Conversation(self._parts, asks, settle, call.connections).run(call.deadline)
        except Exception:  # noqa: BLE001 - logged, and told as UNKNOWN: one fault must not cost a whole task
            _log.exception("a conversation failed", extra={"group": asks[0].route.group})
        for ask in asks:
            if ask.address not in settled:
                call.found(ask.address, _unfinished(ask))


@dataclass(frozen=True, slots=True)
class _Call:
    """What the steps of one call share: its end on the loop's clock, its limit, and who is told."""

    deadline: float
    connections: int | None
    found: Found


async def _gather(named: "asyncio.Queue[Route]", most: int) -> list[Route]:
    """Return the routes that come without a pause, at most so many and for at most a second.

    Domains of one set of mail hosts share a conversation when they are known at about the same time.
    """
    loop = asyncio.get_running_loop()
    read = [await named.get()]
    until = loop.time() + _GATHERING_SECONDS_MAX
    while len(read) < most and loop.time() < until:
        if not named.empty():
            read.append(named.get_nowait())
            continue
        try:
            async with asyncio.timeout(_QUIET_SECONDS):
                read.append(await named.get())
        except TimeoutError:
            break
    return read


async def _next(found: "asyncio.Queue[tuple[Address, Result]]", work: "asyncio.Task[None]") -> tuple[Address, Result]:
    """Return the next result; raise what the work raised if it ended without."""
    if not found.empty():
        return found.get_nowait()
    getting = asyncio.create_task(found.get())
    try:
        await asyncio.wait({getting, work}, return_when=asyncio.FIRST_COMPLETED)
        if getting.done() or not work.done():
            return await getting
        work.result()
        return found.get_nowait()
    finally:
        getting.cancel()


def _too_late(domain: str) -> Route:
    seen = Evidence(Stage.DNS, datetime.now(UTC), host=domain, text="no answer in the time for this check")
    return Route(domain, RouteOutcome.DNS_FAILURE, evidence=(seen,))


def _malformed(text: str, malformed: Malformed) -> Result:
    now = datetime.now(UTC)
    points, reasons = score.rate(Status.INVALID_SYNTAX, Reason.SYNTAX, signals.Signals(), has_suggestion=False)
    return Result(
        input=text,
        email=malformed.text,
        status=Status.INVALID_SYNTAX,
        reason=Reason.SYNTAX,
        checked_at=now,
        score=points,
        score_reasons=reasons,
        evidence=(Evidence(Stage.SYNTAX, now, text=malformed.problem[:200]),),
    )


def _unfinished(ask: Ask) -> Result:
    """Return the result of an address whose conversation failed by a fault of ours."""
    return _conclude(ask, verdict.Verdict(Status.UNKNOWN, Reason.OTHER, is_transient=True), ask.evidence(None))


def _conclude(ask: Ask, judged: verdict.Verdict, evidence: tuple[Evidence, ...]) -> Result:
    seen = signals.read(ask.address)
    suggestion = suggest.suggest(ask.address, judged.reason)
    points, reasons = score.rate(judged.status, judged.reason, seen, has_suggestion=suggestion is not None)
    hosts = [each.host for each in ask.answers] or [host.name for host in ask.route.hosts]
    return Result(
        input=ask.address.email,
        email=ask.address.email,
        status=judged.status,
        reason=judged.reason,
        checked_at=datetime.now(UTC),
        role_based=seen.role_based,
        disposable=seen.disposable,
        free_provider=seen.free_provider,
        suggestion=suggestion,
        score=points,
        score_reasons=reasons,
        mail_host=hosts[-1] if ask.answers else (hosts[0] if hosts else None),
        evidence=evidence,
        is_transient=judged.is_transient,
    )
