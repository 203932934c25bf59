"""`verifier doctor` on machines that are well and that are not, with real DNS and SMTP servers on loopback."""

import io
import json
from ipaddress import ip_address, ip_network

import dns.message
import pytest

from verifier.doctor import command, report
from verifier.doctor.report import Level, Line
from verifier.doctor.spf import Evaluation, Policy
from verifier.engine.config import Egress, EngineConfig, Socks5, Way
from verifier.engine.resolver import Resolver
from verifier.tests.engine import servers, socks_server
from verifier.tests.engine.servers import MailHost, Names
from verifier.tests.engine.socks_server import Proxy

HOST = "mx.big.test"
SEEING = "250-mx.big.test at your service, [127.0.0.1]\r\n250 PIPELINING"


@pytest.fixture
def sound(names: Names) -> Names:
    """The DNS of a machine that is well."""
    names.records |= {
        (HOST, "A"): ["127.0.0.1"],
        ("probe.example.com", "A"): ["127.0.0.1"],
        ("1.0.0.127.in-addr.arpa", "PTR"): ["probe.example.com."],
        ("probe.example.com", "TXT"): ['"v=spf1 ip4:127.0.0.1 -all"'],
        ("probe.example.com", "MX"): ["10 mail.probe.example.com."],
    }
    return names


async def examined(names: Names, host: MailHost | None = None, **changes: object) -> dict[str, Line]:
    async with servers.serving_mail(host or MailHost(ehlo=SEEING)) as port:
        changes = {"allow_networks": (ip_network("127.0.0.0/8"),), **changes}
        lines = await command.examine(settings(names, port, **changes), (HOST,))
    return {line.name: line for line in lines}


def settings(names: Names, port: int, **changes: object) -> EngineConfig:
    return servers.config(names, port, **{"helo": "probe.example.com", "mail_from": "p@probe.example.com", **changes})


async def test_a_machine_that_is_well_has_nothing_but_ok(sound: Names) -> None:
    host = MailHost(ehlo=SEEING)
    found = await examined(sound, host)
    assert {name: line.level for name, line in found.items()} == {
        "name servers": Level.OK,
        "port 25 outward": Level.OK,
        "HELO name": Level.OK,
        "PTR of 127.0.0.1": Level.OK,
        "SPF for 127.0.0.1": Level.OK,
        "sender's domain": Level.OK,
    }
    assert host.commands == ["EHLO probe.example.com", "QUIT"], "nobody is asked about"


@pytest.mark.parametrize(
    ("key", "records", "line", "level", "words"),
    [
        (("probe.example.com", "A"), ["127.0.0.9"], "HELO name", Level.WARN, "mail hosts see 127.0.0.1"),
        (("1.0.0.127.in-addr.arpa", "PTR"), None, "PTR of 127.0.0.1", Level.FAIL, "no such name"),
        (("1.0.0.127.in-addr.arpa", "PTR"), ["x.test."], "PTR of 127.0.0.1", Level.FAIL, "does not lead back"),
        (("1.0.0.127.in-addr.arpa", "PTR"), [f"{HOST}."], "PTR of 127.0.0.1", Level.WARN, "not the HELO name"),
        (("probe.example.com", "TXT"), None, "SPF for 127.0.0.1", Level.WARN, "has no record"),
        (("probe.example.com", "TXT"), ['"v=spf1 ip4:192.0.2.1 -all"'], "SPF for 127.0.0.1", Level.FAIL, "fail"),
        (("probe.example.com", "TXT"), ['"v=spf1 ~all"'], "SPF for 127.0.0.1", Level.WARN, "softfail"),
        (("probe.example.com", "TXT"), ['"v=spf1 nonsense"'], "SPF for 127.0.0.1", Level.FAIL, "permerror"),
        (("probe.example.com", "MX"), ["0 ."], "sender's domain", Level.FAIL, "null MX"),
        (("probe.example.com", "MX"), None, "sender's domain", Level.WARN, "its own mail host"),
    ],
)
async def test_what_is_wrong_is_told_with_what_to_do(
    sound: Names, key: tuple[str, str], records: list[str] | None, line: str, level: Level, words: str
) -> None:
    if records is None:
        del sound.records[key]
    else:
        sound.records[key] = records
    found = (await examined(sound))[line]
    assert (found.level, words in found.found) == (level, True), found
    assert found.advice


async def test_who_has_no_name_greets_with_its_address_as_it_would_in_a_check(sound: Names) -> None:
    sound.records[HOST, "AAAA"] = ["::1"]
    del sound.records[HOST, "A"]
    host = MailHost(address="::1")
    await examined(sound, host, helo="box", allow_networks=(ip_network("::1/128"),))
    assert host.commands == ["EHLO [IPv6:::1]", "QUIT"]


@pytest.mark.parametrize("helo", ["box", "box.local", "mail.example"])
async def test_a_name_that_is_not_public_cannot_greet(sound: Names, helo: str) -> None:
    found = (await examined(sound, helo=helo))["HELO name"]
    assert found.level is Level.FAIL


@pytest.mark.parametrize(
    ("host", "words"),
    [
        (MailHost(banner="554 5.7.1 blocked using a list"), "554 blocked using a list"),
        (MailHost(banner=None), "connection was closed"),
        (MailHost(ehlo="550 go away"), "refuses EHLO: 550 go away"),
        (MailHost(banner_after_seconds=2.0), "no answer in time"),
    ],
)
async def test_a_mail_host_that_does_not_greet_is_told(sound: Names, host: MailHost, words: str) -> None:
    found = (await examined(sound, host))["port 25 outward"]
    assert found.level is Level.FAIL
    assert words in found.found


async def test_a_closed_port_is_told(sound: Names) -> None:
    sound.records[HOST, "A"] = ["127.0.0.77"]
    found = await examined(sound)
    assert found["port 25 outward"].level is Level.FAIL
    assert found["our address"].level is Level.WARN


async def test_without_name_servers_nothing_is_claimed(sound: Names) -> None:
    for name in {name for name, _ in sound.records}:
        sound.behaviours[name] = "SILENT"
    found = await examined(sound)
    assert found["name servers"].level is Level.FAIL
    assert "no answer" in found["name servers"].found
    assert "not tried" in found["port 25 outward"].found
    assert found["sender's domain"].level is Level.WARN


async def test_name_servers_that_know_nothing_or_invent_are_told(sound: Names) -> None:
    del sound.records[HOST, "A"]
    assert "as if the public DNS were not theirs" in (await examined(sound))["name servers"].found

    class Inventing(Names):
        def _fill(self, response: dns.message.Message, name: str, kind: str) -> None:
            if kind == "A":
                self.records.setdefault((name, kind), ["127.0.0.1"])
            super()._fill(response, name, kind)

    async with servers.serving_names(Inventing()) as inventing:
        inventing.records[HOST, "A"] = ["127.0.0.1"]
        async with servers.serving_mail(MailHost()) as port:
            lines = await command.examine(settings(inventing, port), (HOST,))
    assert lines[0].level is Level.FAIL
    assert "names that do not exist" in lines[0].found


async def test_every_way_out_is_looked_at(sound: Names) -> None:
    async with socks_server.serving(Proxy()) as proxy:
        ways = (Way("127.0.0.1"), Way("192.0.2.1"), Way(proxy=Socks5("127.0.0.1", proxy.port)))
        found = await examined(sound, egress=(Egress("", ways),))
    assert found["source address from 127.0.0.1"].level is Level.OK
    assert found["source address from 192.0.2.1"].level is Level.FAIL
    assert found["port 25 outward from 127.0.0.1"].level is Level.OK
    assert found["port 25 outward from 192.0.2.1"].level is Level.FAIL
    assert found[f"port 25 outward through 127.0.0.1:{proxy.port}"].level is Level.OK
    assert "port 25 outward" not in found, "nothing goes out by the system's choice"


@pytest.mark.parametrize(
    ("record", "address", "policy"),
    [
        ("v=spf1 ip4:192.0.2.0/24 -all", "192.0.2.7", Policy.PASS),
        ("v=spf1 ip4:192.0.2.0/24 -all", "192.0.3.7", Policy.FAIL),
        ("v=spf1 ip6:2001:db8::/32 ?all", "2001:db8::7", Policy.PASS),
        ("v=spf1 a -all", "192.0.2.10", Policy.PASS),
        ("v=spf1 a/24 -all", "192.0.2.99", Policy.PASS),
        ("v=spf1 a:other.test/24//64 -all", "192.0.2.99", Policy.FAIL),
        ("v=spf1 mx -all", "192.0.2.20", Policy.PASS),
        ("v=spf1 mx//64 -all", "2001:db8::7", Policy.FAIL),
        ("v=spf1 include:inner.test -all", "198.51.100.1", Policy.PASS),
        ("v=spf1 include:inner.test ~all", "198.51.100.2", Policy.SOFTFAIL),
        ("v=spf1 include:nowhere.test -all", "198.51.100.1", Policy.PERMERROR),
        ("v=spf1 redirect=inner.test", "198.51.100.2", Policy.FAIL),
        ("v=spf1 exists:a.test -all", "198.51.100.2", Policy.PASS),
        ("v=spf1 exists:%{i}.a.test -all", "198.51.100.2", Policy.UNTOLD),
        ("v=spf1 ptr -all", "198.51.100.2", Policy.UNTOLD),
        ("v=spf1 include:a.test -all", "198.51.100.2", Policy.PERMERROR),
        ("v=spf1", "198.51.100.2", Policy.NEUTRAL),
        ("v=spf10 -all", "198.51.100.2", Policy.NONE),
        ("v=spf1 ip4:nonsense -all", "198.51.100.2", Policy.PERMERROR),
        ("V=SPF1 EXP=why.test IP4:192.0.2.7 -ALL", "192.0.2.7", Policy.PASS),
    ],
)
async def test_a_sender_policy_is_worked_out(names: Names, record: str, address: str, policy: Policy) -> None:
    names.records |= {
        ("a.test", "TXT"): ['"something else"', f'"{record}"'],
        ("a.test", "A"): ["192.0.2.10"],
        ("a.test", "MX"): ["10 mx.test."],
        ("mx.test", "A"): ["192.0.2.20"],
        ("other.test", "A"): ["203.0.113.1"],
        ("inner.test", "TXT"): ['"v=spf1 ip4:198.51.100.1" " -all"'],
    }
    resolver = Resolver(servers.config(names))
    assert await Evaluation(resolver, ip_address(address)).of("a.test") is policy
    await resolver.aclose()


def test_the_report_is_for_people_and_for_machines() -> None:
    lines = [Line("port", Level.OK, "open"), Line("name", Level.FAIL, "bad \x1b[2J name", "Do this. " * 12)]
    plain = report.as_text(lines, with_colour=False, width=80)
    assert plain.startswith("OK    port  open\nFAIL  name  bad \N{REPLACEMENT CHARACTER}[2J name\n")
    assert "\x1b" not in plain
    assert max(map(len, plain.splitlines())) <= 80
    assert "\x1b[31mFAIL\x1b[0m" in report.as_text(lines, with_colour=True, width=80)
    assert json.loads(report.as_json(lines))["level"] == "fail"
    assert report.worst([]) is Level.OK


def test_the_command_ends_with_1_where_something_fails() -> None:
    out = io.StringIO()
    config = servers.config(Names(port=9), helo="box", mail_from="probe@box.invalid")
    assert command.run(config, ("mx.invalid",), as_json=True, out=out) == 1
    assert {"name", "level", "found", "advice"} == set(json.loads(out.getvalue())["checks"][0])
