"""Small DNS and SMTP servers on loopback whose every answer a test decides."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from typing import Any, cast

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from verifier.engine.config import Budgets, EngineConfig, Nameserver, Zone

BUDGETS = Budgets(
    dns_try_seconds=0.3,
    dns_seconds=0.7,
    connect_seconds=0.5,
    banner_seconds=0.6,
    command_seconds=0.5,
    session_seconds=5.0,
    quit_seconds=0.2,
)


@dataclass
class Names:
    """A name server: records by name and type; a name may have a behaviour instead (SERVFAIL, REFUSED, SILENT)."""

    records: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    behaviours: dict[str, str] = field(default_factory=dict)
    truncated: set[str] = field(default_factory=set)
    asked: list[tuple[str, str]] = field(default_factory=list)
    ttl_seconds: int = 60
    delay_seconds: float = 0.0
    port: int = 0

    def mail(self, domain: str, *hosts: tuple[int, str, str]) -> None:
        """Give a domain MX records: preference, name and address of each host."""
        self.records[domain, "MX"] = [f"{preference} {name}." for preference, name, _ in hosts]
        for _, name, address in hosts:
            self.records[name, "AAAA" if ":" in address else "A"] = [address]

    def answer(self, query: dns.message.Message, *, over_tcp: bool) -> dns.message.Message | None:
        name = query.question[0].name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(query.question[0].rdtype)
        self.asked.append((name, kind))
        behaviour = self.behaviours.get(f"{name} {kind}") or self.behaviours.get(name)
        if behaviour == "SILENT":
            return None
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA
        if behaviour:
            response.set_rcode(dns.rcode.from_text(behaviour))
        elif name in self.truncated and not over_tcp:
            response.flags |= dns.flags.TC
        else:
            self._fill(response, name, kind)
        return response

    def _fill(self, response: dns.message.Message, name: str, kind: str) -> None:
        if (name, "CNAME") in self.records:
            kind = "CNAME"
        if (name, kind) in self.records:
            response.answer.append(
                dns.rrset.from_text(name + ".", self.ttl_seconds, "IN", kind, *self.records[name, kind])
            )
            return
        if not any(known == name for known, _ in self.records):
            response.set_rcode(dns.rcode.NXDOMAIN)
        zone = name.rpartition(".")[2] + "."
        response.authority.append(dns.rrset.from_text(zone, 60, "IN", "SOA", f"ns.{zone} x.{zone} 1 60 60 60 30"))


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, names: Names) -> None:
        self.names = names

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str | int, int]) -> None:
        response = self.names.answer(dns.message.from_wire(data), over_tcp=False)
        if response is not None:
            loop = asyncio.get_running_loop()
            loop.call_later(self.names.delay_seconds, self.transport.sendto, response.to_wire(), addr)


async def _bind(
    names: Names, over_tcp: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], port: int
) -> tuple[asyncio.Server, asyncio.DatagramTransport]:
    """Listen at one port for TCP and UDP; a free one for the one may be taken for the other."""
    while True:
        server = await asyncio.start_server(over_tcp, "127.0.0.1", port)
        names.port = server.sockets[0].getsockname()[1]
        try:
            transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: _Udp(names), ("127.0.0.1", names.port)
            )
        except OSError:
            server.close()
            if port:
                raise
        else:
            return server, transport


@asynccontextmanager
async def serving_names(names: Names, port: int = 0) -> AsyncIterator[Names]:
    """Serve names over UDP and TCP on a port of loopback, 0 for a free one."""

    async def over_tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = int.from_bytes(await reader.readexactly(2))
        response = names.answer(dns.message.from_wire(await reader.readexactly(size)), over_tcp=True)
        if response is not None:
            wire = response.to_wire()
            writer.write(len(wire).to_bytes(2) + wire)
            await writer.drain()
        writer.close()

    server, transport = await _bind(names, over_tcp, port)
    try:
        yield names
    finally:
        transport.close()
        server.close()
        await server.wait_closed()


Rcpt = Callable[["Talk", str], Awaitable[str | None]]


@dataclass
class Talk:
    """One connection: what was said, and what a handler may want to know."""

    number: int
    commands: list[str] = field(default_factory=list)
    recipients: int = 0
    refusals: int = 0
    errors: int = 0
    has_sender: bool = False
    is_encrypted: bool = False


@dataclass
class MailHost:
    """An SMTP server. `users` exist, all else is refused; each field changes one thing. None as a reply hangs up."""

    users: set[str] = field(default_factory=set)
    unknown: str = "550 5.1.1 User unknown"
    known: str = "250 2.1.5 Ok"
    banner: str | bytes | None = "220 mx.example ESMTP"
    banner_after_seconds: float = 0.0
    ehlo: str = "250-mx.example\r\n250-PIPELINING\r\n250 SMTPUTF8"
    ehlo_encrypted: str | None = None
    helo: str = "250 mx.example"
    mail: Callable[[Talk, str], str | None] = lambda talk, path: "250 2.1.0 Ok"
    rcpt: Rcpt | None = None
    starttls: str = "220 go ahead"
    tls: ssl.SSLContext | None = None
    drops_pipeliners: bool = False
    line_end: str = "\r\n"
    address: str = "127.0.0.1"
    port: int = 0
    talks: list[Talk] = field(default_factory=list)
    open_max: int = 0
    _open: int = 0

    @property
    def commands(self) -> list[str]:
        """Everything that was said, in all connections."""
        return [command for talk in self.talks for command in talk.commands]

    def said(self, verb: str) -> int:
        return sum(command.upper().startswith(verb) for command in self.commands)

    async def _answer(self, talk: Talk, line: str) -> str | None:
        verb = line.upper()
        if verb.startswith("EHLO"):
            return self.ehlo_encrypted if talk.is_encrypted and self.ehlo_encrypted else self.ehlo
        if verb.startswith("HELO"):
            return self.helo
        if verb.startswith("MAIL FROM:"):
            talk.recipients = 0
            return self.mail(talk, line[10:])
        if verb.startswith("RCPT TO:"):
            path = line[8:].strip().removeprefix("<").removesuffix(">")
            talk.recipients += 1
            reply = await self.rcpt(talk, path) if self.rcpt else self.verdict(path)
            talk.refusals += reply is not None and reply.startswith(("4", "5"))
            return reply
        if verb.startswith("QUIT"):
            return "221 bye"
        return "250 ok" if verb.startswith("RSET") else "500 what"

    def verdict(self, path: str) -> str:
        return self.known if path.rpartition("@")[0] in self.users else self.unknown

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = Talk(len(self.talks) + 1)
        self.talks.append(talk)
        self._open += 1
        self.open_max = max(self.open_max, self._open)
        try:
            await self._serve(talk, reader, writer)
        except (ConnectionError, ssl.SSLError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client went, or the test is over
        finally:
            self._open -= 1
            writer.close()

    async def _serve(self, talk: Talk, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(self.banner_after_seconds)
        if self.banner is None:
            return
        writer.write(self.banner if isinstance(self.banner, bytes) else (self.banner + self.line_end).encode())
        while line := (await reader.readline()).decode().rstrip("\r\n"):
            talk.commands.append(line)
            if self.drops_pipeliners and await self._has_more(reader):
                return
            if line.upper() == "STARTTLS":
                writer.write((self.starttls + self.line_end).encode())
                if self.starttls.startswith("220"):
                    if self.tls is None:
                        writer.write(b"this is no TLS\r\n")
                        return
                    await writer.start_tls(self.tls)
                    talk.is_encrypted = True
                continue
            reply = await self._answer(talk, line)
            if reply is None:
                return
            writer.write((reply.replace("\r\n", self.line_end) + self.line_end).encode())
            if reply.startswith(("421", "221")):
                return

    @staticmethod
    async def _has_more(reader: asyncio.StreamReader) -> bool:
        await asyncio.sleep(0.01)
        return bool(reader._buffer)  # type: ignore[attr-defined]  # the stubs hide it


@asynccontextmanager
async def serving_mail(*hosts: MailHost) -> AsyncIterator[int]:
    """Serve mail hosts at their addresses, all on one free port, which is returned."""
    servers: list[asyncio.Server] = []
    port = 0
    for host in hosts:
        server = await asyncio.start_server(host._talk, host.address, port)
        port = host.port = server.sockets[0].getsockname()[1]
        servers.append(server)
    try:
        yield port
    finally:
        for server in servers:
            server.close()
        for server in servers:
            await server.wait_closed()


def config(names: Names, smtp_port: int = 25, **changes: Any) -> EngineConfig:
    """Return a configuration whose zone `test` is these servers."""
    nameserver = Nameserver("127.0.0.1", names.port)
    plain = EngineConfig(
        helo="probe.example",
        mail_from="probe@probe.example",
        nameservers=(nameserver,),
        zones=(Zone("test", nameserver, smtp_port),),
        budgets=BUDGETS,
    )
    return replace(plain, **changes)


def open_config(names: Names, smtp_port: int, *networks: str) -> EngineConfig:
    """Return a configuration without zones, as in the world, with networks that may be asked all the same."""
    plain = config(names, zones=(), allow_networks=tuple(ip_network(each) for each in networks))
    return replace(plain, smtp_port=smtp_port)
