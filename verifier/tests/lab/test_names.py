"""The name server of the lab, asked with dnspython."""

import asyncio
import time

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import pytest

from verifier.lab import Lab
from verifier.lab.catalogue import CATALOGUE
from verifier.lab.domain import ZONE, Dns

TIMEOUT_SECONDS = 3.0


async def ask(lab: Lab, name: str, record_type: str = "MX", *, over_tcp: bool = False) -> dns.message.Message:
    """Ask the lab about `<name>.<zone>`."""
    query = dns.message.make_query(f"{name}.{ZONE}.", record_type)
    send = dns.asyncquery.tcp if over_tcp else dns.asyncquery.udp
    return await send(query, "127.0.0.1", timeout=TIMEOUT_SECONDS, port=lab.dns_port)


def told(answer: dns.message.Message) -> list[str]:
    """The records of an answer, as text."""
    return [record.to_text() for rrset in answer.answer for record in rrset]


async def test_a_domain_names_its_mail_hosts_and_they_have_addresses(lab: Lab) -> None:
    answer = await ask(lab, "bestdown")

    assert answer.flags & dns.flags.AA
    assert sorted(told(answer)) == [f"10 bestdown-1.mx.{ZONE}.", f"20 bestdown-2.mx.{ZONE}."]
    assert told(await ask(lab, "bestdown-2.mx", "A")) == [lab.geography.addresses["bestdown-2"]]


async def test_a_mail_host_may_have_dead_addresses_or_one_of_ipv6_alone(lab: Lab) -> None:
    assert len(told(await ask(lab, "deadaddresses.mx", "A"))) == 3
    assert told(await ask(lab, "ipv6.mx", "AAAA")) == ["::1"]
    assert told(await ask(lab, "ipv6.mx", "A")) == []


async def test_names_are_found_in_any_case(lab: Lab) -> None:
    assert told(await ask(lab, "OK")) == [f"10 ok.mx.{ZONE}."]


async def test_a_name_that_is_not_there_is_nxdomain_with_the_negative_ttl(lab: Lab) -> None:
    for name in ("nxdomain", "never-heard-of", "gone-1.mx"):
        answer = await ask(lab, name)
        assert answer.rcode() == dns.rcode.NXDOMAIN
        assert answer.authority[0].ttl == 60


async def test_a_name_without_the_type_asked_is_there_all_the_same(lab: Lab) -> None:
    for name, record_type in (("nodata", "MX"), ("nodata", "A"), ("implicit", "MX"), ("ok", "AAAA"), ("mx", "MX")):
        answer = await ask(lab, name, record_type)
        assert (answer.rcode(), told(answer), len(answer.authority)) == (dns.rcode.NOERROR, [], 1)
    assert told(await ask(lab, "implicit", "A")) == [lab.geography.addresses["implicit"]]


async def test_failures_are_told_as_such(lab: Lab) -> None:
    assert (await ask(lab, "servfail")).rcode() == dns.rcode.SERVFAIL
    assert (await ask(lab, "servfail", "A")).rcode() == dns.rcode.SERVFAIL
    assert (await ask(lab, "dnsrefused")).rcode() == dns.rcode.REFUSED
    assert told(await ask(lab, "nullmx")) == ["0 ."]


async def test_another_zone_is_refused(lab: Lab) -> None:
    query = dns.message.make_query("example.org.", "MX")

    answer = await dns.asyncquery.udp(query, "127.0.0.1", timeout=TIMEOUT_SECONDS, port=lab.dns_port)

    assert answer.rcode() == dns.rcode.REFUSED


async def test_a_silent_name_is_silent_over_udp(lab: Lab) -> None:
    query = dns.message.make_query(f"dnssilent.{ZONE}.", "MX")

    with pytest.raises(dns.exception.Timeout):
        await dns.asyncquery.udp(query, "127.0.0.1", timeout=0.2, port=lab.dns_port)
    assert lab.log.questions[f"dnssilent.{ZONE}", "MX"] == 1


async def test_an_alias_is_followed_within_the_answer(lab: Lab) -> None:
    assert told(await ask(lab, "alias")) == [f"ok.{ZONE}.", f"10 ok.mx.{ZONE}."]
    assert told(await ask(lab, "mxalias")) == [f"10 mxalias-alias.mx.{ZONE}."]
    assert told(await ask(lab, "mxalias-alias.mx", "A")) == [f"mxalias.mx.{ZONE}.", lab.geography.addresses["mxalias"]]


async def test_a_truncated_answer_is_whole_over_tcp(lab: Lab) -> None:
    over_udp, over_tcp = await ask(lab, "truncated"), await ask(lab, "truncated", over_tcp=True)

    assert (bool(over_udp.flags & dns.flags.TC), told(over_udp)) == (True, [])
    assert not over_tcp.flags & dns.flags.TC
    assert f"10 truncated.mx.{ZONE}." in told(over_tcp)
    assert len(told(over_tcp)) > 10


async def test_rubbish_is_not_answered_and_does_no_harm(lab: Lab) -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, remote_addr=("127.0.0.1", lab.dns_port)
    )
    for rubbish in (b"", b"\0", b"\xff" * 40, bytes(12)):
        transport.sendto(rubbish)
    transport.close()

    assert told(await ask(lab, "ok")) == [f"10 ok.mx.{ZONE}."]


async def test_every_name_of_the_catalogue_is_answered_as_it_says(lab: Lab) -> None:
    codes = {Dns.NXDOMAIN: dns.rcode.NXDOMAIN, Dns.SERVFAIL: dns.rcode.SERVFAIL, Dns.REFUSED: dns.rcode.REFUSED}
    for domain in CATALOGUE:
        if domain.dns is not Dns.SILENT:
            answer = await ask(lab, domain.name, over_tcp=True)
            assert answer.rcode() == codes.get(domain.dns, dns.rcode.NOERROR), domain.name


async def test_an_answer_takes_the_round_trip() -> None:
    async with Lab(delay_seconds=0.1) as lab:
        started_at = time.monotonic()
        await asyncio.gather(*(ask(lab, "ok") for _ in range(10)))
        passed_seconds = time.monotonic() - started_at

    assert 0.1 <= passed_seconds < 0.5
