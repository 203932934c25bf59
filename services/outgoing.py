"""HTTP to URLs that customers chose: a name is resolved once, every address of it is checked, and that one is called.

Connecting to the checked address leaves no second look-up for a name server to answer otherwise (DNS rebinding).
"""

import asyncio
import functools
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx

from services import networks, trust
from services.networks import Network

URL_CHARACTERS_MAX = 2048
TRY_SECONDS = 15.0
_CONNECT_SECONDS = 5.0
_ADDRESSES_TRIED = 3
_LOOKUPS_AT_ONCE = 16
_PORTS = {"http": 80, "https": 443}
_FREE_PORT_MIN = 1024


class Refused(httpx.ConnectError):
    """The URL leads to where nothing of ours goes; the message is for the customer and names no address."""


class Outgoing:
    """Sends requests to the public Internet, and to the networks that were allowed besides."""

    def __init__(self, allowed: Sequence[Network] = (), *, is_http_allowed: bool) -> None:
        """`is_http_allowed`: also without TLS."""
        self._allowed = allowed
        # Names of others may take long: looked up among ours, they would keep us from the database.
        self._threads = ThreadPoolExecutor(_LOOKUPS_AT_ONCE, thread_name_prefix="resolve")
        self._schemes = ("http", "https") if is_http_allowed else ("https",)
        self._client = httpx.AsyncClient(
            transport=_CheckedTransport(self),
            follow_redirects=False,
            trust_env=False,
            timeout=httpx.Timeout(TRY_SECONDS, connect=_CONNECT_SECONDS),
            headers={"User-Agent": "mailverdict-webhooks/1"},
        )

    async def aclose(self) -> None:
        """Close what is open."""
        await self._client.aclose()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def check(self, url: str) -> str | None:
        """Say what is wrong with a URL, its host looked up included; None when it may be called now."""
        problem = self._form_problem(url)
        if problem is not None:
            return problem
        parts = httpx.URL(url)
        try:
            await self.addresses(_host(parts), parts.port or _PORTS[parts.scheme])
        except Refused as error:
            return str(error)
        return None

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
        """Post and give the answer, its body left out. At most 15 seconds in all.

        Raises:
            httpx.HTTPError, httpx.InvalidURL, OSError: nobody answered in time, or the URL may not be called.

        """
        if problem := self._form_problem(url):
            raise Refused(problem)
        async with asyncio.timeout(TRY_SECONDS), self._client.stream("POST", url, content=body, headers=headers) as r:
            return r

    def _form_problem(self, url: str) -> str | None:
        if len(url) > URL_CHARACTERS_MAX:
            return f"A URL has at most {URL_CHARACTERS_MAX} characters."
        try:
            parts = httpx.URL(url)  # read as it will be when it is called
        except httpx.InvalidURL:
            return "This is not a URL."
        if not url.isprintable() or " " in url or not parts.host or parts.scheme not in _PORTS:
            return f"Give an absolute URL that begins with {self._schemes[-1]}://."
        if parts.scheme not in self._schemes:
            return "Only https:// is called."
        if parts.userinfo:
            return "A URL must not hold a name or password: requests are signed."
        if parts.port is not None and parts.port not in _PORTS.values() and parts.port < _FREE_PORT_MIN:
            return "Only the ports 80, 443 and those from 1024 are called."
        return None

    async def addresses(self, host: str, port: int) -> list[str]:
        """Look up a host; every address of it may be called.

        Raises:
            Refused: the name has no address, or one that is not public.

        """
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                looking = functools.partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
                found = await asyncio.get_running_loop().run_in_executor(self._threads, looking)
        except (OSError, UnicodeError, TimeoutError) as error:
            raise Refused("The host's name cannot be resolved.") from error
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if not addresses or not all(networks.may_be_called(address, self._allowed) for address in addresses):
            raise Refused("The host is not on the public Internet.")
        return addresses


def _host(url: httpx.URL) -> str:
    """The host as the header names it, in A-labels: what looks names up would make others of them (IDNA 2003)."""
    return url.raw_host.decode("ascii")


class _CheckedTransport(httpx.AsyncBaseTransport):
    """Connects to a checked address. No connection is kept: it would outlive its check."""

    def __init__(self, outgoing: Outgoing) -> None:
        self._outgoing = outgoing
        self._inner = httpx.AsyncHTTPTransport(
            verify=trust.context(),
            trust_env=False,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        host = _host(url)
        addresses = await self._outgoing.addresses(host, url.port or _PORTS[url.scheme])
        failure: Exception | None = None
        for address in addresses[:_ADDRESSES_TRIED]:
            checked = httpx.Request(
                request.method,
                url.copy_with(host=address),
                headers=request.headers,  # has Host, with the name
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": host},
            )
            try:
                return await self._inner.handle_async_request(checked)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = error
        raise failure or Refused("The host has no address.")

    async def aclose(self) -> None:
        await self._inner.aclose()
