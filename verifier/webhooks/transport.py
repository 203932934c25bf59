"""HTTP to URLs that strangers chose: a name is resolved once, every address of it is checked, and that one is called.

Connecting to the checked address leaves no second look-up for a name server to answer otherwise (DNS rebinding).
"""

import asyncio
import functools
import socket
import ssl
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx

from verifier.api import webhook_url
from verifier.engine import networks
from verifier.engine.config import Network

ADDRESSES_TRIED = 3
CONNECT_SECONDS = 5.0
TRY_SECONDS = 15.0
LOOKUPS_AT_ONCE = 16


class Refused(httpx.ConnectError):
    """The URL leads to where we do not go; the message is for the receiver's owner and names no address of ours."""


class PublicTransport(httpx.AsyncBaseTransport):
    """Goes to public addresses, and to those in `allow_networks`. No connection is kept: it would outlive its check."""

    def __init__(self, allow_networks: Sequence[Network], tls: ssl.SSLContext) -> None:
        self._allow_networks = allow_networks
        # Names of strangers may take long: looked up beside our own, they would keep us from the database.
        self._threads = ThreadPoolExecutor(LOOKUPS_AT_ONCE, thread_name_prefix="resolve")
        self._inner = httpx.AsyncHTTPTransport(
            verify=tls, trust_env=False, limits=httpx.Limits(max_connections=None, max_keepalive_connections=0)
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request to a checked address of its host; raise Refused where one of them may not be called."""
        host, port = request.url.host, request.url.port or (443 if request.url.scheme == "https" else 80)
        if not webhook_url.may_use_port(port):
            raise Refused("port not allowed", request=request)
        failure: Exception = Refused("the host has no address", request=request)
        for address in (await self._addresses(host, port, request))[:ADDRESSES_TRIED]:
            try:
                return await self._inner.handle_async_request(
                    httpx.Request(
                        request.method,
                        request.url.copy_with(host=address),
                        headers=request.headers,  # has Host, with the name
                        stream=request.stream,
                        extensions={**request.extensions, "sni_hostname": host},
                    )
                )
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = error
        raise failure

    async def _addresses(self, host: str, port: int, request: httpx.Request) -> list[str]:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                looking = functools.partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
                found = await asyncio.get_running_loop().run_in_executor(self._threads, looking)
        except (OSError, UnicodeError, TimeoutError) as error:
            raise Refused("the host's name cannot be resolved", request=request) from error
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if not all(networks.may_be_asked(address, allow_networks=self._allow_networks) for address in addresses):
            raise Refused("the host is not on the public Internet", request=request)
        return addresses

    async def aclose(self) -> None:
        """Close what is open; nobody waits for a name any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        await self._inner.aclose()


def client(allow_networks: Sequence[Network], *, tls: ssl.SSLContext | None = None) -> httpx.AsyncClient:
    """Return a client that follows no redirects, uses no proxy, and waits no longer than a try may last."""
    return httpx.AsyncClient(
        transport=PublicTransport(allow_networks, tls or ssl.create_default_context()),
        follow_redirects=False,
        trust_env=False,
        timeout=httpx.Timeout(TRY_SECONDS, connect=CONNECT_SECONDS),
        headers={"User-Agent": "verifier-webhooks/1"},
    )
