"""Requests to URLs that customers chose (line 27 of the security list): nothing private is reached, nothing lasts."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import AsyncIterator
from ipaddress import ip_network
from typing import Any

import httpx
import pytest

from services import outgoing as module
from services.networks import may_be_called
from services.outgoing import Outgoing, Refused
from tests import receiver

PRIVATE = (
    "127.0.0.1",
    "127.8.9.10",
    "0.0.0.0",  # noqa: S104 - asked, not bound
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "192.0.0.8",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "2001:0:7f00:1::1",
    "2001:db8::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "not an address",
)
PUBLIC = ("1.1.1.1", "93.184.215.14", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::1")
HOSTILE = (
    "http://127.0.0.1/",
    "http://localhost/",
    "http://0/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://017700000001/",
    "http://0177.0.0.1/",
    "http://127.1/",
    "http://[::1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[2002:7f00:1::]/",
    "http://169.254.169.254/latest/meta-data/",
    "http://[fd00:ec2::254]/",
    "http://10.0.0.1/",
    "http://user:password@example.com/",
    "http://example.com:22/",
    "http://example.com:99999/",
    "http:///nothing",
    "http://exa mple.com/",
    "http://example.com/\r\nHost: evil",
    "https://[/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_FLUSHALL",
    "example.com",
    "",
    "http://example.com/" + "x" * 2048,
)


@pytest.fixture
async def strict() -> AsyncIterator[Outgoing]:
    client = Outgoing(is_http_allowed=True)
    yield client
    await client.aclose()


@pytest.fixture
async def narrow() -> AsyncIterator[Outgoing]:
    """Allowed to call one address of loopback and no other."""
    client = Outgoing([ip_network("127.0.0.2/32")], is_http_allowed=True)
    yield client
    await client.aclose()


@pytest.mark.parametrize("address", PRIVATE)
def test_security_27_a_private_address_is_not_called(address: str) -> None:
    assert not may_be_called(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_called(address: str) -> None:
    assert may_be_called(address)


def test_an_allowed_network_is_called_and_its_neighbour_is_not() -> None:
    allowed = [ip_network("10.1.0.0/16")]
    assert may_be_called("10.1.2.3", allowed)
    assert not may_be_called("10.2.0.1", allowed)


@pytest.mark.parametrize("url", HOSTILE)
async def test_security_27_a_hostile_url_is_refused_when_it_is_given_and_when_it_is_called(
    strict: Outgoing, url: str
) -> None:
    assert await strict.check(url) is not None
    with pytest.raises(Refused):
        await strict.post(url, b"{}", {})


async def test_without_tls_nothing_is_called_where_it_is_required() -> None:
    client = Outgoing(is_http_allowed=False)
    assert await client.check("http://1.1.1.1/hook") == "Only https:// is called."
    await client.aclose()


async def test_security_27_a_redirect_is_an_answer_and_is_not_followed(narrow: Outgoing) -> None:
    async with receiver.running("127.0.0.2") as outer, receiver.running("127.0.0.3") as inner:
        outer.redirects_to = inner.url
        assert (await narrow.post(outer.url, b"{}", {})).status_code == 302
        assert (len(outer.messages), inner.messages) == (1, [])


async def test_security_27_a_name_that_changes_its_address_cannot_lead_inside(
    narrow: Outgoing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: what is called is what was checked, and the next call is checked anew."""
    asked: list[str] = []

    async with receiver.running("127.0.0.2") as outer, receiver.running("127.0.0.3") as inner:
        port = httpx.URL(outer.url).port

        def turning(host: str, port: int, **_: Any) -> list[Any]:
            asked.append(host)
            address = "127.0.0.2" if len(asked) == 1 else "127.0.0.3"
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

        monkeypatch.setattr(socket, "getaddrinfo", turning)
        assert (await narrow.post(f"http://turning.test:{port}/hook", b"{}", {})).status_code == 204
        assert asked == ["turning.test"]
        assert outer.messages[0].headers["host"] == f"turning.test:{port}"
        with pytest.raises(Refused):
            await narrow.post(f"http://turning.test:{port}/hook", b"{}", {})
        assert inner.messages == []


async def test_the_name_that_is_looked_up_is_the_one_that_is_called(
    narrow: Outgoing, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async with receiver.running("127.0.0.2") as hook:
        port = httpx.URL(hook.url).port

        def found(host: str, port: int, **_: Any) -> list[Any]:
            asked.append(host)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.2", port))]

        monkeypatch.setattr(socket, "getaddrinfo", found)
        url = f"http://straße.test:{port}/hook"  # another name, strasse.test, in the rules that look-ups go by
        assert await narrow.check(url) is None
        assert (await narrow.post(url, b"{}", {})).status_code == 204
    assert asked == ["xn--strae-oqa.test"] * 2
    assert hook.messages[0].headers["host"] == f"xn--strae-oqa.test:{port}"


async def test_security_27_a_name_with_one_private_address_among_public_ones_is_refused(
    strict: Outgoing, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mixed(_host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port)) for a in ("1.1.1.1", "10.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", mixed)
    assert await strict.check("http://mixed.test/") == "The host is not on the public Internet."


async def test_security_27_a_receiver_that_hangs_is_left_in_time(
    narrow: Outgoing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TRY_SECONDS", 0.2)
    async with receiver.running("127.0.0.2") as slow:
        slow.hang_seconds = 1
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            await narrow.post(slow.url, b"{}", {})
        assert time.monotonic() - began < 1


async def test_security_27_an_endless_answer_is_not_read(narrow: Outgoing) -> None:
    async def endless(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
        try:
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()
        except OSError:
            writer.close()

    server = await asyncio.start_server(endless, "127.0.0.2", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        assert (await narrow.post(f"http://127.0.0.2:{port}/", b"{}", {})).status_code == 200


async def test_security_27_an_answer_that_drips_is_left_in_time(
    narrow: Outgoing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each piece comes soon enough for a time-out between two: it is the whole that has an end."""
    monkeypatch.setattr(module, "TRY_SECONDS", 0.3)
    for words in (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"):
        async with dripping(words) as url:
            began = time.monotonic()
            with contextlib.suppress(TimeoutError):  # of a body nothing is read
                await narrow.post(url, b"{}", {})
            assert time.monotonic() - began < 1


@contextlib.asynccontextmanager
async def dripping(words: bytes) -> AsyncIterator[str]:
    """A receiver that says some words at once, then one byte after the other without an end."""

    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(words)
        with contextlib.suppress(OSError), contextlib.closing(writer):
            while not writer.is_closing():
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.02)

    server = await asyncio.start_server(drip, "127.0.0.2", 0)
    async with server:
        yield f"http://127.0.0.2:{server.sockets[0].getsockname()[1]}/"


def test_security_27_one_try_takes_fifteen_seconds_at_most() -> None:
    assert module.TRY_SECONDS <= 15


async def test_names_that_are_never_found_do_not_keep_us_from_our_own(
    strict: Outgoing, monkeypatch: pytest.MonkeyPatch
) -> None:
    over, looked_up = threading.Event(), socket.getaddrinfo

    def slow(host: str, *rest: Any, **others: Any) -> list[Any]:
        if host == "slow.test":
            over.wait(10)
        return list(looked_up(host, *rest, **others))

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    asking = [asyncio.create_task(strict.check("http://slow.test/")) for _ in range(100)]
    try:
        async with asyncio.timeout(2):
            await asyncio.sleep(0)
            assert await asyncio.get_running_loop().getaddrinfo("localhost", 80)
    finally:
        for one in asking:
            one.cancel()
        over.set()
        await asyncio.gather(*asking, return_exceptions=True)
