"""What is learned of a host: fewer refusals after a hang-up, slowly more again, and no fault that was not its own."""

import tracemalloc

import pytest

from verifier.engine.check import Engine
from verifier.engine.evidence import Status
from verifier.engine.memory import HostMemory
from verifier.tests.engine import servers
from verifier.tests.engine.asking import ALICE
from verifier.tests.engine.servers import MailHost, Names


def test_a_hang_up_halves_what_is_borne_or_tells_it_exactly() -> None:
    memory = HostMemory(refusals_limit=9)
    memory.saw_hang_up(0)
    assert memory.refusals_limit == 4
    memory.saw_hang_up(3)
    assert memory.refusals_limit == 3
    for _ in range(5):
        memory.saw_hang_up(0)
    assert memory.refusals_limit == 1


def test_peaceful_sessions_at_the_limit_raise_it_again_but_not_beyond_what_is_polite() -> None:
    memory = HostMemory(refusals_limit=3)
    for _ in range(100):
        memory.saw_peaceful_end(2, 9)
    assert memory.refusals_limit == 3, "it was not reached"
    for _ in range(8):
        memory.saw_peaceful_end(memory.refusals_limit, 9)
    assert memory.refusals_limit == 4
    for _ in range(200):
        memory.saw_peaceful_end(memory.refusals_limit, 9)
    assert memory.refusals_limit == 9


@pytest.mark.parametrize("broken", [MailHost(ALICE, banner=None), MailHost(ALICE, ehlo="421 not now")])
async def test_a_host_that_was_down_is_met_like_any_other_when_it_is_back(names: Names, broken: MailHost) -> None:
    names.mail("a.test", (10, "mx.test", "127.0.0.1"))
    async with servers.serving_mail(broken) as port:
        engine = Engine(servers.config(names, port))
        assert (await engine.check("alice@a.test", budget_seconds=5)).status is Status.UNKNOWN
        broken.banner, broken.ehlo = "220 mx", "250-mx\r\n250 PIPELINING"
        assert (await engine.check("alice@a.test", budget_seconds=5)).status is Status.EXISTS
        await engine.aclose()
    assert broken.said("EHLO") >= 1
    assert broken.said("HELO") == 0


async def test_a_host_that_hangs_up_at_ehlo_and_at_helo_is_greeted_properly_next_time(names: Names) -> None:
    class HangingUp(MailHost):
        is_down = True

        async def _answer(self, talk: servers.Talk, line: str) -> str | None:
            return None if self.is_down else await super()._answer(talk, line)

    host = HangingUp(ALICE)
    names.mail("a.test", (10, "mx.test", "127.0.0.1"))
    async with servers.serving_mail(host) as port:
        engine = Engine(servers.config(names, port))
        assert (await engine.check("alice@a.test", budget_seconds=5)).status is Status.UNKNOWN
        assert [talk.commands[0].split()[0] for talk in host.talks] == ["EHLO", "HELO"]
        host.is_down = False
        assert (await engine.check("alice@a.test", budget_seconds=5)).status is Status.EXISTS
        await engine.aclose()
    assert host.talks[-1].commands[0].startswith("EHLO")


@pytest.mark.parametrize("code", [250, 550])
async def test_of_long_replies_only_their_head_is_kept(names: Names, code: int) -> None:
    async def rcpt(_: servers.Talk, path: str) -> str:
        return "\r\n".join(
            [*(f"{code}-2.1.5 {path} {number} {'at length ' * 3000}" for number in range(3)), f"{code} x"]
        )

    host = MailHost(rcpt=rcpt)
    names.mail("a.test", (10, "mx.test", "127.0.0.1"))
    async with servers.serving_mail(host) as port:
        engine = Engine(servers.config(names, port))
        emails = [f"user{number}@a.test" for number in range(40)]
        await engine.check("first@a.test", budget_seconds=5)
        tracemalloc.start()
        try:
            found = [result async for result in engine.check_many(emails, budget_seconds=20)]
            kept, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        await engine.aclose()
    assert len(found) == 40
    assert kept < 1_000_000, "40 replies of 90 kB were heard"
