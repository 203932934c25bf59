"""What strangers write, an address, a banner or a DNS record, never makes us say or reach what we did not mean."""

import asyncio
import re

import dns.message
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from verifier.engine import syntax, wire
from verifier.engine.evidence import Reason, Status
from verifier.engine.syntax import Address
from verifier.engine.wire import Verb
from verifier.tests.engine import servers
from verifier.tests.engine.asking import ALICE, EXISTS, check, collect, only
from verifier.tests.engine.servers import MailHost, Names

INJECTION = "\r\nRCPT TO:<evil@evil.test>\r\nDATA\r\n"
SAID = re.compile(
    r"(?:(?:EHLO|HELO) probe\.example|STARTTLS|RSET|QUIT|MAIL FROM:<(?:probe@probe\.example)?>(?: SMTPUTF8)?"
    r"|RCPT TO:<(?P<path>[^\r\n]+)>)"
)

_nasty = st.sampled_from(
    [
        *(
            "\r",
            "\n",
            "\r\n",
            "\x00",
            "\x0b",
            "\x85",
            "\u2028",
            "\u3000",
            " ",
            "\t",
            "<",
            ">",
            '"',
            "\\",
            "@",
            ":",
            ";",
        ),
        *(
            INJECTION,
            "> SIZE=1",
            "\nDATA",
            "%0d%0a",
            "\\r\\n",
            "é",
            "\ud7ff",
            "bücher",
            "(c)",
            ",",
            "QUIT",
            "[127.0.0.1]",
        ),
    ]
)
_part = st.lists(st.one_of(_nasty, st.text("abcXYZ019.-_+", min_size=1, max_size=4)), max_size=5).map("".join)
_quoted = _part.map(lambda text: f'"{text}"')
_addresses = st.builds(
    lambda local, domain: f"{local}@{domain}", st.one_of(_part, _quoted), st.one_of(st.just("a.test"), _part)
)
_line = st.text(st.characters(codec="utf-8"), max_size=60)
_reply_texts = st.one_of(_line, st.just(INJECTION), st.just("ok" + INJECTION.replace("\r\n", "\r")))


def wrong_commands(host: MailHost, emails: list[str]) -> list[str]:
    """Return what was said beyond the few commands that we know, about others than those that were asked about."""
    asked = {parsed.email for text in emails if isinstance(parsed := syntax.parse(text), Address)}
    wrong = []
    for command in host.commands:
        match = SAID.fullmatch(command)
        is_ours = match and (match["path"] is None or match["path"] in asked or _is_random(match["path"]))
        if not is_ours:
            wrong.append(command)
    return wrong


def _is_random(path: str) -> bool:
    return re.fullmatch(r"[a-z]{9}\.[a-z]{11}@a\.test", path) is not None


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    emails=st.lists(_addresses, min_size=1, max_size=15),
    banner=_reply_texts,
    ehlo=st.lists(_reply_texts, max_size=3),
    known=_reply_texts,
    unknown=_reply_texts,
)
def test_security_31_no_address_and_no_reply_makes_an_extra_command_leave(
    emails: list[str], banner: str, ehlo: list[str], known: str, unknown: str
) -> None:
    lines = [*(f"250-{text}" for text in ehlo), "250-PIPELINING", "250 SMTPUTF8"]
    host = MailHost(
        ALICE, banner=f"220 {banner}", ehlo="\r\n".join(lines), known=f"250 {known}", unknown=f"550 {unknown}"
    )
    emails = [*dict.fromkeys([*emails, "alice@a.test"])]

    async def run() -> None:
        async with servers.serving_names(Names()) as names:
            await check(names, [host], *emails, budget_seconds=2)

    asyncio.run(run())
    assert not wrong_commands(host, emails)
    assert host.said("DATA") == 0


@settings(deadline=None)
@given(_addresses)
def test_what_is_an_address_can_be_said_in_one_line(text: str) -> None:
    parsed = syntax.parse(text)
    if isinstance(parsed, Address):
        command = wire.envelope(Verb.RCPT, parsed.email)
        assert command.endswith(b">\r\n")
        assert not re.search(rb"[\r\n\x00]", command[:-2])


@given(st.text(), st.sampled_from([Verb.MAIL, Verb.RCPT]))
def test_what_cannot_be_said_in_one_line_is_not_said(text: str, verb: Verb) -> None:
    try:
        command = wire.envelope(verb, text)
    except (ValueError, UnicodeEncodeError):
        return
    assert not re.search(rb"[\r\n\x00]", command[:-2])


@pytest.mark.parametrize("helo", ["probe.example\r\nDATA", "pro be.example", "probe.example\x00", "prøbe.example"])
async def test_a_name_to_greet_with_that_holds_more_than_a_name_is_never_said(names: Names, helo: str) -> None:
    host = MailHost(ALICE)
    found = await check(names, [host], "alice@a.test", helo=helo)
    assert only(found)[0] is Status.UNKNOWN
    assert set(host.commands) <= {"QUIT"}


@pytest.mark.parametrize("sender", ["p@q.example>\r\nDATA", "p q@r.example", "p@q.example> SIZE=9"])
async def test_a_sender_that_holds_more_than_an_address_is_never_said(names: Names, sender: str) -> None:
    host = MailHost(ALICE)
    found = await check(names, [host], "alice@a.test", mail_from=sender)
    assert only(found)[0] is Status.UNKNOWN
    assert host.said("MAIL") == 0


async def test_security_32_a_mail_host_in_private_space_is_not_connected_to(names: Names) -> None:
    host = MailHost(ALICE)
    names.mail("a.test", (10, "inside.test", "127.0.0.1"))
    async with servers.serving_mail(host) as port:
        config = servers.open_config(names, port, "127.0.0.2/32")
        found = await collect(config, ("alice@a.test",))
    assert only(found) == (Status.UNKNOWN, Reason.UNROUTABLE)
    assert not host.talks


async def test_security_32_of_a_host_with_a_private_address_too_only_the_other_one_is_asked(names: Names) -> None:
    allowed, private = MailHost(ALICE, address="127.0.0.1"), MailHost(ALICE, address="127.0.0.2")
    names.mail("a.test", (10, "mx.test", "127.0.0.1"))
    names.records["mx.test", "A"] = ["127.0.0.2", "127.0.0.1"]
    async with servers.serving_mail(allowed, private) as port:
        for _ in range(5):
            found = await collect(servers.open_config(names, port, "127.0.0.1/32"), ("alice@a.test",))
            assert only(found) == EXISTS
    assert not private.talks


class Rebinding(Names):
    """Answers the first question about an address with one that may be asked, further ones with one that may not."""

    def _fill(self, response: dns.message.Message, name: str, kind: str) -> None:
        super()._fill(response, name, kind)
        if (name, kind) == ("mx.test", "A"):
            self.records["mx.test", "A"] = ["127.0.0.2"]


async def test_security_32_a_name_that_moves_into_private_space_between_look_up_and_connection_leads_nowhere_new() -> (
    None
):
    allowed, private = MailHost(ALICE, address="127.0.0.1"), MailHost(ALICE, address="127.0.0.2")
    async with servers.serving_names(Rebinding(ttl_seconds=0)) as names, servers.serving_mail(allowed, private) as port:
        names.mail("a.test", (10, "mx.test", "127.0.0.1"))
        config = servers.open_config(names, port, "127.0.0.1/32")
        emails = tuple(f"user{number}@a.test" for number in range(30))
        first = await collect(config, (*emails, "alice@a.test"))
        again = await collect(config, ("alice@a.test",))
    assert (first["alice@a.test"].status, first["alice@a.test"].reason) == EXISTS
    assert only(again) == (Status.UNKNOWN, Reason.UNROUTABLE)
    assert len(allowed.talks) > 1, "several connections were opened while the name pointed elsewhere"
    assert not private.talks


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "0x7f000001", "2130706433", "127.1"])
async def test_a_mail_host_that_is_named_like_an_address_is_not_taken_for_one(names: Names, name: str) -> None:
    host = MailHost(ALICE)
    names.records["a.test", "MX"] = [f"10 {name}."]
    async with servers.serving_mail(host) as port:
        found = await collect(servers.open_config(names, port), ("alice@a.test",))
    assert only(found)[0] in {Status.UNKNOWN, Status.NOT_EXISTS}
    assert not host.talks
