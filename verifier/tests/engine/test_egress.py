"""The ways out: source addresses and SOCKS5 proxies by mail host."""

import asyncio
import socket
import ssl
from dataclasses import dataclass, field

import pytest

from verifier.engine import egress
from verifier.engine.config import Egress, EngineConfig, Socks5, Way
from verifier.engine.evidence import Reason, Result, Stage, Status
from verifier.tests.engine import servers, socks_server
from verifier.tests.engine.asking import ALICE, EXISTS, GONE, check, collect, only, verdicts
from verifier.tests.engine.servers import MailHost, Names
from verifier.tests.engine.socks_server import Proxy

UNREACHED = (Status.UNKNOWN, Reason.NO_CONNECTION)


@dataclass
class Seeing(MailHost):
    """Remembers where its clients came from."""

    seen: set[str] = field(default_factory=set)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.seen.add(writer.get_extra_info("peername")[0])
        await super()._talk(reader, writer)


def through(proxy: Proxy, user: str = "", password: str = "", *, helo: str | None = None) -> tuple[Egress, ...]:
    return (Egress("", (Way(proxy=Socks5("127.0.0.1", proxy.port, user, password), helo=helo),)),)


def text_at(found: Result, stage: Stage) -> str:
    return " ".join(each.text or "" for each in found.evidence if each.stage is stage)


async def test_a_host_is_asked_from_the_source_address_of_its_group_with_its_name(names: Names) -> None:
    ways = (Egress("", (Way("127.0.0.98"),)), Egress("mx1.test", (Way("127.0.0.99", helo="out.example.org"),)))
    host = Seeing(ALICE)
    found = await check(names, [host], "alice@a.test", "bob@a.test", egress=ways)
    assert verdicts(found) == {"alice@a.test": EXISTS, "bob@a.test": GONE}
    assert host.seen == {"127.0.0.99"}
    assert host.commands[0] == "EHLO out.example.org"
    assert "from 127.0.0.99" in text_at(found["alice@a.test"], Stage.CONNECT)


async def test_a_domain_goes_out_by_the_same_way_every_time_and_domains_are_spread(names: Names) -> None:
    ways = (Egress("", tuple(Way(f"127.0.0.{number}") for number in range(90, 94))),)
    config = EngineConfig(helo="h.example", mail_from="p@h.example", egress=ways)
    firsts = {domain: egress.ways(config, "mx.test", domain)[0] for domain in (f"d{i}.test" for i in range(40))}
    assert set(firsts.values()) == set(ways[0].ways)
    assert all(egress.ways(config, "mx.test", domain)[0] == way for domain, way in firsts.items())


async def test_domains_of_one_host_that_go_out_by_different_ways_do_not_share_a_session(names: Names) -> None:
    ways = (Egress("", (Way("127.0.0.90"), Way("127.0.0.91"))),)
    domains = [f"d{number}.test" for number in range(8)]
    for domain in domains:
        names.mail(domain, (10, "mx.test", "127.0.0.1"))
    host = Seeing(ALICE)
    async with servers.serving_mail(host) as port:
        config = servers.config(names, port, egress=ways)
        found = await collect(config, tuple(f"alice@{domain}" for domain in domains))
    assert set(verdicts(found).values()) == {EXISTS}
    assert host.seen == {"127.0.0.90", "127.0.0.91"}
    assert len(host.talks) == 2


async def test_a_source_address_that_is_not_ours_is_no_way_and_the_next_one_is_taken(names: Names) -> None:
    foreign, own = Way("192.0.2.1"), Way("127.0.0.90")
    host = Seeing(ALICE)
    found = await check(names, [host], "alice@a.test", egress=(Egress("", (foreign,)),))
    assert only(found) == UNREACHED
    assert found["alice@a.test"].is_transient
    assert "source address 192.0.2.1" in text_at(found["alice@a.test"], Stage.CONNECT)
    both = (Egress("", (foreign, own)),)
    assert only(await check(names, [host], "alice@a.test", egress=both)) == EXISTS
    assert host.seen == {"127.0.0.90"}


async def test_a_source_address_of_the_other_family_does_not_fall_back_to_any(names: Names) -> None:
    host = Seeing(ALICE)
    found = await check(names, [host], "alice@a.test", egress=(Egress("", (Way("::1"),)),))
    assert only(found) == UNREACHED
    assert not host.talks


@pytest.mark.parametrize(("user", "password"), [("", ""), ("tester", "s3cret")])
async def test_a_host_is_asked_through_a_proxy(names: Names, user: str, password: str) -> None:
    host = MailHost(ALICE)
    async with socks_server.serving(Proxy(user, password)) as proxy:
        ways = through(proxy, user, password, helo="out.example.org")
        found = await check(names, [host], "alice@a.test", "bob@a.test", egress=ways)
    assert verdicts(found) == {"alice@a.test": EXISTS, "bob@a.test": GONE}
    assert set(proxy.asked) == {("127.0.0.1", host.port)}
    assert host.commands[0] == "EHLO out.example.org"
    assert "by way of 127.0.0.1" in text_at(found["alice@a.test"], Stage.CONNECT)


async def test_tls_works_through_a_proxy(names: Names, certificate: ssl.SSLContext) -> None:
    host = MailHost(ALICE, ehlo="250-mx.example\r\n250-PIPELINING\r\n250 STARTTLS", tls=certificate)
    async with socks_server.serving(Proxy()) as proxy:
        assert only(await check(names, [host], "alice@a.test", egress=through(proxy))) == EXISTS
    assert host.talks[0].is_encrypted


async def test_a_mail_host_on_ipv6_is_asked_through_a_proxy(names: Names) -> None:
    host = MailHost(ALICE, address="::1")
    names.mail("a.test", (10, "mx.test", "::1"))
    async with servers.serving_mail(host) as port, socks_server.serving(Proxy()) as proxy:
        config = servers.config(names, port, egress=through(proxy))
        assert only(await collect(config, ("alice@a.test",))) == EXISTS
    assert proxy.asked[0] == ("::1", host.port)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (Proxy(user="somebody", password="right"), "wants another way of authentication"),
        (Proxy(version=4), "does not speak SOCKS5"),
        (Proxy(hangs_up=True), "hung up"),
        (Proxy(reply=2), "not allowed by its rules"),
        (Proxy(reply=1), "general failure"),
        (Proxy(reply=99), "error 99"),
    ],
)
async def test_a_proxy_that_does_not_work_is_no_connection_and_the_next_way_is_taken(
    names: Names, broken: Proxy, words: str
) -> None:
    host = MailHost(ALICE)
    async with socks_server.serving(broken), socks_server.serving(Proxy()) as working:
        found = await check(names, [host], "alice@a.test", egress=through(broken))
        assert only(found) == UNREACHED
        assert words in text_at(found["alice@a.test"], Stage.CONNECT)
        both = (Egress("", (*through(broken)[0].ways, *through(working)[0].ways)),)
        assert only(await check(names, [host], "alice@a.test", egress=both)) == EXISTS


async def test_a_wrong_password_and_a_closed_port_are_told(names: Names) -> None:
    host = MailHost(ALICE)
    async with socks_server.serving(Proxy("tester", "right")) as proxy:
        found = await check(names, [host], "alice@a.test", egress=through(proxy, "tester", "wrong"))
        assert "refuses the user name or the password" in text_at(found["alice@a.test"], Stage.CONNECT)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        found = await check(names, [host], "alice@a.test", egress=through(Proxy(port=closed.getsockname()[1])))
    assert "no connection to the proxy" in text_at(found["alice@a.test"], Stage.CONNECT)


async def test_a_host_that_the_proxy_cannot_reach_is_not_the_proxys_fault(names: Names) -> None:
    names.mail("a.test", (10, "down.test", "127.0.0.9"), (20, "up.test", "127.0.0.1"))
    host = MailHost(ALICE)
    async with socks_server.serving(Proxy()) as first, socks_server.serving(Proxy()) as second:
        both = (Egress("", (*through(first)[0].ways, *through(second)[0].ways)),)
        assert only(await check(names, [host], "alice@a.test", egress=both)) == EXISTS
    assert len({len(first.asked) > 0, len(second.asked) > 0}) == 2, "one way was enough"


def test_the_setting_is_read() -> None:
    assert egress.parse(
        "*=198.51.100.7|198.51.100.8/out2.example.org google.com=socks5://u:p%40x@proxy:1080/o.example"
    ) == (
        Egress("", (Way("198.51.100.7"), Way("198.51.100.8", helo="out2.example.org"))),
        Egress("google.com", (Way(proxy=Socks5("proxy", 1080, "u", "p@x"), helo="o.example"),)),
    )
    assert egress.parse("olc.protection.outlook.com=2001:db8::1|socks5://[2001:db8::2]:1080")[0].ways == (
        Way("2001:db8::1"),
        Way(proxy=Socks5("2001:db8::2", 1080)),
    )
    assert egress.parse("") == ()


@pytest.mark.parametrize(
    "text",
    [
        "198.51.100.7",
        "*=",
        "*=nowhere",
        "*=socks5://proxy",
        "*=socks5://:secret@proxy:1080",
        "*=socks5://proxy:99999",
        "*=socks4://proxy:1080",
        "a b=1.2.3.4",
        "*=1.2.3.4 *=1.2.3.5",
        "*=1.2.3.4/no name",
        "*=1.2.3.4/x\r\nRSET",
        "mail..example=1.2.3.4",
    ],
)
def test_a_setting_that_is_wrong_is_refused_without_telling_passwords(text: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        egress.parse(text)
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(Socks5("proxy", 1080, "user", "secret"))
