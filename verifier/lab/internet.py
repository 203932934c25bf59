"""The lab as a whole: starts the name server and the mail hosts, and stops them."""

import asyncio
import errno
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from verifier.lab import blackhole
from verifier.lab.catalogue import CATALOGUE
from verifier.lab.certificate import server_context
from verifier.lab.dns_server import NameServer, UdpServer, serve_tcp
from verifier.lab.domain import ZONE, Domain
from verifier.lab.geography import IPV6_ADDRESS, Geography, host_name
from verifier.lab.host_memory import Greylist, Tally
from verifier.lab.log import Log
from verifier.lab.smtp_server import Connection, MailHost

_NAME_SERVER_ADDRESS = "127.0.0.1"
_PORT_ATTEMPTS = 20


class Lab:
    """A small Internet on loopback, for as long as the `async with` lasts.

    Port 0 picks a free port, the same one for UDP and TCP and for every mail host. `delay_seconds` is the round trip:
    every DNS reply and every reply to a write of an SMTP client is held back by it. Raises OSError where a given port
    is in use.
    """

    def __init__(
        self,
        dns_port: int = 0,
        smtp_port: int = 0,
        delay_seconds: float = 0.0,
        *,
        catalogue: Sequence[Domain] = CATALOGUE,
        log_path: Path | None = None,
    ) -> None:
        self.dns_port = dns_port
        self.smtp_port = smtp_port
        self.delay_seconds = delay_seconds
        self.geography = Geography(catalogue)
        self._log_path = log_path
        self._tcp_servers: list[asyncio.Server] = []
        self._udp: asyncio.DatagramTransport | None = None
        self._dns_connections: set[asyncio.Task[None]] = set()
        self._hosts: list[MailHost] = []
        self._holes: list[socket.socket] = []
        self._tls: ssl.SSLContext | None = None

    @property
    def zone_setting(self) -> str:
        """The lab's zone as the verifier's settings want it: `suffix=ip:dnsport/smtpport`."""
        return f"{ZONE}={_NAME_SERVER_ADDRESS}:{self.dns_port}/{self.smtp_port}"

    async def __aenter__(self) -> Self:
        self.log = Log(self._log_path)
        try:
            self.dns_port = await self._open(self._serve_names, self.dns_port)
            self.smtp_port = await self._open(self._serve_mail, self.smtp_port)
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Cut every connection and free every port."""
        await self._free()
        self.log.close()

    async def _free(self) -> None:
        if self._udp:
            self._udp.close()
            self._udp = None
        _close(self._tcp_servers)
        self._tcp_servers.clear()
        self._fill_holes()
        for host in self._hosts:
            for connection in tuple(host.connections):
                connection.abort()
        self._hosts.clear()
        for task in self._dns_connections:
            task.cancel()
        await asyncio.gather(*self._dns_connections, return_exceptions=True)
        await asyncio.sleep(0)

    async def _open(self, serve: Callable[[int], Awaitable[None]], port: int) -> int:
        """Serve on a port, or on the first one that is free everywhere."""
        if port:
            await serve(port)
            return port
        for _ in range(_PORT_ATTEMPTS):
            free = _free_port()
            try:
                await serve(free)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                continue
            return free
        message = "no port is free on every address of the lab"
        raise OSError(errno.EADDRINUSE, message)

    async def _serve_names(self, port: int) -> None:
        loop = asyncio.get_running_loop()
        names = NameServer(self.geography, self.log)
        address = (_NAME_SERVER_ADDRESS, port)
        udp, _ = await loop.create_datagram_endpoint(lambda: UdpServer(names, self.delay_seconds), local_addr=address)
        try:
            server = await asyncio.start_server(partial(self._serve_names_over_tcp, names), *address)
        except OSError:
            udp.close()
            raise
        self._udp = udp
        self._tcp_servers.append(server)

    async def _serve_names_over_tcp(
        self, names: NameServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        if task:
            self._dns_connections.add(task)
            task.add_done_callback(self._dns_connections.discard)
        await serve_tcp(names, self.delay_seconds, reader, writer)

    async def _serve_mail(self, port: int) -> None:
        loop = asyncio.get_running_loop()
        opened: list[asyncio.Server] = []
        hosts: list[MailHost] = []
        for name, script in self.geography.scripts.items():
            if script is None:
                continue
            address, domains = self.geography.addresses[name], self.geography.served[name]
            host = MailHost(host_name(name), address, script, domains, Greylist(loop.time), Tally(loop.time))
            make = partial(Connection, host, self.log, self.delay_seconds, self._tls_context)
            try:
                opened.append(await loop.create_server(make, address, port, backlog=1024))
            except OSError as error:
                if address == IPV6_ADDRESS and error.errno != errno.EADDRINUSE:
                    continue  # this machine has no IPv6: one host of the lab is not there
                _close(opened)
                raise
            hosts.append(host)
        try:
            for address in self.geography.holes:
                self._holes += blackhole.dig(address, port)
        except OSError:
            _close(opened)
            self._fill_holes()
            raise
        self._tcp_servers += opened
        self._hosts += hosts

    def _fill_holes(self) -> None:
        for hole in self._holes:
            hole.close()
        self._holes.clear()

    def _tls_context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = server_context(host_name("tls"))
        return self._tls


def _close(servers: Sequence[asyncio.Server]) -> None:
    for server in servers:
        server.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_NAME_SERVER_ADDRESS, 0))
        port: int = probe.getsockname()[1]
        return port
