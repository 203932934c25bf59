"""The doctor's checks, in the order in which a mail host meets us: names, port, greeting, address, sender."""

import asyncio
import secrets
import socket
from dataclasses import dataclass
from ipaddress import ip_address

from verifier.doctor.contact import Contact, Greeter
from verifier.doctor.report import Level, Line
from verifier.doctor.spf import Evaluation, Policy
from verifier.engine import egress, networks
from verifier.engine.config import EngineConfig, Way
from verifier.engine.domain import DomainReader, RouteOutcome
from verifier.engine.resolver import Outcome, Resolver

_NOT_PUBLIC = (".local", ".localdomain", ".internal", ".lan", ".home", ".localhost", ".invalid", ".example", ".test")


@dataclass(slots=True)
class Doctor:
    """Looks at everything that decides whether mail hosts answer us truly. Asks about no mailbox."""

    config: EngineConfig
    resolver: Resolver
    hosts: tuple[str, ...]
    """Well-known mail hosts that are greeted."""

    async def examine(self) -> list[Line]:
        """Return all lines; never raises for what is wrong with the machine or the network."""
        found = await asyncio.gather(
            self._resolver_works(), *(self._look_at(way) for way in self._ways()), self._sender_takes_mail()
        )
        return [line for lines in found for line in lines]

    async def _look_at(self, way: Way) -> list[Line]:
        """Look at one way out: the port, and whether the name that we greet with is that of our address."""
        suffix = f" {_of(way)}" if way != egress.SYSTEMS_CHOICE else ""
        greeter = Greeter(self.config, DomainReader(self.config, self.resolver))
        contacts = await greeter.greet_all(self.hosts, way)
        bindable = [_is_bindable(way.source, suffix)] if way.source is not None else []
        name = await self._name_is_ours(way.helo or self.config.helo, self._addresses(way, contacts), suffix)
        return [*bindable, _port_is_open(contacts, suffix), *name]

    def _ways(self) -> list[Way]:
        """Return every way out that may be taken, each once."""
        given = [way for each in self.config.egress for way in each.ways]
        covers_all = any(not each.suffix for each in self.config.egress)
        return list(dict.fromkeys([*(() if covers_all else (egress.SYSTEMS_CHOICE,)), *given]))

    async def _resolver_works(self) -> list[Line]:
        return [await self._name_servers()]

    async def _name_servers(self) -> Line:
        name = "name servers"
        questions = [f"{secrets.token_hex(8)}.invalid", *self.hosts]
        invented, *replies = await asyncio.gather(*(self.resolver.ask(each, "A") for each in questions))
        if invented.outcome is Outcome.FOUND:
            return Line(
                name,
                Level.FAIL,
                "they give addresses to names that do not exist (RFC 6761: nothing is under .invalid)",
                "Use a resolver of your own (unbound) or set VERIFIER_NAMESERVERS: this one would hide dead domains.",
            )
        answers = list(zip(self.hosts, replies, strict=True))
        wrong = [f"{host}: {each.detail}" for host, each in answers if each.outcome is not Outcome.FOUND]
        if not wrong:
            return Line(name, Level.OK, f"answered about {', '.join(self.hosts)}")
        if len(wrong) < len(answers):
            return Line(name, Level.WARN, f"not all were found: {'; '.join(wrong)}", "Look at the resolver's log.")
        if all(each.outcome is not Outcome.FAILED for _, each in answers):
            return Line(
                name,
                Level.FAIL,
                f"they know none of the mail hosts, as if the public DNS were not theirs: {'; '.join(wrong)}",
                "Use a resolver that serves the public DNS: with this one every living domain would be told as gone.",
            )
        return Line(
            name,
            Level.FAIL,
            f"no answer: {'; '.join(wrong)}",
            "Run a resolver here (unbound) or set VERIFIER_NAMESERVERS; without DNS every verdict is UNKNOWN.",
        )

    def _addresses(self, way: Way, contacts: list[Contact]) -> list[str]:
        """Return the addresses that mail hosts see, as far as that can be told."""
        seen = [contact.seen_address for contact in contacts if contact.seen_address]
        own = [way.source] if way.source else [contact.local_address for contact in contacts if contact.local_address]
        public = [each for each in own if networks.may_be_asked(each, allow_networks=self.config.allow_networks)]
        return list(dict.fromkeys([*seen, *public]))

    async def _name_is_ours(self, helo: str, seen: list[str], suffix: str) -> list[Line]:
        name = f"HELO name{suffix}"
        is_private = helo.lower().endswith(_NOT_PUBLIC) and self.config.zone_of(helo.lower()) is None
        if "." not in helo.strip(".") or is_private:
            return [
                Line(
                    name,
                    Level.FAIL,
                    f"{helo} is no public fully qualified name",
                    "Set VERIFIER_HELO to a name in a domain of yours that resolves to this machine's public address.",
                )
            ]
        answers = await asyncio.gather(*(self.resolver.ask(helo, kind) for kind in ("A", "AAAA")))
        addresses = [record.to_text() for answer in answers for record in answer.records]
        if not addresses:
            why = next((answer.detail for answer in answers if answer.detail), "it has no address")
            return [Line(name, Level.FAIL, f"{helo}: {why}", f"Give {helo} an A (and AAAA) record with our address.")]
        if seen and not set(seen) <= set(addresses):
            wrong = Line(
                name,
                Level.WARN,
                f"{helo} is {', '.join(addresses)}, but mail hosts see {', '.join(seen)}",
                f"Let {helo} resolve to {', '.join(seen)}, or set VERIFIER_HELO to the name of that address.",
            )
        else:
            wrong = Line(name, Level.OK, f"{helo} is {', '.join(addresses)}")
        lines = [wrong]
        if not seen:
            lines.append(
                Line(
                    f"our address{suffix}",
                    Level.WARN,
                    "cannot be told from here (no contact, or address translation); taking that of the HELO name",
                    "Look at the `Received` line of a mail that this machine sent.",
                )
            )
        lines += [await self._reverse(helo, address, suffix) for address in seen or addresses]
        lines += [await self._policy(address, suffix) for address in seen or addresses]
        return lines

    async def _reverse(self, helo: str, address: str, suffix: str) -> Line:
        """Look whether the address' name leads back to it (forward-confirmed reverse DNS), and is the HELO name."""
        name = f"PTR of {address}{suffix}"
        answer = await self.resolver.ask(ip_address(address).reverse_pointer, "PTR")
        pointers = [record.to_text().rstrip(".").lower() for record in answer.records]
        advice = f"Have the owner of the network set the PTR record of {address} to {helo}."
        if not pointers:
            level = Level.WARN if answer.outcome is Outcome.FAILED else Level.FAIL
            return Line(name, level, answer.detail or "none", advice)
        kind = "AAAA" if ":" in address else "A"
        confirmed = [
            pointer
            for pointer in pointers
            if address in {record.to_text() for record in (await self.resolver.ask(pointer, kind)).records}
        ]
        if not confirmed:
            return Line(name, Level.FAIL, f"{', '.join(pointers)}, which does not lead back to {address}", advice)
        if helo.lower() not in confirmed:
            return Line(name, Level.WARN, f"{', '.join(confirmed)} leads back, but is not the HELO name {helo}", advice)
        return Line(name, Level.OK, f"{helo}, and back")

    async def _policy(self, address: str, suffix: str) -> Line:
        domain = self.config.mail_from.rpartition("@")[2]
        name = f"SPF for {address}{suffix}"
        evaluation = Evaluation(self.resolver, ip_address(address))
        policy = await evaluation.of(domain)
        found = f"{policy}: {evaluation.record or f'{domain} has no record'}"
        kind = "ip6" if ":" in address else "ip4"
        advice = f'Publish at {domain} a TXT record "v=spf1 {kind}:{address} ... -all".'
        if policy is Policy.PASS:
            return Line(name, Level.OK, found)
        is_bad = policy in {Policy.FAIL, Policy.PERMERROR}
        if policy is Policy.TEMPERROR:
            advice = "Ask again when the name servers answer."
        elif policy is Policy.UNTOLD:
            advice = "The record holds what is not worked out here (ptr, macros): check it by hand."
        return Line(name, Level.FAIL if is_bad else Level.WARN, found, advice)

    async def _sender_takes_mail(self) -> list[Line]:
        domain = self.config.mail_from.rpartition("@")[2]
        name = "sender's domain"
        route = await DomainReader(self.config, self.resolver).names(domain)
        text = (route.evidence[-1].text or "") if route.evidence else ""
        if route.outcome is RouteOutcome.MAIL_HOSTS and route.hosts[0].name != domain:
            return [Line(name, Level.OK, f"{domain} takes mail at {', '.join(host.name for host in route.hosts)}")]
        advice = f"Give {domain} an MX record, or set VERIFIER_MAIL_FROM to an address that takes mail."
        if route.outcome is RouteOutcome.MAIL_HOSTS:
            return [Line(name, Level.WARN, f"{domain}: {text}", advice)]
        level = Level.WARN if route.outcome is RouteOutcome.DNS_FAILURE else Level.FAIL
        return [Line(name, level, f"{domain}: {text}", advice)]


def _of(way: Way) -> str:
    return f"through {way.proxy.host}:{way.proxy.port}" if way.proxy else f"from {way.source}"


def _is_bindable(source: str, suffix: str) -> Line:
    name = f"source address{suffix}"
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((source, 0))
    except OSError as error:
        found = f"{source}: {error.strerror or error}"
        return Line(
            name, Level.FAIL, found, "Add the address to an interface of this machine, or mend VERIFIER_EGRESS."
        )
    return Line(name, Level.OK, f"{source} can be bound")


def _port_is_open(contacts: list[Contact], suffix: str) -> Line:
    name = f"port 25 outward{suffix}"
    greeted = [contact for contact in contacts if not contact.problem]
    problems = "; ".join(f"{contact.host}: {contact.problem}" for contact in contacts if contact.problem)
    if greeted and not problems:
        return Line(name, Level.OK, f"greeted by {', '.join(contact.host for contact in greeted)}")
    if greeted:
        found = f"greeted by {', '.join(contact.host for contact in greeted)}; {problems}"
        return Line(
            name, Level.WARN, found, "One host that answers shows that the port is open; the others may block us."
        )
    if not any(contact.is_looked_up for contact in contacts):
        return Line(name, Level.FAIL, f"not tried: {problems}", "Mend the name servers first, then ask again.")
    advice = "Have TCP port 25 opened outward, use another machine, or a SOCKS5 proxy (VERIFIER_EGRESS)."
    return Line(name, Level.FAIL, problems, advice)
