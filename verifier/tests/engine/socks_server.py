"""A real SOCKS5 server for tests (RFC 1928, RFC 1929): connects where it is told, and remembers where that was."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address


@dataclass
class Proxy:
    """A proxy. `user` and `password` make it want them; `reply` other than 0 refuses every connection."""

    user: str = ""
    password: str = ""
    reply: int = 0
    version: int = 5
    hangs_up: bool = False
    port: int = 0
    asked: list[tuple[str, int]] = field(default_factory=list)
    methods: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            if await self._authenticates(reader, writer):
                await self._connect(reader, writer)
        writer.close()

    async def _authenticates(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        _, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        self.methods.append(methods)
        if self.hangs_up:
            return False
        method = 2 if self.user else 0
        is_offered = method in methods
        writer.write(bytes((self.version, method if is_offered else 255)))
        if not is_offered or not self.user:
            return is_offered
        _, size = await reader.readexactly(2)
        user = await reader.readexactly(size)
        password = await reader.readexactly((await reader.readexactly(1))[0])
        is_right = (user.decode(), password.decode()) == (self.user, self.password)
        writer.write(bytes((1, 0 if is_right else 1)))
        return is_right

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, command, _, kind = await reader.readexactly(4)
        assert (command, kind in {1, 4}) == (1, True), "CONNECT to a number"
        address = str(ip_address(await reader.readexactly(4 if kind == 1 else 16)))
        port = int.from_bytes(await reader.readexactly(2))
        self.asked.append((address, port))
        if self.reply:
            writer.write(bytes((5, self.reply, 0, 1)) + bytes(6))
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(address, port)
        except OSError:
            writer.write(bytes((5, 5, 0, 1)) + bytes(6))
            return
        writer.write(bytes((5, 0, 0, 3, 5)) + b"proxy" + bytes(2))  # bound to a name, as some proxies say
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read(4096):
            target.write(data)
            await target.drain()
    target.close()


@asynccontextmanager
async def serving(proxy: Proxy) -> AsyncIterator[Proxy]:
    """Serve a proxy on a free port of loopback."""
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await server.wait_closed()
