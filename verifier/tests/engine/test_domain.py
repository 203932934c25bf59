"""Routes to mailboxes, read from a real name server on loopback."""

import asyncio
from dataclasses import replace
from ipaddress import ip_network

import pytest

from verifier.engine.config import EngineConfig, Nameserver, Zone
from verifier.engine.domain import DomainReader, Route, RouteOutcome
from verifier.engine.resolver import Resolver
from verifier.tests.engine import servers
from verifier.tests.engine.servers import Names


async def route(names: Names, domain: str, config: EngineConfig | None = None) -> Route:
    config = config or servers.config(names, 2525)
    resolver = Resolver(config)
    try:
        return await DomainReader(config, resolver).route(domain)
    finally:
        await resolver.aclose()


async def test_mail_hosts_come_by_preference_with_the_zones_port(names: Names) -> None:
    names.mail("a.test", (20, "backup.test", "127.0.0.3"), (10, "best.test", "127.0.0.2"))
    found = await route(names, "a.test")
    assert found.outcome is RouteOutcome.MAIL_HOSTS
    assert [(host.name, host.addresses, host.port) for host in found.hosts] == [
        ("best.test", ("127.0.0.2",), 2525),
        ("backup.test", ("127.0.0.3",), 2525),
    ]
    assert found.group == "backup.test,best.test"


async def test_equal_hosts_are_shuffled(names: Names) -> None:
    names.mail("a.test", *((10, f"mx{i}.test", f"127.0.0.{i}") for i in range(1, 7)))
    config = servers.config(names)
    resolver = Resolver(config)
    reader = DomainReader(config, resolver)
    orders = {tuple(host.name for host in (await reader.route("a.test")).hosts) for _ in range(12)}
    assert len(orders) > 1
    assert await reader.group("a.test") == ",".join(f"mx{i}.test" for i in range(1, 7))
    await resolver.aclose()


@pytest.mark.parametrize("kind", ["A", "AAAA"])
async def test_a_domain_without_mx_is_its_own_mail_host(names: Names, kind: str) -> None:
    names.records["a.test", kind] = ["127.0.0.1" if kind == "A" else "::1"]
    found = await route(names, "a.test")
    assert found.outcome is RouteOutcome.MAIL_HOSTS
    assert [host.name for host in found.hosts] == ["a.test"]


@pytest.mark.parametrize(
    ("behaviour", "outcome"),
    [("SERVFAIL", "dns failure"), ("REFUSED", "dns failure"), ("SILENT", "dns failure"), ("NXDOMAIN", "no domain")],
)
async def test_only_nxdomain_is_final(names: Names, behaviour: str, outcome: str) -> None:
    names.behaviours["a.test"] = behaviour
    assert (await route(names, "a.test")).outcome == outcome


async def test_neither_mx_nor_address_is_no_mail_host(names: Names) -> None:
    names.records["a.test", "TXT"] = ['"x"']
    assert (await route(names, "a.test")).outcome is RouteOutcome.NO_MAIL_HOST


async def test_no_mx_and_an_address_that_cannot_be_asked_for_is_unknown(names: Names) -> None:
    names.records["a.test", "TXT"] = ['"x"']
    names.behaviours["a.test AAAA"] = "SERVFAIL"
    assert (await route(names, "a.test")).outcome is RouteOutcome.DNS_FAILURE


async def test_a_null_mx_counts_only_alone(names: Names) -> None:
    names.records["a.test", "MX"] = ["0 ."]
    names.records["b.test", "MX"] = ["0 .", "10 mx.test."]
    names.records["mx.test", "A"] = ["127.0.0.1"]
    assert (await route(names, "a.test")).outcome is RouteOutcome.NULL_MX
    assert [host.name for host in (await route(names, "b.test")).hosts] == ["mx.test"]


async def test_mail_hosts_that_do_not_exist_are_no_mail_hosts(names: Names) -> None:
    names.records["a.test", "MX"] = ["10 gone.test.", "20 lost.test."]
    assert (await route(names, "a.test")).outcome is RouteOutcome.NO_MAIL_HOST


async def test_one_mail_host_that_cannot_be_asked_for_leaves_a_doubt(names: Names) -> None:
    names.records["a.test", "MX"] = ["10 gone.test.", "20 ill.test."]
    names.behaviours["ill.test"] = "SERVFAIL"
    assert (await route(names, "a.test")).outcome is RouteOutcome.DNS_FAILURE


async def test_no_such_name_said_of_one_kind_of_address_leaves_a_doubt_where_the_other_fails(names: Names) -> None:
    names.records["a.test", "MX"] = ["10 ill.test."]
    names.behaviours |= {"ill.test A": "SERVFAIL", "ill.test AAAA": "NXDOMAIN"}
    assert (await route(names, "a.test")).outcome is RouteOutcome.DNS_FAILURE


async def test_of_very_many_records_the_best_mail_hosts_are_kept(names: Names) -> None:
    records = [f"{1000 + number} mx{number}.test." for number in range(200)]
    names.records["a.test", "MX"] = [*records, "10 best.test."]
    names.records["best.test", "A"] = ["127.0.0.1"]
    names.truncated.add("a.test")
    resolver = Resolver(servers.config(names))
    assert len((await resolver.ask("a.test", "MX")).records) < 100
    await resolver.aclose()
    assert [host.name for host in (await route(names, "a.test")).hosts] == ["best.test"]


async def test_the_key_of_mail_hosts_fits_into_an_index_whatever_their_names_are(names: Names) -> None:
    label = "".join(f"\\{number}" for number in range(193, 255))
    names.records["a.test", "MX"] = [f"10 {label}.{label}.{number}.test." for number in range(10)]
    names.records["b.test", "MX"] = names.records["a.test", "MX"][1:]
    resolver = Resolver(config := servers.config(names))
    groups = [await DomainReader(config, resolver).group(domain) for domain in ("a.test", "b.test", "a.test")]
    await resolver.aclose()
    assert groups[0] == groups[2] != groups[1]
    assert max(map(len, groups)) <= 1000, "PostgreSQL indexes up to 2,704 bytes"


async def test_aliases_are_followed_and_rings_end(names: Names) -> None:
    names.mail("real.test", (10, "alias-mx.test", "127.0.0.9"))
    del names.records["alias-mx.test", "A"]
    names.records["alias-mx.test", "CNAME"] = ["mx.test."]
    names.records["mx.test", "A"] = ["127.0.0.1"]
    names.records["a.test", "CNAME"] = ["real.test."]
    names.records["ring.test", "CNAME"] = ["gnir.test."]
    names.records["gnir.test", "CNAME"] = ["ring.test."]
    assert [host.addresses for host in (await route(names, "a.test")).hosts] == [("127.0.0.1",)]
    assert (await route(names, "ring.test")).outcome is RouteOutcome.DNS_FAILURE


async def test_a_truncated_answer_is_asked_for_over_tcp(names: Names) -> None:
    names.mail("a.test", (10, "mx.test", "127.0.0.1"))
    names.truncated.add("a.test")
    assert (await route(names, "a.test")).outcome is RouteOutcome.MAIL_HOSTS


@pytest.mark.parametrize("address", ["10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "64:ff9b::7f00:1"])
async def test_a_mail_host_in_a_private_network_is_unroutable(names: Names, address: str) -> None:
    names.mail("a.test", (10, "mx.test", address))
    assert (await route(names, "a.test")).outcome is RouteOutcome.UNROUTABLE


async def test_loopback_is_for_the_zone_alone(names: Names) -> None:
    names.mail("a.test", (10, "mx.test", "127.0.0.1"))
    names.mail("a.example", (10, "mx.test", "127.0.0.1"))
    names.mail("b.example", (10, "mx.example", "127.0.0.2"))
    assert (await route(names, "a.test")).outcome is RouteOutcome.MAIL_HOSTS
    assert (await route(names, "a.example")).outcome is RouteOutcome.UNROUTABLE
    allowing = replace(servers.config(names), allow_networks=(ip_network("127.0.0.0/8"),), smtp_port=2526)
    assert [host.port for host in (await route(names, "b.example", allowing)).hosts] == [2526]


async def test_the_zone_with_the_longest_suffix_answers(names: Names) -> None:
    async with servers.serving_names(Names()) as inner:
        inner.mail("a.inner.test", (10, "mx.inner.test", "127.0.0.7"))
        config = servers.config(
            names,
            zones=(
                Zone("test", Nameserver("127.0.0.1", names.port), 1),
                Zone("inner.test", Nameserver("127.0.0.1", inner.port), 2),
            ),
        )
        assert [host.port for host in (await route(names, "a.inner.test", config)).hosts] == [2]
    assert not names.asked


async def test_an_answer_is_asked_for_once_however_many_wait(names: Names) -> None:
    names.mail("a.test", (10, "mx.test", "127.0.0.1"))
    names.delay_seconds = 0.05
    config = servers.config(names)
    resolver = Resolver(config)
    reader = DomainReader(config, resolver)
    await asyncio.gather(*(reader.route("a.test") for _ in range(20)))
    await reader.route("a.test")
    assert sorted(names.asked) == [("a.test", "MX"), ("mx.test", "A"), ("mx.test", "AAAA")]
    await resolver.aclose()


async def test_an_answer_is_forgotten_when_its_time_is_over(names: Names) -> None:
    names.ttl_seconds = 1
    names.mail("a.test", (10, "mx.test", "127.0.0.1"))
    resolver = Resolver(servers.config(names))
    await resolver.ask("a.test", "MX")
    await resolver.ask("A.TEST.", "MX")
    assert len(names.asked) == 1
    await asyncio.sleep(1.1)
    await resolver.ask("a.test", "MX")
    assert len(names.asked) == 2
    await resolver.aclose()


async def test_who_gives_up_waiting_does_not_take_the_answer_from_others(names: Names) -> None:
    names.mail("a.test", (10, "mx.test", "127.0.0.1"))
    names.delay_seconds = 0.1
    resolver = Resolver(servers.config(names))
    first = asyncio.create_task(resolver.ask("a.test", "MX"))
    second = asyncio.create_task(resolver.ask("a.test", "MX"))
    await asyncio.sleep(0.02)
    first.cancel()
    assert (await second).records
    await resolver.aclose()
