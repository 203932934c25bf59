"""Whole checks against hosts that fail, wait, hang up or want it otherwise, and what an engine does for many."""

import asyncio
from dataclasses import replace

import pytest

from verifier.engine.check import Engine
from verifier.engine.evidence import Reason, Status
from verifier.tests.engine import servers
from verifier.tests.engine.asking import ALICE, EXISTS, GONE, NO_PIPELINING, check, collect, only, verdicts
from verifier.tests.engine.servers import MailHost, Names, Talk


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


async def test_a_reply_without_an_end_is_heard_for_a_while_only(names: Names) -> None:
    endless = "\r\n".join(["550-" + "x" * 60_000] * 100 + ["550 no such user"])
    found = await check(names, [MailHost(unknown=endless, ehlo=NO_PIPELINING)], "bob@a.test")
    assert only(found) == (Status.UNKNOWN, Reason.PROTOCOL)


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


async def test_a_greylist_meets_the_random_recipient_together_with_the_first_address(names: Names) -> None:
    first_seen: dict[str, int] = {}

    async def rcpt(talk: Talk, path: str) -> str:
        is_new = first_seen.setdefault(path, talk.number) == talk.number and path.endswith("@a.test")
        return "450 4.2.0 Greylisted" if is_new else host.verdict(path)

    host = MailHost(ALICE, rcpt=rcpt)
    for domain in ("a.test", "plain.test"):
        names.mail(domain, (10, "mx.test", "127.0.0.1"))
    async with servers.serving_mail(host) as port:
        engine = Engine(servers.config(names, port))

        async def asked(*emails: str) -> dict[str, tuple[Status, Reason]]:
            return verdicts({each.input: each async for each in engine.check_many(emails, budget_seconds=5)})

        # The host has given reasons before, so random recipients are asked about only when they are needed.
        await asked("bob@plain.test", "carol@plain.test")
        put_off = await asked("alice@a.test", "bob@a.test")
        assert set(put_off.values()) == {(Status.UNKNOWN, Reason.GREYLISTED)}
        assert await asked("alice@a.test", "bob@a.test") == {"alice@a.test": EXISTS, "bob@a.test": GONE}
        await engine.aclose()
    assert len(host.talks) == 3


async def test_a_random_recipient_that_is_put_off_is_asked_again_in_a_new_transaction(names: Names) -> None:
    async def rcpt(talk: Talk, path: str) -> str:
        if path == "alice@a.test":
            return "250 ok"
        return "451 later" if talk.commands.count("RSET") == 0 else "550 5.1.1 unknown"

    host = MailHost(rcpt=rcpt)
    assert only(await check(names, [host], "alice@a.test")) == EXISTS
    assert len(host.talks) == 1


@pytest.mark.parametrize("goodbye", [None, "421 4.7.0 goodbye"])
async def test_a_random_recipient_that_is_cut_off_is_asked_again_the_same_one(
    names: Names, goodbye: str | None
) -> None:
    asked: list[str] = []

    async def rcpt(talk: Talk, path: str) -> str | None:
        if path == "alice@a.test":
            return "250 ok"
        asked.append(path)
        return goodbye if len(asked) == 1 else "550 5.1.1 unknown"

    host = MailHost(rcpt=rcpt)
    assert only(await check(names, [host], "alice@a.test")) == EXISTS
    assert len(asked) == 2
    assert len(set(asked)) == 1
    assert len(host.talks) == 2
    assert host.said("RCPT TO:<ALICE@") == 1, "what was answered is not asked again"


async def test_a_random_recipient_that_is_always_cut_off_leaves_a_doubt(names: Names) -> None:
    async def rcpt(talk: Talk, path: str) -> str | None:
        return "250 ok" if path == "alice@a.test" else None

    found = await check(names, [MailHost(rcpt=rcpt)], "alice@a.test")
    assert found["alice@a.test"].status is Status.UNKNOWN
    assert found["alice@a.test"].is_transient


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


async def test_hosts_that_accept_and_bounce_later_are_catchall_and_their_refusals_are_proof(names: Names) -> None:
    host = MailHost(ALICE)
    names.mail("a.test", (10, "mx.bounces.test", "127.0.0.1"))
    found = await check(names, [host], "alice@a.test", "bob@a.test", accept_then_bounce=("bounces.test",))
    assert verdicts(found) == {"alice@a.test": (Status.CATCHALL, Reason.ACCEPT_ALL), "bob@a.test": GONE}
    assert host.said("RCPT") == 2
    assert "bounces later (by the settings)" in (found["alice@a.test"].evidence[-1].text or "")


async def test_a_budget_of_nothing_still_gives_a_result(names: Names) -> None:
    host = MailHost(ALICE)
    names.mail("a.test", (10, "mx.test", "127.0.0.1"))
    async with servers.serving_mail(host) as port:
        config = replace(servers.config(names, port))
        found = await collect(config, ("alice@a.test",), 0)
    assert found["alice@a.test"].status is Status.UNKNOWN
