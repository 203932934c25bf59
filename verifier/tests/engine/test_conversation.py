"""Whole checks against real SMTP servers on loopback: what is asked, and what each behaviour means."""

import asyncio

import pytest

from verifier.engine.evidence import Reason, Stage, Status
from verifier.tests.engine.asking import ALICE, EXISTS, GONE, check, only, verdicts
from verifier.tests.engine.servers import MailHost, Names, Talk


async def test_a_mailbox_exists_where_a_random_one_does_not(names: Names) -> None:
    host = MailHost(ALICE)
    found = await check(names, [host], "alice@a.test", "bob@a.test")
    assert verdicts(found) == {"alice@a.test": EXISTS, "bob@a.test": GONE}
    assert len(host.talks) == 1
    assert host.commands[-1] == "QUIT"
    assert host.said("DATA") == 0
    stages = [evidence.stage for evidence in found["alice@a.test"].evidence]
    assert stages == [Stage.DNS, Stage.CONNECT, Stage.BANNER, Stage.EHLO, Stage.MAIL, Stage.RCPT, Stage.CATCHALL_PROBE]
    assert found["alice@a.test"].mail_host == "mx1.test"


async def test_everything_is_asked_in_one_write_where_pipelining_is_offered(names: Names) -> None:
    host = MailHost(ALICE)
    await check(names, [host], "alice@a.test", "bob@a.test")
    verbs = [command.split(":")[0] for command in host.commands]
    assert verbs == ["EHLO probe.example", "MAIL FROM", "RCPT TO", "RCPT TO", "RCPT TO", "QUIT"]


async def test_a_host_that_takes_every_name_is_catchall_but_its_refusals_are_proof(names: Names) -> None:
    async def rcpt(talk: Talk, path: str) -> str:
        return "550 5.1.1 no such user" if path.startswith("gone") else "250 ok"

    found = await check(names, [MailHost(rcpt=rcpt)], "alice@a.test", "gone@a.test")
    assert verdicts(found) == {"alice@a.test": (Status.CATCHALL, Reason.ACCEPT_ALL), "gone@a.test": GONE}


async def test_the_random_recipient_is_asked_once_a_domain_not_once_a_session(names: Names) -> None:
    host = MailHost(ALICE)
    many = [f"user{i}@a.test" for i in range(40)]
    await check(names, [host], *many, "alice@a.test")
    assert host.said("RCPT") == 42
    assert all(talk.refusals <= 9 for talk in host.talks)
    assert host.open_max <= 2


async def test_half_a_dead_list_costs_few_connections(names: Names) -> None:
    host = MailHost({f"user{i}" for i in range(0, 50, 2)})
    found = await check(names, [host], *(f"user{i}@a.test" for i in range(50)))
    assert sum(result.status is Status.EXISTS for result in found.values()) == 25
    assert all(talk.refusals <= 9 for talk in host.talks)
    assert len(host.talks) <= 6


async def test_a_refusal_without_a_reason_that_meets_everybody_is_a_block(names: Names) -> None:
    found = await check(names, [MailHost(known="550 no", unknown="550 no", users=ALICE)], "alice@a.test", "bob@a.test")
    assert set(verdicts(found).values()) == {(Status.UNKNOWN, Reason.BLOCKED)}


async def test_a_refusal_without_a_reason_beside_an_accepted_recipient_is_proof(names: Names) -> None:
    found = await check(names, [MailHost(ALICE, unknown="550 no")], "alice@a.test", "bob@a.test")
    assert verdicts(found) == {"alice@a.test": EXISTS, "bob@a.test": GONE}


async def test_a_block_that_gives_no_reason_is_seen_in_long_lists_too(names: Names) -> None:
    host = MailHost(unknown="550 no")
    found = await check(names, [host], *(f"user{i}@a.test" for i in range(30)))
    assert set(verdicts(found).values()) == {(Status.UNKNOWN, Reason.BLOCKED)}
    assert all(talk.refusals <= 9 for talk in host.talks)


async def test_a_host_that_blocks_us_is_left_alone(names: Names) -> None:
    host = MailHost(unknown="554 5.7.1 blocked using zen.spamhaus.org")
    found = await check(names, [host], *(f"user{i}@a.test" for i in range(60)))
    assert set(verdicts(found).values()) == {(Status.UNKNOWN, Reason.BLOCKED)}
    assert host.said("RCPT") <= 20


async def test_a_block_that_starts_in_the_middle_spares_what_was_known_before(names: Names) -> None:
    async def rcpt(talk: Talk, path: str) -> str:
        return host.verdict(path) if talk.number == 1 else "554 5.7.1 too many bad recipients, you are blocked"

    host = MailHost({f"user{i}" for i in range(20)}, rcpt=rcpt)
    found = await check(names, [host], *(f"user{i}@a.test" for i in range(40)), connections_per_address=1)
    assert {result.status for result in found.values()} == {Status.EXISTS, Status.NOT_EXISTS, Status.UNKNOWN}
    assert all(found[f"user{i}@a.test"].status is not Status.NOT_EXISTS for i in range(20))


async def test_helo_is_said_where_ehlo_is_refused(names: Names) -> None:
    host = MailHost(ALICE, ehlo="502 what")
    assert only(await check(names, [host], "alice@a.test")) == EXISTS
    assert host.said("HELO") == 1


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
async def test_lines_may_end_in_any_way(names: Names, line_end: str) -> None:
    banner = f"220-welcome{line_end}220-to{line_end}220 mx"
    assert only(await check(names, [MailHost(ALICE, banner=banner, line_end=line_end)], "alice@a.test")) == EXISTS


async def test_a_slow_banner_is_waited_for(names: Names) -> None:
    assert only(await check(names, [MailHost(ALICE, banner_after_seconds=0.4)], "alice@a.test")) == EXISTS


async def test_a_silent_host_is_a_timeout_and_asked_again_later(names: Names) -> None:
    found = await check(names, [MailHost(banner_after_seconds=1.5)], "alice@a.test")
    assert only(found) == (Status.UNKNOWN, Reason.TIMEOUT)
    assert found["alice@a.test"].is_transient


@pytest.mark.parametrize(
    ("banner", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Reason.PROTOCOL),
        (b"x" * 70_000, Reason.PROTOCOL),
        ("554 5.7.1 blocked", Reason.BLOCKED),
        ("421 too busy", Reason.TEMPORARY),
        (None, Reason.NO_CONNECTION),
    ],
)
async def test_what_is_wrong_at_the_banner_is_unknown(names: Names, banner: bytes | str | None, reason: Reason) -> None:
    assert only(await check(names, [MailHost(banner=banner)], "alice@a.test")) == (Status.UNKNOWN, reason)


async def test_long_lines_are_read(names: Names) -> None:
    host = MailHost(ALICE, unknown="550 5.1.1 no such user " + "x" * 4000)
    found = await check(names, [host], "bob@a.test")
    assert only(found) == GONE
    assert all(len(each.text or "") <= 200 for each in found["bob@a.test"].evidence)


async def test_latin_1_is_read(names: Names) -> None:
    class Latin(MailHost):
        async def _serve(self, talk: Talk, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 mx\r\n")
            while line := (await reader.readline()).decode().strip():
                talk.commands.append(line)
                reply = "550 Empf\xe4nger unbekannt" if line.startswith("RCPT") else "250 ok"
                writer.write(reply.encode("latin-1") + b"\r\n")

    found = await check(names, [Latin()], "bob@a.test")
    assert only(found) == GONE
    assert found["bob@a.test"].evidence[-1].text == "Empf\xe4nger unbekannt"
