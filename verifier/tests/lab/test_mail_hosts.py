"""The mail hosts of the lab, talked to line by line."""

import asyncio
import json
import time
from pathlib import Path

import pytest

from verifier.lab import Lab
from verifier.lab.domain import ZONE
from verifier.tests.lab.dialogue import dialogue
from verifier.tests.lab.engines import hasty_lab

TRANSACTION = ["EHLO client.test", "MAIL FROM:<probe@client.test>"]


def rcpt(domain: str, local: str = "alice") -> str:
    """The command that asks for a mailbox."""
    return f"RCPT TO:<{local}@{domain}.{ZONE}>"


@pytest.mark.parametrize(
    ("domain", "known", "unknown"),
    [
        ("ok", b"250 2.1.5", b"550 5.1.1"),
        ("catchall", b"250 2.1.5", b"250 2.1.5"),
        ("blocked", b"554 5.7.1", b"554 5.7.1"),
        ("full", b"452 4.2.2", b"550 5.1.1"),
        ("disabled", b"550 5.2.1", b"550 5.1.1"),
        ("overrate", b"450-4.2.1", b"550 5.1.1"),
        ("forwards", b"251 2.1.5", b"550 5.1.1"),
        ("cannotverify", b"252 2.1.5", b"252 2.1.5"),
        ("exim", b"250 Accepted", b"550 Unrouteable address"),
        ("opensmtpd", b"250 2.1.5", b"524 5.2.4"),
        ("gmail", b"250 2.1.5 OK", b"550-5.1.1"),
        ("german", b"250 Empf\xe4nger angenommen", b"550 Empf\xe4nger unbekannt"),
        ("french", b"250 2.1.5", "550 5.1.1 Boîte aux lettres".encode()),
    ],
)
async def test_a_host_answers_for_its_users_in_its_own_words(
    lab: Lab, domain: str, known: bytes, unknown: bytes
) -> None:
    async with dialogue(lab, domain) as host:
        assert (await host.read()).startswith(b"220 ")
        await host.greet("client.test")
        assert (await host.ask(rcpt(domain))).startswith(known)
        assert (await host.ask(rcpt(domain, "nobody"))).startswith(unknown)
        assert (await host.ask("QUIT")).startswith(b"221")
        assert await host.read() == b""


@pytest.mark.parametrize(
    ("host_name", "lines", "replies"),
    [
        ("blockedbanner", [], [b"554 5.7.1"]),
        ("busy", [], [b"421 4.3.2"]),
        ("http", [], [b"HTTP/1.1 400"]),
        ("multiline", [], [b"220-multiline.mx"]),
        ("heloonly", ["EHLO a.test", "HELO a.test", "MAIL FROM:<>"], [b"220", b"502", b"250", b"250"]),
        ("fqdnwanted", ["EHLO here", "HELO here", "EHLO a.test"], [b"220", b"504", b"504", b"250"]),
        ("nullonly", ["EHLO a.test", "MAIL FROM:<a@a.test>", "MAIL FROM:<>"], [b"220", b"250", b"550", b"250"]),
        ("longlines", ["EHLO a.test"], [b"220 longlines.mx.mailverdict.test " + b"ESMTP " * 700, b"250"]),
        ("blockedmail", TRANSACTION, [b"220", b"250", b"550 5.7.25"]),
        ("senderrefused", TRANSACTION, [b"220", b"250", b"553 5.1.8 <probe@client.test>"]),
        ("nullrefused", ["EHLO a.test", "MAIL FROM:<>", "MAIL FROM:<a@a.test>"], [b"220", b"250", b"550", b"250"]),
        ("relaydenied", [*TRANSACTION, rcpt("relaydenied")], [b"220", b"250", b"250", b"554 5.7.1 <alice@"]),
        ("ok", [*TRANSACTION, "RCPT TO:<alice@elsewhere.test>"], [b"220", b"250", b"250", b"554 5.7.1"]),
        ("ok", ["MAIL FROM:<a@a.test>", rcpt("ok"), "NOISE"], [b"220", b"503", b"503", b"500"]),
        ("ok", [*TRANSACTION, "DATA"], [b"220", b"250", b"250", b"451"]),
        ("tls454", ["EHLO a.test", "STARTTLS", "MAIL FROM:<a@a.test>"], [b"220", b"250", b"454", b"250"]),
        ("tlsbroken", ["EHLO a.test", "STARTTLS"], [b"220", b"250", b"220"]),
        (
            "oneonly",
            [*TRANSACTION, rcpt("oneonly"), rcpt("oneonly", "bob")],
            [b"220", b"250", b"250", b"250", b"452 4.5.3"],
        ),
    ],
)
async def test_a_host_has_its_manners(lab: Lab, host_name: str, lines: list[str], replies: list[bytes]) -> None:
    async with dialogue(lab, host_name) as host:
        given = [await host.read(), *[await host.ask(line) for line in lines]]

    assert [reply.startswith(start) for reply, start in zip(given, replies, strict=True)] == [True] * len(replies), (
        given
    )


async def test_a_greylisting_host_takes_a_recipient_after_its_wait() -> None:
    async with hasty_lab() as lab, dialogue(lab, "greylisted") as host:
        await host.read()
        await host.greet("client.test")
        assert (await host.ask(rcpt("greylisted"))).startswith(b"450 4.2.0")
        await asyncio.sleep(0.3)
        assert (await host.ask(rcpt("greylisted"))).startswith(b"250")
        assert (await host.ask(rcpt("greylisted", "nobody"))).startswith(b"450 4.2.0")


async def test_commands_in_one_write_are_answered_in_order(lab: Lab) -> None:
    async with dialogue(lab, "ok") as host:
        await host.read()
        await host.ask("EHLO client.test")
        host.send("MAIL FROM:<a@a.test>", rcpt("ok"), rcpt("ok", "nobody"), "RSET")
        assert [(await host.read())[:3] for _ in range(4)] == [b"250", b"250", b"550", b"250"]


@pytest.mark.parametrize("domain", ["dropspipeliners", "nopipelining"])
async def test_a_host_hangs_up_on_those_who_pipeline_against_its_will(lab: Lab, domain: str) -> None:
    async with dialogue(lab, domain) as host:
        await host.read()
        await host.ask("EHLO client.test")
        host.send("MAIL FROM:<a@a.test>", rcpt(domain))
        assert (await host.read()).startswith(b"250")
        assert await host.read() == b""


async def test_a_host_hangs_up_after_its_patience_is_spent(lab: Lab) -> None:
    async with dialogue(lab, "threestrikes") as host:
        await host.read()
        await host.greet("client.test")
        for _ in range(3):
            assert (await host.ask(rcpt("threestrikes", "nobody"))).startswith(b"550")
        assert (await host.ask(rcpt("threestrikes"))).startswith(b"421 4.7.0")
        assert await host.read() == b""
    async with dialogue(lab, "hangsup") as host:
        await host.read()
        await host.greet("client.test")
        assert (await host.ask(rcpt("hangsup"))).startswith(b"250")
        assert (await host.ask(rcpt("hangsup", "nobody"))).startswith(b"550")
        assert await host.read() == b""


async def test_a_sixth_recipient_waits_for_the_next_transaction(lab: Lab) -> None:
    async with dialogue(lab, "fiveonly") as host:
        await host.read()
        await host.greet("client.test")
        replies = [await host.ask(rcpt("fiveonly")) for _ in range(6)]
        assert [reply[:3] for reply in replies] == [b"250"] * 5 + [b"452"]
        await host.ask("RSET")
        await host.ask("MAIL FROM:<a@a.test>")
        assert (await host.ask(rcpt("fiveonly"))).startswith(b"250")


async def test_a_third_connection_is_too_many(lab: Lab) -> None:
    async with dialogue(lab, "twoatatime") as one, dialogue(lab, "twoatatime") as two:
        assert [(await host.read())[:3] for host in (one, two)] == [b"220", b"220"]
        async with dialogue(lab, "twoatatime") as three:
            assert (await three.read()).startswith(b"421 4.7.0")
            assert await three.read() == b""


async def test_starttls_is_demanded_and_works(lab: Lab) -> None:
    async with dialogue(lab, "tlsdemanded") as host:
        await host.read()
        assert b"STARTTLS" in await host.ask("EHLO client.test")
        assert (await host.ask("MAIL FROM:<a@a.test>")).startswith(b"530 5.7.0")
        assert (await host.ask("STARTTLS")).startswith(b"220")
        assert await host.encrypt() == "TLSv1.3"
        assert b"STARTTLS" not in await host.ask("EHLO client.test")
        await host.greet("client.test")
        assert (await host.ask(rcpt("tlsdemanded"))).startswith(b"250")


async def test_a_client_that_breaks_the_handshake_is_forgotten(lab: Lab) -> None:
    for rubbish in (["this is no handshake"], []):
        async with dialogue(lab, "tlsoffered") as host:
            await host.read()
            await host.ask("EHLO client.test")
            assert (await host.ask("STARTTLS")).startswith(b"220")
            host.send(*rubbish)
    async with asyncio.timeout(3.0):
        while lab.log.open_connections[f"tlsoffered.mx.{ZONE}"]:
            await asyncio.sleep(0.01)


async def test_addresses_outside_ascii_need_smtputf8_on_mail(lab: Lab) -> None:
    async with dialogue(lab, "utf8") as host:
        await host.read()
        assert b"SMTPUTF8" in await host.ask("EHLO client.test")
        await host.ask("MAIL FROM:<a@a.test>")
        assert (await host.ask(rcpt("utf8", "jürgen"))).startswith(b"553 5.6.7")
        await host.ask("RSET")
        await host.ask("MAIL FROM:<a@a.test> SMTPUTF8")
        assert (await host.ask(rcpt("utf8", "jürgen"))).startswith(b"250")


async def test_lines_may_end_in_lf_and_come_byte_by_byte(lab: Lab) -> None:
    async with dialogue(lab, "barelf") as host:
        assert await host.read() == f"220 barelf.mx.{ZONE} ESMTP ready\n".encode()
    async with dialogue(lab, "bytewise") as host:
        assert await host.read() == f"220 bytewise.mx.{ZONE} ESMTP ready\r\n".encode()


async def test_connecting_to_a_blackholed_port_is_neither_granted_nor_refused(lab: Lab) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(
            asyncio.open_connection(lab.geography.addresses["blackholed"], lab.smtp_port), timeout=0.5
        )


async def test_a_host_with_an_ipv6_address_alone_answers_there(lab: Lab) -> None:
    assert lab.geography.addresses["ipv6"] == "::1"
    async with dialogue(lab, "ipv6") as host:
        assert (await host.read()).startswith(b"220 ipv6.mx.")
        await host.greet("client.test")
        assert (await host.ask(rcpt("ipv6only"))).startswith(b"250")


async def test_the_replies_of_a_tarpit_come_late_after_ten_errors() -> None:
    async with hasty_lab() as lab, dialogue(lab, "tarpit") as host:
        await host.read()
        await host.greet("client.test")
        started_at = time.monotonic()
        for _ in range(10):
            assert (await host.ask(rcpt("tarpit", "nobody"))).startswith(b"550")
        assert time.monotonic() - started_at < 0.2
        assert (await host.ask(rcpt("tarpit", "nobody"))).startswith(b"550")
        assert time.monotonic() - started_at >= 0.2


async def test_recipients_over_the_rate_are_put_off_until_the_window_has_moved_on() -> None:
    async with hasty_lab() as lab, dialogue(lab, "tenawhile") as host:
        await host.read()
        await host.greet("client.test")
        assert [(await host.ask(rcpt("tenawhile")))[:3] for _ in range(12)] == [b"250"] * 10 + [b"451"] * 2
        await asyncio.sleep(0.35)
        assert (await host.ask(rcpt("tenawhile"))).startswith(b"250")


async def test_a_block_begins_midway_holds_for_new_connections_and_ends() -> None:
    async with hasty_lab() as lab:
        async with dialogue(lab, "blockslater") as host:
            await host.read()
            await host.greet("client.test")
            assert [(await host.ask(rcpt("blockslater")))[:3] for _ in range(14)] == [b"250"] * 12 + [b"554"] * 2
        async with dialogue(lab, "blockslater") as host:
            assert (await host.read()).startswith(b"554 5.7.1")
        await asyncio.sleep(0.65)
        async with dialogue(lab, "blockslater") as host:
            assert (await host.read()).startswith(b"220")


async def test_a_closed_port_refuses(lab: Lab) -> None:
    with pytest.raises(ConnectionRefusedError):
        async with dialogue(lab, "refused"):
            pass


async def test_a_round_trip_is_paid_once_for_each_write() -> None:
    async with Lab(delay_seconds=0.1) as lab, dialogue(lab, "ok") as host:
        started_at = time.monotonic()
        await host.read()
        await host.ask("EHLO client.test")
        host.send("MAIL FROM:<a@a.test>", *[rcpt("ok")] * 20)
        for _ in range(21):
            await host.read()
        passed_seconds = time.monotonic() - started_at

    assert 0.3 <= passed_seconds < 0.5


async def test_everything_is_counted_and_written_down(tmp_path: Path) -> None:
    path = tmp_path / "lab.log"
    async with Lab(log_path=path) as lab:
        async with dialogue(lab, "ok") as host:
            await host.read()
            await host.greet("client.test")
            await host.ask(rcpt("ok"))
            assert lab.log.open_connections[f"ok.mx.{ZONE}"] == 1
            await host.ask("QUIT")
        assert lab.log.connections == {f"ok.mx.{ZONE}": 1}
        assert (lab.log.verbs("RCPT"), lab.log.verbs("DATA")) == (1, 0)

    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["text"] for line in lines if line["kind"] == "command"] == [*TRANSACTION, rcpt("ok"), "QUIT"]


async def test_two_labs_live_side_by_side_and_free_their_ports() -> None:
    async with Lab() as one, Lab() as other:
        assert len({one.dns_port, one.smtp_port, other.dns_port, other.smtp_port}) == 4
    async with Lab(one.dns_port, one.smtp_port) as again:
        assert again.zone_setting == f"{ZONE}=127.0.0.1:{one.dns_port}/{one.smtp_port}"
        with pytest.raises(OSError, match="in use"):
            await Lab(one.dns_port, 0).__aenter__()
