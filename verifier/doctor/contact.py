"""One greeting of a well-known mail host: shows whether port 25 is open outward, and which address the host sees."""

import asyncio
import re
from dataclasses import dataclass, field
from ipaddress import ip_address

from verifier.engine import networks, wire
from verifier.engine.config import EngineConfig, Way
from verifier.engine.domain import DomainReader, MailHost, Route, RouteOutcome
from verifier.engine.wire import Broken, Verb, Wire

_IN_BRACKETS = re.compile(r"[\[(](?:IPv6:)?([0-9a-fA-F.:]{3,45})[\])]", re.IGNORECASE)
_ADDRESSES_TRIED = 2


@dataclass(frozen=True, slots=True)
class Contact:
    """What came of greeting a mail host; `problem` is empty where it greeted back."""

    host: str
    problem: str = ""
    banner: str = ""
    local_address: str = ""
    seen_address: str = ""
    """Our address as the host told it in its reply to EHLO, where it did."""
    is_looked_up: bool = True


@dataclass(slots=True)
class Greeter:
    """Greets mail hosts by a way out: connects, reads the banner, says EHLO and QUIT, asks about nobody."""

    config: EngineConfig
    domains: DomainReader
    found: list[Contact] = field(default_factory=list)

    async def greet_all(self, hosts: tuple[str, ...], way: Way) -> list[Contact]:
        """Greet every host at the same time."""
        return list(await asyncio.gather(*(self.greet(host, way) for host in hosts)))

    async def greet(self, host: str, way: Way) -> Contact:
        """Greet one host at the first of its addresses that answers."""
        named = Route(host, RouteOutcome.MAIL_HOSTS, (MailHost(host, 0),))
        route = await self.domains.addresses(named)
        if route.outcome is not RouteOutcome.MAIL_HOSTS:
            return Contact(host, problem=route.evidence[-1].text or str(route.outcome), is_looked_up=False)
        mail_host = route.hosts[0]
        usable = [address for address in mail_host.addresses if way.is_for_ipv6 in {None, ":" in address}]
        contact = Contact(host, problem="no address of the kind of our source address")
        for address in usable[:_ADDRESSES_TRIED]:
            contact = await self._greet(host, address, mail_host.port, way)
            if not contact.problem:
                break
        return contact

    async def _greet(self, host: str, address: str, port: int, way: Way) -> Contact:
        budgets, loop = self.config.budgets, asyncio.get_running_loop()
        try:
            connection = await Wire.connect(address, port, way, loop.time() + budgets.connect_seconds)
        except Broken as broken:
            return Contact(host, problem=f"{broken.cause}: {broken.detail}")
        local = "" if way.proxy else connection.local_address
        try:
            banner = await connection.reply(loop.time() + budgets.banner_seconds)
            if banner.code != 220:
                return Contact(host, f"greets with {banner.code} {banner.short_text}", local_address=local)
            name = wire.own_name(way.helo or self.config.helo, connection.local_address)
            await connection.send(wire.greeting(Verb.EHLO, name))
            reply = await connection.reply(loop.time() + budgets.command_seconds)
            if reply.code >= 400:
                return Contact(host, f"refuses EHLO: {reply.code} {reply.short_text}", local_address=local)
            return Contact(host, "", banner.short_text, local, self._own_address(reply.text))
        except Broken as broken:
            return Contact(host, problem=f"connected, then: {broken.cause}", local_address=local)
        finally:
            await connection.quit(budgets.quit_seconds)

    def _own_address(self, text: str) -> str:
        """Return the address that a reply shows in brackets, as many hosts do: the one that they see."""
        for match in _IN_BRACKETS.finditer(text):
            try:
                address = str(ip_address(match[1]))
            except ValueError:
                continue
            if networks.may_be_asked(address, allow_networks=self.config.allow_networks):
                return address
        return ""
