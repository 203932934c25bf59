"""Whole checks against real SMTP servers on loopback that behave as the worst of the world do."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from verifier.engine.check import Engine
from verifier.engine.config import EngineConfig
from verifier.engine.evidence import Reason, Result, Stage, Status
from verifier.tests.engine import servers
from verifier.tests.engine.servers import MailHost, Names, Talk

ALICE = {"alice"}
EXISTS = (Status.EXISTS, Reason.ACCEPTED)
GONE = (Status.NOT_EXISTS, Reason.NO_SUCH_USER)
NO_PIPELINING = "250 mx.example"


@pytest.fixture
async def names() -> AsyncIterator[Names]:
    async with servers.serving_names(Names()) as serving:
        yield serving


async def check(
    names: Names, hosts: list[MailHost], *emails: str, budget_seconds: float = 10, **changes: object
) -> dict[str, Result]:
    """Serve a.test by hosts, best first, and check addresses of it."""
    for number, host in enumerate(hosts, 1):
        host.address = f"127.0.0.{number}"
    async with servers.serving_mail(*hosts) as port:
        if ("a.test", "MX") not in names.records:
            names.mail("a.test", *((i * 10, f"mx{i}.test", host.address) for i, host in enumerate(hosts, 1)))
        return await collect(servers.config(names, port, **changes), emails, budget_seconds)


async def collect(config: EngineConfig, emails: tuple[str, ...], budget_seconds: float = 10) -> dict[str, Result]:
    engine = Engine(config)
    found = [result async for result in engine.check_many(emails, budget_seconds=budget_seconds)]
    await engine.aclose()
    assert sorted(result.input for result in found) == sorted(emails)
    assert [result for result in found if not result.evidence] == []
    return {result.input: result for result in found}


def verdicts(found: dict[str, Result]) -> dict[str, tuple[Status, Reason]]:
    return {text: (result.status, result.reason) for text, result in found.items()}


def only(found: dict[str, Result]) -> tuple[Status, Reason]:
    (verdict,) = verdicts(found).values()
    return verdict


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


async def test_a_refused_port_is_no_connection_and_the_next_host_is_asked(names: Names) -> None:
    backup = MailHost(ALICE)
    names.mail("a.test", (10, "down.test", "127.0.0.9"), (20, "up.test", "127.0.0.1"))
    assert only(await check(names, [backup], "alice@a.test")) == EXISTS
    names.mail("b.test", (10, "down.test", "127.0.0.9"))
    found = await collect(servers.config(names, backup.port), ("alice@b.test",))
    assert only(found) == (Status.UNKNOWN, Reason.NO_CONNECTION)


@pytest.mark.parametrize("banner", ["421 busy", "554 no service here"])
async def test_a_host_that_does_not_want_us_gives_way_to_the_next(names: Names, banner: str) -> None:
    assert only(await check(names, [MailHost(banner=banner), MailHost(ALICE)], "alice@a.test")) == EXISTS


async def test_a_temporary_refusal_gives_way_to_the_next_host(names: Names) -> None:
    hosts = [MailHost(unknown="451 4.3.2 not now"), MailHost(ALICE)]
    found = await check(names, hosts, "alice@a.test", "bob@a.test")
    assert verdicts(found) == {"alice@a.test": EXISTS, "bob@a.test": GONE}


async def test_a_greylisted_recipient_waits_and_no_other_host_is_asked(names: Names) -> None:
    backup = MailHost(ALICE)
    found = await check(names, [MailHost(unknown="450 4.2.0 Greylisted"), backup], "alice@a.test")
    assert only(found) == (Status.UNKNOWN, Reason.GREYLISTED)
    assert found["alice@a.test"].is_transient
    assert not backup.talks


async def test_behind_a_greylist_the_same_random_recipient_is_asked_again(names: Names) -> None:
    seen: set[str] = set()

    async def rcpt(talk: Talk, path: str) -> str:
        is_new = path not in seen
        seen.add(path)
        return "450 4.2.0 Greylisted" if is_new else host.verdict(path)

    host = MailHost(ALICE, rcpt=rcpt)
    names.mail("a.test", (10, "mx.test", "127.0.0.1"))
    async with servers.serving_mail(host) as port:
        config = servers.config(names, port)
        assert only(await collect(config, ("alice@a.test",))) == (Status.UNKNOWN, Reason.GREYLISTED)
        assert only(await collect(config, ("alice@a.test",))) == EXISTS
    assert len(seen) == 2


async def test_a_random_recipient_that_is_put_off_is_asked_again_in_a_new_transaction(names: Names) -> None:
    async def rcpt(talk: Talk, path: str) -> str:
        if path == "alice@a.test":
            return "250 ok"
        return "451 later" if talk.commands.count("RSET") == 0 else "550 5.1.1 unknown"

    host = MailHost(rcpt=rcpt)
    assert only(await check(names, [host], "alice@a.test")) == EXISTS
    assert len(host.talks) == 1


async def test_relay_denied_by_every_host_is_gone_and_by_one_is_not(names: Names) -> None:
    denied = "554 5.7.1 Relay access denied"
    assert only(await check(names, [MailHost(unknown=denied)], "alice@a.test")) == GONE
    hosts = [MailHost(unknown=denied), MailHost(ALICE)]
    names.records.clear()
    assert only(await check(names, hosts, "alice@a.test")) == EXISTS


@pytest.mark.parametrize("per_transaction", [1, 5])
async def test_too_many_recipients_means_a_new_transaction(names: Names, per_transaction: int) -> None:
    async def rcpt(talk: Talk, path: str) -> str:
        return host.verdict(path) if talk.recipients <= per_transaction else "452 4.5.3 Too many recipients"

    host = MailHost({f"user{i}" for i in range(0, 12, 2)}, rcpt=rcpt)
    found = await check(names, [host], *(f"user{i}@a.test" for i in range(12)))
    assert [found[f"user{i}@a.test"].status for i in range(12)] == [Status.EXISTS, Status.NOT_EXISTS] * 6


@pytest.mark.parametrize("goodbye", ["421 4.7.0 too many errors", None])
@pytest.mark.parametrize("refusals", [1, 3])
async def test_a_host_that_hangs_up_after_refusals_is_asked_for_the_rest(
    names: Names, goodbye: str | None, refusals: int
) -> None:
    async def rcpt(talk: Talk, path: str) -> str | None:
        return goodbye if talk.refusals >= refusals else host.verdict(path)

    host = MailHost({f"user{i}" for i in range(0, 12, 2)}, rcpt=rcpt)
    found = await check(names, [host], *(f"user{i}@a.test" for i in range(12)))
    assert [found[f"user{i}@a.test"].status for i in range(12)] == [Status.EXISTS, Status.NOT_EXISTS] * 6


async def test_a_host_that_drops_pipeliners_is_asked_in_turn_ever_after(names: Names) -> None:
    host = MailHost(ALICE, drops_pipeliners=True)
    found = await check(names, [host], "alice@a.test", *(f"user{i}@a.test" for i in range(20)))
    assert found["alice@a.test"].status is Status.EXISTS
    assert {found[f"user{i}@a.test"].reason for i in range(20)} == {Reason.NO_SUCH_USER}


async def test_one_recipient_that_hangs_delays_the_others_but_does_not_take_them_along(names: Names) -> None:
    async def rcpt(talk: Talk, path: str) -> str:
        if path.startswith("hang"):
            await asyncio.sleep(3)
        return host.verdict(path)

    host = MailHost(ALICE, rcpt=rcpt)
    found = await check(names, [host], "hang@a.test", "alice@a.test", "bob@a.test")
    assert verdicts(found) == {
        "hang@a.test": (Status.UNKNOWN, Reason.TIMEOUT),
        "alice@a.test": EXISTS,
        "bob@a.test": GONE,
    }


async def test_when_the_time_is_over_every_address_has_its_result(names: Names) -> None:
    async def rcpt(talk: Talk, path: str) -> str:
        await asyncio.sleep(0.3)
        return host.verdict(path)

    host = MailHost(rcpt=rcpt)
    found = await check(names, [host], *(f"user{i}@a.test" for i in range(30)), budget_seconds=1)
    reasons = {result.reason for result in found.values()}
    assert reasons == {Reason.NO_SUCH_USER, Reason.TIMEOUT}


async def test_the_null_sender_is_the_fall_back(names: Names) -> None:
    def mail(talk: Talk, path: str) -> str:
        return "250 ok" if path == "<>" else "553 5.1.8 Sender address rejected"

    host = MailHost(ALICE, mail=mail)
    assert only(await check(names, [host], "alice@a.test")) == EXISTS
    refusing = MailHost(ALICE, mail=lambda talk, path: f"553 5.1.8 Sender address rejected: {path}")
    found = await check(names, [refusing], "alice@a.test")
    assert only(found) == (Status.UNKNOWN, Reason.SENDER_REJECTED)


async def test_a_sender_that_is_refused_at_rcpt_is_replaced_by_the_null_sender(names: Names) -> None:
    async def rcpt(talk: Talk, path: str) -> str:
        return host.verdict(path) if "MAIL FROM:<>" in talk.commands else "550 Sender verify failed"

    host = MailHost(ALICE, rcpt=rcpt)
    found = await check(names, [host], "alice@a.test", "bob@a.test")
    assert verdicts(found) == {"alice@a.test": EXISTS, "bob@a.test": GONE}


async def test_an_address_outside_ascii_needs_a_server_that_takes_it(names: Names) -> None:
    host = MailHost({"jürgen", "alice"})
    found = await check(names, [host], "jürgen@a.test", "alice@a.test")
    assert verdicts(found) == {"jürgen@a.test": EXISTS, "alice@a.test": EXISTS}
    assert host.said("MAIL FROM:<PROBE@PROBE.EXAMPLE> SMTPUTF8") == 1
    plain = MailHost({"alice"}, ehlo=NO_PIPELINING)
    found = await check(names, [plain], "jürgen@a.test", "alice@a.test")
    assert verdicts(found) == {"jürgen@a.test": (Status.UNKNOWN, Reason.EAI_UNSUPPORTED), "alice@a.test": EXISTS}


async def test_two_domains_of_one_host_share_a_session(names: Names) -> None:
    host = MailHost(ALICE)
    names.mail("a.test", (10, "mx.test", "127.0.0.1"))
    names.mail("b.test", (10, "mx.test", "127.0.0.1"))
    found = await check(names, [host], "alice@a.test", "alice@b.test", "bob@b.test")
    assert verdicts(found) == {"alice@a.test": EXISTS, "alice@b.test": EXISTS, "bob@b.test": GONE}
    assert len(host.talks) == 1


async def test_a_dead_domain_does_not_delay_the_others(names: Names) -> None:
    host = MailHost(ALICE)
    names.behaviours["dead.test"] = "SILENT"
    names.mail("a.test", (10, "mx.test", "127.0.0.1"))
    async with servers.serving_mail(host) as port:
        engine = Engine(servers.config(names, port))
        loop = asyncio.get_running_loop()
        start = loop.time()
        results = engine.check_many(["x@dead.test", "alice@a.test"], budget_seconds=10)
        assert (await anext(results)).input == "alice@a.test"
        assert loop.time() - start < 0.5
        assert (await anext(results)).reason is Reason.DNS_FAILURE
        await results.aclose()
        await engine.aclose()


async def test_who_stops_listening_leaves_no_connection_behind(names: Names) -> None:
    async def rcpt(talk: Talk, path: str) -> str:
        await asyncio.sleep(0.1)
        return host.verdict(path)

    host = MailHost(rcpt=rcpt)
    names.mail("a.test", (10, "mx.test", "127.0.0.1"))
    async with servers.serving_mail(host) as port:
        engine = Engine(servers.config(names, port))
        results = engine.check_many([f"user{i}@a.test" for i in range(50)], budget_seconds=10)
        await anext(results)
        await results.aclose()
        await engine.aclose()
        asked = host.said("RCPT")
        await asyncio.sleep(0.4)
        assert all(talk.refusals <= 10 for talk in host.talks)
        assert host.said("RCPT") <= asked + 20


async def test_equal_addresses_are_asked_about_once_and_answered_each(names: Names) -> None:
    host = MailHost(ALICE)
    texts = ("alice@a.test", " alice@A.TEST ", "Alice@a.test", "no address")
    found = await check(names, [host], *texts)
    assert found[" alice@A.TEST "].email == "alice@a.test"
    assert found["Alice@a.test"].email == "Alice@a.test"
    assert found["no address"].status is Status.INVALID_SYNTAX
    assert host.said("RCPT TO:<ALICE@") == 2


async def test_connections_stay_within_their_limit(names: Names) -> None:
    hosts = [MailHost(address=f"127.0.0.{i}") for i in range(1, 7)]
    open_now = open_max = 0

    async def rcpt(talk: Talk, path: str) -> str:
        nonlocal open_now, open_max
        open_now += 1
        open_max = max(open_max, open_now)
        await asyncio.sleep(0.01)
        open_now -= 1
        return "550 5.1.1 unknown"

    for i, host in enumerate(hosts):
        host.rcpt = rcpt
        names.mail(f"d{i}.test", (10, f"mx{i}.test", host.address))
    async with servers.serving_mail(*hosts) as port:
        emails = tuple(f"user{k}@d{i}.test" for i in range(6) for k in range(12))
        await collect(servers.config(names, port, concurrency=3), emails)
    assert 1 < open_max <= 3


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    folder: Path = tmp_path_factory.mktemp("tls")
    subject = ["-subj", "/CN=mx.example", "-days", "1"]
    files = ["-keyout", str(folder / "key"), "-out", str(folder / "certificate")]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject, *files], check=True, capture_output=True
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate", folder / "key")
    return context


OFFERED = "250-mx.example\r\n250-PIPELINING\r\n250 STARTTLS"


async def test_tls_is_used_where_it_is_offered(names: Names, certificate: ssl.SSLContext) -> None:
    host = MailHost(ALICE, ehlo=OFFERED, ehlo_encrypted=NO_PIPELINING, tls=certificate)
    found = await check(names, [host], "alice@a.test")
    assert only(found) == EXISTS
    assert host.talks[0].is_encrypted
    assert host.said("EHLO") == 2
    assert Stage.STARTTLS in {each.stage for each in found["alice@a.test"].evidence}


@pytest.mark.parametrize("ehlo", [NO_PIPELINING, "250-mx.example\r\n250 PIPELINING"])
@pytest.mark.parametrize("stage", ["mail", "rcpt"])
async def test_tls_is_used_where_it_is_demanded(
    names: Names, certificate: ssl.SSLContext, ehlo: str, stage: str
) -> None:
    demand = "530 5.7.0 Must issue a STARTTLS command first"

    async def rcpt(talk: Talk, path: str) -> str:
        return demand if stage == "rcpt" and not talk.is_encrypted else host.verdict(path)

    def mail(talk: Talk, path: str) -> str:
        return demand if stage == "mail" and not talk.is_encrypted else "250 ok"

    host = MailHost(ALICE, ehlo=ehlo, tls=certificate, mail=mail, rcpt=rcpt)
    found = await check(names, [host], "alice@a.test", "bob@a.test")
    assert verdicts(found) == {"alice@a.test": EXISTS, "bob@a.test": GONE}


@pytest.mark.parametrize("starttls", ["454 TLS not available", "220 go ahead"])
async def test_where_tls_does_not_work_the_plain_text_does(names: Names, starttls: str) -> None:
    host = MailHost(ALICE, ehlo=OFFERED, starttls=starttls)
    assert only(await check(names, [host], "alice@a.test")) == EXISTS


async def test_a_name_that_is_none_is_replaced_by_an_address_literal(names: Names) -> None:
    host = MailHost(ALICE)
    await check(names, [host], "alice@a.test", helo="box")
    assert host.commands[0] == "EHLO [127.0.0.1]"


async def test_a_mail_host_on_ipv6_alone_is_asked(names: Names) -> None:
    host = MailHost(ALICE, address="::1")
    names.mail("a.test", (10, "mx.test", "::1"))
    async with servers.serving_mail(host) as port:
        assert only(await collect(servers.config(names, port), ("alice@a.test",))) == EXISTS


async def test_a_second_address_of_a_host_is_asked_where_the_first_is_down(names: Names) -> None:
    host = MailHost(ALICE)
    names.mail("a.test", (10, "mx.test", "127.0.0.1"))
    names.records["mx.test", "A"] = ["127.0.0.8", "127.0.0.1", "127.0.0.9"]
    async with servers.serving_mail(host) as port:
        for _ in range(4):
            assert only(await collect(servers.config(names, port), ("alice@a.test",))) == EXISTS


async def test_one_engine_remembers_what_it_learned(names: Names) -> None:
    host = MailHost(ALICE, drops_pipeliners=True)
    names.mail("a.test", (10, "mx.test", "127.0.0.1"))
    async with servers.serving_mail(host) as port:
        engine = Engine(servers.config(names, port))
        first = await engine.check("alice@a.test", budget_seconds=5)
        talks = len(host.talks)
        second = await engine.check("alice@a.test", budget_seconds=5)
        assert (first.status, second.status) == (Status.EXISTS, Status.EXISTS)
        assert len(host.talks) == talks + 1
        assert sum(command.startswith("RCPT") for command in host.talks[-1].commands) == 1
        assert await engine.mail_host_group("a.test") == "mx.test"
        assert await engine.mail_host_group("nowhere.test") == "domain:nowhere.test"
        await engine.aclose()


async def test_hosts_that_accept_and_bounce_later_are_catchall(names: Names) -> None:
    host = MailHost(ALICE)
    names.mail("a.test", (10, "mx.acceptsthenbounces.mailverdict.test", "127.0.0.1"))
    found = await check(names, [host], "alice@a.test")
    assert only(found) == (Status.CATCHALL, Reason.ACCEPT_ALL)


async def test_a_budget_of_nothing_still_gives_a_result(names: Names) -> None:
    host = MailHost(ALICE)
    names.mail("a.test", (10, "mx.test", "127.0.0.1"))
    async with servers.serving_mail(host) as port:
        config = replace(servers.config(names, port))
        found = await collect(config, ("alice@a.test",), 0)
    assert found["alice@a.test"].status is Status.UNKNOWN
