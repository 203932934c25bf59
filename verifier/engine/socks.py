"""A SOCKS5 client (RFC 1928, RFC 1929): asks a proxy for a connection to a numeric address, and nothing else."""

import asyncio
from ipaddress import ip_address

from verifier.engine.config import Socks5

_VERSION = 5
_CONNECT = 1
_NO_AUTHENTICATION = 0
_PASSWORD = 2
_PASSWORD_VERSION = 1
_IPV4, _NAME, _IPV6 = 1, 3, 4
_SUCCEEDED = 0

_REPLIES = {
    1: "general failure",
    2: "not allowed by its rules",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "time to live expired",
    7: "command not supported",
    8: "address type not supported",
}
_SAID_OF_THE_TARGET = frozenset({3, 4, 5, 6})


class ProxyFailed(Exception):
    """The proxy itself is out of order; the mail host may be well."""


class TargetFailed(Exception):
    """The proxy works and could not reach the mail host."""


async def connect(proxy: Socks5, address: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return a connection to a numeric address through a proxy; raise ProxyFailed or TargetFailed.

    The address goes out as a number, so the proxy looks up no name: what was checked is what is reached.
    """
    try:
        reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
    except OSError as error:
        raise ProxyFailed(f"no connection to the proxy: {error.strerror or error}") from None
    try:
        await _negotiate(proxy, reader, writer)
        numeric = ip_address(address)
        kind = _IPV4 if numeric.version == 4 else _IPV6
        writer.write(bytes((_VERSION, _CONNECT, 0, kind)) + numeric.packed + port.to_bytes(2))
        await _read_reply(reader)
    except (OSError, asyncio.IncompleteReadError):
        writer.close()
        raise ProxyFailed("the proxy hung up") from None
    except BaseException:
        writer.close()
        raise
    return reader, writer


async def _negotiate(proxy: Socks5, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    methods = (_NO_AUTHENTICATION, _PASSWORD) if proxy.user else (_NO_AUTHENTICATION,)
    writer.write(bytes((_VERSION, len(methods), *methods)))
    version, method = await reader.readexactly(2)
    if version != _VERSION:
        raise ProxyFailed("the proxy does not speak SOCKS5")
    if method == _PASSWORD and proxy.user:
        user, password = proxy.user.encode(), proxy.password.encode()
        writer.write(bytes((_PASSWORD_VERSION, len(user))) + user + bytes((len(password),)) + password)
        _, status = await reader.readexactly(2)
        if status != _SUCCEEDED:
            raise ProxyFailed("the proxy refuses the user name or the password")
    elif method != _NO_AUTHENTICATION:
        raise ProxyFailed("the proxy wants another way of authentication")


async def _read_reply(reader: asyncio.StreamReader) -> None:
    version, status, _, kind = await reader.readexactly(4)
    if version != _VERSION:
        raise ProxyFailed("the proxy does not speak SOCKS5")
    if status != _SUCCEEDED:
        said = f"the proxy says: {_REPLIES.get(status, f'error {status}')}"
        raise (TargetFailed if status in _SAID_OF_THE_TARGET else ProxyFailed)(said)
    sizes = {_IPV4: 4, _IPV6: 16}
    size = sizes[kind] if kind in sizes else (await reader.readexactly(1))[0]
    await reader.readexactly(size + 2)
