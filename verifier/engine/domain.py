"""The second step: which hosts take a domain's mail (RFC 5321 section 5.1, RFC 7505)."""

import asyncio
import hashlib
import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from dns.rdtypes.ANY.MX import MX

from verifier.engine import networks
from verifier.engine.config import EngineConfig
from verifier.engine.evidence import Evidence, Stage
from verifier.engine.resolver import Answer, Outcome, Resolver

_HOSTS_MAX = 10
_ADDRESSES_MAX = 8
_TEXT_LENGTH_MAX = 200
_GROUP_LENGTH_MAX = 1000


class RouteOutcome(StrEnum):
    """What DNS said about a domain's mail."""

    MAIL_HOSTS = "mail hosts"
    NO_DOMAIN = "no domain"
    NO_MAIL_HOST = "no mail host"
    NULL_MX = "null mx"
    DNS_FAILURE = "dns failure"
    UNROUTABLE = "unroutable"


@dataclass(frozen=True, slots=True)
class MailHost:
    """A mail host with the addresses that may be asked, all at one port."""

    name: str
    preference: int
    addresses: tuple[str, ...] = ()
    port: int = 25


@dataclass(frozen=True, slots=True)
class Route:
    """The way to a domain's mailboxes, best host first, or why there is none."""

    domain: str
    outcome: RouteOutcome
    hosts: tuple[MailHost, ...] = ()
    evidence: tuple[Evidence, ...] = ()

    @property
    def group(self) -> str:
        """A stable key of the set of mail hosts; domains that share it may share a conversation."""
        if self.outcome in {RouteOutcome.MAIL_HOSTS, RouteOutcome.UNROUTABLE} and self.hosts:
            key = ",".join(sorted(host.name for host in self.hosts))
            # Octets that are no letters are written with four characters each: the database could not index them.
            return key if len(key) <= _GROUP_LENGTH_MAX else hashlib.sha256(key.encode()).hexdigest()
        return f"domain:{self.domain}"


class DomainReader:
    """Reads routes out of DNS."""

    def __init__(self, config: EngineConfig, resolver: Resolver) -> None:
        self._config = config
        self._resolver = resolver

    async def group(self, domain: str) -> str:
        """Return the key of a domain's mail hosts without asking for their addresses."""
        return (await self.names(domain)).group

    async def route(self, domain: str) -> Route:
        """Return the way to the mailboxes of an A-label domain. A failure is a route too."""
        return await self.addresses(await self.names(domain))

    async def addresses(self, named: Route) -> Route:
        """Return a route whose mail hosts are named with their addresses; only the hosts that may be asked are left."""
        if named.outcome is not RouteOutcome.MAIL_HOSTS:
            return named
        domain = named.domain
        found = await asyncio.gather(*(self._addresses(domain, host) for host in named.hosts))
        hosts = tuple(host for host, _, _ in found if host.addresses)
        if hosts:
            text = "; ".join(f"{host.preference} {host.name} ({', '.join(host.addresses)})" for host in hosts)
            return replace(named, hosts=hosts, evidence=(*named.evidence, _seen(domain, text)))
        # A host whose addresses could not be learned may live: NO_MAIL_HOST is only said when all are surely without.
        failures = [failure for _, failure, _ in found if failure]
        refused = [address for _, _, addresses in found for address in addresses]
        if failures:
            outcome, text = RouteOutcome.DNS_FAILURE, failures[0]
        elif refused:
            outcome, text = RouteOutcome.UNROUTABLE, f"addresses that must not be asked: {', '.join(refused)}"
        else:
            outcome, text = (
                RouteOutcome.NO_MAIL_HOST,
                "no mail host has an address: " + ", ".join(host.name for host in named.hosts),
            )
        return replace(named, outcome=outcome, evidence=(*named.evidence, _seen(domain, text)))

    async def names(self, domain: str) -> Route:
        """Return the route of a domain as far as its mail hosts' names."""
        answer = await self._resolver.ask(domain, "MX")
        if answer.outcome is Outcome.NO_SUCH_NAME:
            return Route(domain, RouteOutcome.NO_DOMAIN, evidence=(_seen(domain, answer.detail),))
        if answer.outcome is Outcome.FAILED:
            return Route(domain, RouteOutcome.DNS_FAILURE, evidence=(_seen(domain, answer.detail),))
        if answer.outcome is Outcome.NO_DATA:
            return await self._implicit_host(domain)
        records = sorted(
            (record.preference, record.exchange.to_text(omit_final_dot=True).lower())
            for record in answer.records
            if isinstance(record, MX)
        )
        # The root may come as "." or as the empty name; it is a null MX only when it stands alone.
        named = [
            MailHost(name, preference) for preference, name in dict.fromkeys(records) if name not in {"", ".", "@"}
        ]
        if not named:
            return Route(domain, RouteOutcome.NULL_MX, evidence=(_seen(domain, "null MX: the domain takes no mail"),))
        return Route(domain, RouteOutcome.MAIL_HOSTS, tuple(_by_preference(named)[:_HOSTS_MAX]))

    async def _implicit_host(self, domain: str) -> Route:
        """Return the domain itself as its mail host, if it has an address (RFC 5321 section 5.1)."""
        answers = await asyncio.gather(self._resolver.ask(domain, "A"), self._resolver.ask(domain, "AAAA"))
        if any(answer.outcome is Outcome.FOUND for answer in answers):
            seen = _seen(domain, "no MX record: the domain is its own mail host")
            return Route(domain, RouteOutcome.MAIL_HOSTS, (MailHost(domain, 0),), (seen,))
        failed = [answer for answer in answers if answer.outcome is Outcome.FAILED]
        if failed:
            return Route(domain, RouteOutcome.DNS_FAILURE, evidence=(_seen(domain, failed[0].detail),))
        return Route(domain, RouteOutcome.NO_MAIL_HOST, evidence=(_seen(domain, "neither MX nor address record"),))

    async def _addresses(self, domain: str, host: MailHost) -> tuple[MailHost, str | None, list[str]]:
        """Return the host with the addresses that may be asked, what failed, and the other addresses."""
        answers = await asyncio.gather(self._resolver.ask(host.name, "A"), self._resolver.ask(host.name, "AAAA"))
        zone = self._config.zone_of(domain)
        is_zoned = zone is not None and zone.covers(host.name)
        allowed: list[str] = []
        refused: list[str] = []
        for address in _numeric(answers):
            may_be_asked = networks.may_be_asked(
                address, allow_networks=self._config.allow_networks, allow_loopback=is_zoned
            )
            (allowed if may_be_asked else refused).append(address)
        failure = next((answer.detail for answer in answers if answer.outcome is Outcome.FAILED), None)
        if answers[0].outcome is Outcome.NO_SUCH_NAME:
            failure = None  # of A it is said of the name; of AAAA some servers say it of names that live (RFC 4074)
        port = zone.smtp_port if zone is not None and is_zoned else self._config.smtp_port
        return replace(host, addresses=tuple(allowed[:_ADDRESSES_MAX]), port=port), failure, refused


def _numeric(answers: tuple[Answer, ...] | list[Answer]) -> list[str]:
    """Return the addresses of all answers, each kind shuffled so that the load is spread."""
    addresses: list[str] = []
    for answer in answers:
        of_kind = [record.to_text() for record in answer.records]
        random.shuffle(of_kind)
        addresses += of_kind
    return addresses


def _by_preference(hosts: list[MailHost]) -> list[MailHost]:
    """Order by preference; equals in random order, as RFC 5321 section 5.1 asks."""
    shuffled = random.sample(hosts, len(hosts))
    return sorted(shuffled, key=lambda host: host.preference)


def _seen(domain: str, text: str) -> Evidence:
    return Evidence(Stage.DNS, datetime.now(UTC), host=domain, text=text[:_TEXT_LENGTH_MAX])
