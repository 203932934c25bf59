"""How a mail host is treated: refusals a connection, connections an address, a goodbye always, never DATA."""

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import replace

import dns.message
import pytest

from verifier.engine.check import Engine
from verifier.engine.evidence import Reason, Status
from verifier.tests.engine import servers
from verifier.tests.engine.asking import check, verdicts
from verifier.tests.engine.servers import MailHost, Names, Rcpt, Talk

MANY = [f"user{i}@a.test" for i in range(40)]
USERS = {f"user{i}" for i in range(0, 40, 2)}
RIGHT = [Status.EXISTS, Status.NOT_EXISTS] * 20
SENDER_REFUSED = "550 5.1.8 Sender address rejected"


class Counting(MailHost):
    """Answers as Postfix does: 503 to a recipient without a sender. Counts what it refused in each connection."""

    async def _answer(self, talk: Talk, line: str) -> str | None:
        verb = line.upper()
        if verb.startswith("RCPT") and not talk.has_sender:
            reply: str | None = "503 5.5.1 Error: need MAIL command"
        else:
            reply = await super()._answer(talk, line)
        if verb.startswith(("RSET", "EHLO", "HELO")):
            talk.has_sender = False
        if verb.startswith("MAIL"):
            talk.has_sender = bool(reply and reply.startswith("2"))
        talk.errors += bool(reply and reply[0] in "45")
        return reply

    @property
    def errors_max(self) -> int:
        return max(talk.errors for talk in self.talks)


def _null_only(talk: Talk, path: str) -> str:
    return "250 ok" if path.startswith("<>") else SENDER_REFUSED


def _encrypted_only(talk: Talk, path: str) -> str:
    return "250 ok" if talk.is_encrypted else "530 5.7.0 Must issue a STARTTLS command first"


@pytest.mark.parametrize("ehlo", ["250-mx\r\n250 PIPELINING", "250 mx", "502 what"])
@pytest.mark.parametrize("mail", [lambda talk, path: "250 ok", _null_only, _encrypted_only])
async def test_no_connection_meets_more_than_nine_refusals_of_any_kind(
    names: Names,
    ehlo: str,
    mail: Callable[[Talk, str], str | None],
    certificate: ssl.SSLContext,
) -> None:
    host = Counting(USERS, ehlo=ehlo, mail=mail, tls=certificate)
    found = await check(names, [host], *MANY)
    assert [found[email].status for email in MANY] == RIGHT
    assert host.errors_max <= 9
    assert host.open_max <= 2


def _put_off_all_but_the_first() -> Rcpt:
    async def rcpt(talk: Talk, path: str) -> str:
        return "250 ok" if talk.recipients == 1 else "452 4.5.3 Too many recipients"

    return rcpt


def _demand_tls_at_rcpt(host: MailHost) -> Rcpt:
    async def rcpt(talk: Talk, path: str) -> str:
        return host.verdict(path) if talk.is_encrypted else "530 5.7.0 Must issue a STARTTLS command first"

    return rcpt


def _refuse_sender_at_rcpt(host: MailHost) -> Rcpt:
    async def rcpt(talk: Talk, path: str) -> str:
        sender = next(line for line in reversed(talk.commands) if line.startswith("MAIL"))
        return host.verdict(path) if sender == "MAIL FROM:<>" else "550 5.1.8 Sender verify failed"

    return rcpt


@pytest.mark.parametrize("manner", ["one a transaction", "tls at rcpt", "sender at rcpt"])
async def test_nine_is_the_limit_for_hosts_that_want_it_otherwise_too(
    names: Names,
    manner: str,
    certificate: ssl.SSLContext,
) -> None:
    host = Counting(USERS, tls=certificate)
    host.rcpt = {
        "one a transaction": _put_off_all_but_the_first(),
        "tls at rcpt": _demand_tls_at_rcpt(host),
        "sender at rcpt": _refuse_sender_at_rcpt(host),
    }[manner]
    found = await check(names, [host], *MANY)
    assert host.errors_max <= 9
    wrong = [email for email, right in zip(MANY, RIGHT, strict=True) if found[email].status is not right]
    assert not wrong or manner == "one a transaction"


async def test_a_sender_that_is_refused_everywhere_costs_few_refusals(names: Names) -> None:
    host = Counting(USERS, mail=lambda talk, path: SENDER_REFUSED)
    found = await check(names, [host], *MANY)
    assert set(verdicts(found).values()) == {(Status.UNKNOWN, Reason.SENDER_REJECTED)}
    assert host.errors_max <= 9
    assert len(host.talks) <= 4


async def test_every_connection_ends_with_a_goodbye_and_none_sends_data(names: Names) -> None:
    host = Counting(USERS)
    await check(names, [host], *MANY)
    assert [talk.commands[-1] for talk in host.talks] == ["QUIT"] * len(host.talks)
    assert all(talk.commands.count("QUIT") == 1 for talk in host.talks)
    assert {command.split(":")[0].split()[0] for command in host.commands} == {"EHLO", "MAIL", "RCPT", "RSET", "QUIT"}


async def test_a_refused_mail_before_a_hang_up_is_the_reason(names: Names) -> None:
    host = MailHost(USERS, mail=lambda talk, path: "554 5.7.1 blocked using zen.spamhaus.org")

    async def rcpt(talk: Talk, path: str) -> None:
        return None

    host.rcpt = rcpt
    found = await check(names, [host], *MANY[:5])
    assert set(verdicts(found).values()) == {(Status.UNKNOWN, Reason.BLOCKED)}
    assert len(host.talks) == 1


async def test_recipients_that_are_never_answered_cost_two_waits_not_one_each(names: Names) -> None:
    async def rcpt(talk: Talk, path: str) -> str:
        await asyncio.sleep(5)
        return "250 ok"

    host = MailHost(USERS, rcpt=rcpt)
    begun_at = time.monotonic()
    found = await check(names, [host], *MANY)
    assert set(verdicts(found).values()) == {(Status.UNKNOWN, Reason.TIMEOUT)}
    assert all(result.is_transient for result in found.values())
    assert time.monotonic() - begun_at < 1.7  # two waits of 0.5 s, side by side on two connections
    assert len(host.talks) <= 4


async def test_a_call_may_be_held_to_fewer_connections(names: Names) -> None:
    host = Counting(USERS)
    names.mail("a.test", (10, "mx.test", "127.0.0.1"))
    async with servers.serving_mail(host) as port:
        engine = Engine(servers.config(names, port))
        results = [each async for each in engine.check_many(MANY, budget_seconds=10, connections=1)]
        await engine.aclose()
    assert len(results) == len(MANY)
    assert host.open_max == 1


async def test_many_domains_of_a_host_that_are_dead_cost_one_question_each(names: Names) -> None:
    host = Counting({"alice"})
    domains = [f"d{number}.test" for number in range(60)]
    for domain in domains:
        names.mail(domain, (10, "mx.test", "127.0.0.1"))
    async with servers.serving_mail(host) as port:
        engine = Engine(servers.config(names, port))
        dead = [f"gone@{domain}" for domain in domains[:50]]
        living = [f"alice@{domain}" for domain in domains[50:]]
        found = {each.input: each.status async for each in engine.check_many([*dead, *living], budget_seconds=10)}
        await engine.aclose()
    assert {found[email] for email in dead} == {Status.NOT_EXISTS}
    assert {found[email] for email in living} == {Status.EXISTS}
    # Each living one needs a random recipient beside it; the dead ones need none once the host has given its reason.
    assert host.said("RCPT") <= 60 + 10 + 10
    assert len(host.talks) <= 10
    assert host.errors_max <= 9


async def test_domains_that_become_known_later_join_the_conversation(names: Names) -> None:
    class Slow(Names):
        """Tells about each further domain a little later."""

        def answer(self, query: dns.message.Message, *, over_tcp: bool) -> dns.message.Message | None:
            self.delay_seconds = 0.3 if len(self.asked) > 1 else 0.0
            return super().answer(query, over_tcp=over_tcp)

    async def rcpt(talk: Talk, path: str) -> str:
        await asyncio.sleep(0.05)
        return host.verdict(path)

    host = Counting({"alice"}, rcpt=rcpt)
    async with servers.serving_names(Slow()) as slow, servers.serving_mail(host) as port:
        for number in range(4):
            slow.mail(f"d{number}.test", (10, "mx.test", "127.0.0.1"))
        patient = replace(servers.BUDGETS, dns_try_seconds=3.0, dns_seconds=6.0)
        engine = Engine(servers.config(slow, port, connections_per_address=1, budgets=patient))
        emails = [f"{local}@d{number}.test" for number in range(4) for local in ("alice", "bob", "carol")]
        found = {each.input: each.status async for each in engine.check_many(emails, budget_seconds=10)}
        await engine.aclose()
    assert len(found) == len(emails)
    assert {found[email] for email in emails if email.startswith("alice")} == {Status.EXISTS}
    assert {found[email] for email in emails if not email.startswith("alice")} == {Status.NOT_EXISTS}
    assert host.open_max == 1
