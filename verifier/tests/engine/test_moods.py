"""Mail hosts in every mood: whatever they do between the truths, no living mailbox is gone and no dead one lives."""

import random

import pytest

from verifier.engine.evidence import Result, Status
from verifier.tests.engine.asking import check
from verifier.tests.engine.servers import Names, Talk
from verifier.tests.engine.test_politeness import Counting

MOODS = (
    "450 4.2.0 Greylisted, try again later",
    "451 4.3.0 Temporary lookup failure",
    "450 4.1.1 user unknown, not verified yet",
    "451 mailbox unavailable",
    "452 4.5.3 Too many recipients",
    "452 4.3.1 Insufficient system storage",
    "421 4.7.0 Too many errors, goodbye",
    "554 5.7.1 Client host blocked using zen.spamhaus.org",
    "550 5.7.25 no PTR record",
    "503 5.5.1 Bad sequence of commands",
    "252 2.1.5 Cannot VRFY user",
    "554 5.3.0 Server fault",
    None,
)
REFUSALS = ("550 5.1.1 User unknown", "550 no such user", "550 Rejected", "554 delivery error: mailbox not found")


class Moody(Counting):
    """Tells the truth at times. A seed makes each of its whims repeatable."""

    def whims(self, seed: int, share: float) -> None:
        self.chance = random.Random(seed)
        self.share = share
        self.unknown = self.chance.choice(REFUSALS)
        self.rcpt = self._rcpt

    async def _rcpt(self, talk: Talk, path: str) -> str | None:
        return self.chance.choice(MOODS) if self.chance.random() < self.share else self.verdict(path)

    async def _answer(self, talk: Talk, line: str) -> str | None:
        if line.startswith(("MAIL", "EHLO")) and self.chance.random() < self.share / 4:
            return self.chance.choice(MOODS)
        return await super()._answer(talk, line)


@pytest.mark.parametrize("seed", range(24))
@pytest.mark.parametrize("share", [0.15, 0.6])
async def test_no_mood_makes_the_living_dead_or_the_dead_alive(names: Names, seed: int, share: float) -> None:
    living = {f"user{number}" for number in range(0, 30, 2)}
    hosts: list[Moody] = []
    for number in range(1 + seed % 2):
        host = Moody(living, ehlo="250-mx\r\n250 PIPELINING" if seed % 3 else "250 mx")
        host.whims(seed * 2 + number, share)
        hosts.append(host)
    found = await check(names, [*hosts], *(f"user{number}@a.test" for number in range(30)), budget_seconds=6)

    told = {status: [each for each in found.values() if each.status is status] for status in Status}
    assert not [each.email for each in told[Status.NOT_EXISTS] if each.email.partition("@")[0] in living], hosts
    assert not [each.email for each in told[Status.EXISTS] if each.email.partition("@")[0] not in living]
    assert not told[Status.CATCHALL]
    assert all(_is_reasoned(each) for each in found.values())
    for host in hosts:
        if host.talks:
            assert host.errors_max <= 9
            assert host.open_max <= 2


def _is_reasoned(result: Result) -> bool:
    return bool(result.evidence) and result.score is not None
