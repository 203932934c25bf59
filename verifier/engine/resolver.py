"""DNS with one cache a process: every answer is kept for its time to live, and asked once however many wait for it."""

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum

import dns.asyncresolver
import dns.exception
import dns.message
import dns.name
import dns.nameserver
import dns.rdata
import dns.rdatatype
import dns.resolver
import dns.rrset

from verifier.engine.config import EngineConfig, Nameserver

_CACHE_ENTRIES_MAX = 20_000
_TTL_SECONDS_MIN = 1.0
_TTL_SECONDS_MAX = 86_400.0
_NEGATIVE_TTL_SECONDS_MAX = 3_600.0
_NEGATIVE_TTL_SECONDS_DEFAULT = 5.0
_FAILURE_TTL_SECONDS = 1.0
_ALIASES_MAX = 8
_RECORDS_MAX = 32
"""More mail hosts or addresses of one name than anybody asks; answers over TCP may hold thousands."""


class Outcome(StrEnum):
    """What became of a question."""

    FOUND = "found"
    NO_DATA = "no data"
    NO_SUCH_NAME = "no such name"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome of one question, its records, and how long it holds."""

    outcome: Outcome
    records: tuple[dns.rdata.Rdata, ...] = ()
    ttl_seconds: float = _FAILURE_TTL_SECONDS
    detail: str = ""


class Resolver:
    """Asks the name servers of the configuration; zones have their own."""

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._upstreams: dict[tuple[Nameserver, ...], dns.asyncresolver.Resolver] = {}
        self._answers: OrderedDict[tuple[str, str], tuple[float, Answer]] = OrderedDict()
        self._running: dict[tuple[str, str], asyncio.Task[Answer]] = {}

    async def ask(self, name: str, kind: str) -> Answer:
        """Return the answer to a question such as ("example.com", "MX"); a failure is an answer too."""
        key = (name.rstrip(".").lower(), kind)
        kept = self._answers.get(key)
        if kept and kept[0] > time.monotonic():
            return kept[1]
        task = self._running.get(key)
        if task is None:
            task = asyncio.create_task(self._ask_and_keep(key))
            self._running[key] = task
            task.add_done_callback(lambda _: self._running.pop(key, None))
        # Who gives up waiting must not take the answer from the others who wait for it.
        return await asyncio.shield(task)

    async def aclose(self) -> None:
        """Give up what is still being asked."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask_and_keep(self, key: tuple[str, str]) -> Answer:
        answer = await self._follow(*key)
        self._answers[key] = (time.monotonic() + answer.ttl_seconds, answer)
        self._answers.move_to_end(key)
        while len(self._answers) > _CACHE_ENTRIES_MAX:
            self._answers.popitem(last=False)
        return answer

    async def _follow(self, name: str, kind: str) -> Answer:
        """Ask, and ask again at the end of an alias where the server left that to us."""
        seen = {name}
        ttl_seconds = _TTL_SECONDS_MAX
        for _ in range(_ALIASES_MAX):
            answer, alias = await self._ask_once(name, kind)
            ttl_seconds = min(ttl_seconds, answer.ttl_seconds)
            if alias is None:
                return Answer(answer.outcome, answer.records, ttl_seconds, answer.detail)
            if alias in seen:
                break
            seen.add(alias)
            name = alias
        return Answer(Outcome.FAILED, detail=f"{kind} of {name}: the aliases do not end")

    async def _ask_once(self, name: str, kind: str) -> tuple[Answer, str | None]:
        """Return the answer of one query and the alias that is left to be followed."""
        try:
            upstream = self._upstream(name)
            found = await upstream.resolve(
                name + ".",
                kind,
                raise_on_no_answer=False,
                search=False,
                lifetime=self._config.budgets.dns_seconds,
            )
            chain = found.response.resolve_chaining()
        except dns.resolver.NXDOMAIN as error:
            response = next(iter(error.kwargs["responses"].values()))
            return Answer(Outcome.NO_SUCH_NAME, (), _negative_ttl(response), f"{name}: no such name"), None
        except (dns.exception.DNSException, OSError, ValueError) as error:
            return Answer(Outcome.FAILED, detail=f"{kind} of {name}: {_in_words(error)}"), None
        if found.rrset is not None:
            ttl_seconds = min(max(chain.minimum_ttl, _TTL_SECONDS_MIN), _TTL_SECONDS_MAX)
            return Answer(Outcome.FOUND, _records(found.rrset), ttl_seconds), None
        if chain.cnames:
            ttl_seconds = min(max(min(rrset.ttl for rrset in chain.cnames), _TTL_SECONDS_MIN), _TTL_SECONDS_MAX)
            alias = chain.canonical_name.to_text(omit_final_dot=True).lower()
            return Answer(Outcome.NO_DATA, (), ttl_seconds), alias
        return Answer(Outcome.NO_DATA, (), _negative_ttl(found.response), f"{name}: no {kind} record"), None

    def _upstream(self, name: str) -> dns.asyncresolver.Resolver:
        zone = self._config.zone_of(name)
        nameservers = (zone.nameserver,) if zone else self._config.nameservers
        upstream = self._upstreams.get(nameservers)
        if upstream is None:
            upstream = dns.asyncresolver.Resolver(configure=not nameservers)
            if nameservers:
                upstream.nameservers = [dns.nameserver.Do53Nameserver(each.address, each.port) for each in nameservers]
            upstream.timeout = self._config.budgets.dns_try_seconds
            self._upstreams[nameservers] = upstream
        return upstream


def _records(rrset: dns.rrset.RRset) -> tuple[dns.rdata.Rdata, ...]:
    """Return the records, of very many the first ones in canonical order: mail hosts of the best preference.

    Texts are read for the doctor alone, who needs the one of many that is about mail.
    """
    if len(rrset) <= _RECORDS_MAX or rrset.rdtype == dns.rdatatype.TXT:
        return tuple(rrset)
    return tuple(sorted(rrset)[:_RECORDS_MAX])


def _negative_ttl(response: dns.message.Message) -> float:
    """Return how long a negative answer holds (RFC 2308 section 5): the SOA's word, a few seconds without one."""
    if not isinstance(response, dns.message.QueryMessage):
        return _NEGATIVE_TTL_SECONDS_DEFAULT
    soa = [rrset for rrset in response.authority if rrset.rdtype == dns.rdatatype.SOA]
    if not soa:
        return _NEGATIVE_TTL_SECONDS_DEFAULT
    ttl_seconds = min(min(rrset.ttl, rrset[0].minimum) for rrset in soa)
    return min(max(float(ttl_seconds), _TTL_SECONDS_MIN), _NEGATIVE_TTL_SECONDS_MAX)


def _in_words(error: Exception) -> str:
    if isinstance(error, dns.resolver.LifetimeTimeout):
        return "no answer in time"
    if isinstance(error, dns.resolver.NoNameservers):
        codes = sorted({str(entry[3]) for entry in error.kwargs.get("errors", ()) if entry[3]})
        return "the name servers answered " + (", ".join(codes) or "nothing usable")
    return str(error) or type(error).__name__
