"""Long lists on hosts with little patience: nothing true is lost, nobody living is told as gone, no host is hurried."""

import asyncio
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from verifier.engine.check import Engine
from verifier.engine.config import Budgets
from verifier.engine.evidence import Reason, Result, Status
from verifier.lab import Lab, catalogue, mailboxes
from verifier.lab.domain import ACCEPT_ALL, BLOCKED, EXISTS, NO_SUCH_USER, ZONE, Domain, Host, mail
from verifier.lab.script import TAKEN, Script
from verifier.tests.lab import log_of_commands
from verifier.tests.lab.engines import (
    checked,
    complaints,
    config_for,
    engine_for,
    hasty_lab,
    living_told_as_gone,
    settled,
)

LIVING, UNKNOWN = "alice+{}", "former.colleague{}"


def people(domain: str, count: int) -> list[str]:
    """Addresses of a domain, every second one without a mailbox."""
    return [f"{(LIVING if n % 2 else UNKNOWN).format(n)}@{domain}.{ZONE}" for n in range(count)]


def verdicts(results: list[Result]) -> Counter[tuple[Status, Reason]]:
    return Counter((result.status, result.reason) for result in results)


@pytest.mark.parametrize("domain", ["fiveonly", "oneonly", "threestrikes", "twentystrikes", "tarpit", "twoatatime"])
async def test_a_long_list_on_a_host_with_limits_is_judged_whole(domain: str, tmp_path: Path) -> None:
    path = tmp_path / "lab.log"
    async with hasty_lab(path) as lab, engine_for(lab) as engine:
        results = await settled(engine, people(domain, 60))

    assert not (wrong := complaints(results)), "\n".join(wrong)
    log = log_of_commands.read(path)
    assert log_of_commands.refusals_max(log) <= 9
    assert log_of_commands.open_max(log)[f"{domain}.mx.{ZONE}"] <= 2


async def test_a_host_that_tarpits_is_left_before_it_does(tmp_path: Path) -> None:
    """Postfix answers a second late after ten errors: thirty unknown users would cost half a minute."""
    path = tmp_path / "lab.log"
    async with Lab(log_path=path) as lab, engine_for(lab) as engine:
        started_at = time.monotonic()
        results = await checked(engine, people("tarpit", 60))
        passed_seconds = time.monotonic() - started_at

    assert not complaints(results)
    assert passed_seconds < 1.0


async def test_ten_a_minute_leave_the_others_unknown_until_the_minute_is_over() -> None:
    host = mail("tenaminute", "Takes ten recipients a minute.", Script(rate_max=10, rate_seconds=60.0))
    async with Lab(catalogue=(host,)) as lab, engine_for(lab) as engine:
        results = await checked(engine, people("tenaminute", 40))

    found = verdicts(results)
    assert found.pop(EXISTS) + found.pop(NO_SUCH_USER) >= 5
    assert set(found) == {(Status.UNKNOWN, Reason.TEMPORARY)}
    assert all(result.is_transient for result in results if result.status is Status.UNKNOWN)
    assert not [result.input for result in results if result.status is Status.NOT_EXISTS and "alice" in result.input]


async def test_what_was_over_the_rate_is_settled_when_asked_again() -> None:
    async with hasty_lab() as lab, engine_for(lab) as engine:
        results = await settled(engine, people("tenawhile", 24))

    assert not (wrong := complaints(results)), "\n".join(wrong)


async def test_a_block_that_starts_midway_leaves_what_was_found_and_makes_the_rest_unknown() -> None:
    host = mail("blocksmidway", "Blocks after 30 recipients.", Script(blocks_after=30))
    async with Lab(catalogue=(host,)) as lab, engine_for(lab) as engine:
        before = await checked(engine, people("blocksmidway", 100))
        after = await checked(engine, people("blocksmidway", 10))

        # Who blocks us is left alone soon: of the 70 recipients that are left not all are tried.
        assert lab.log.verbs("RCPT") < 60
    found = verdicts(before)
    assert set(found) == {EXISTS, NO_SUCH_USER, BLOCKED}
    assert found[BLOCKED] >= 70
    assert set(verdicts(after)) == {BLOCKED}
    living = [result for result in [*before, *after] if mailboxes.is_mailbox(result.input.partition("@")[0])]
    assert all(result.status is not Status.NOT_EXISTS for result in living)


async def test_one_dead_domain_among_many_delays_no_other() -> None:
    quick = tuple(
        Domain(name=f"quick-{n}", about="Answers at once.", hosts=(Host(f"quick-{n}", Script()),)) for n in range(40)
    )
    dead = tuple(each for each in catalogue.CATALOGUE if each.name in {"blackholed", "dnssilent", "hangs"})
    addresses = [address for n in range(40) for address in people(f"quick-{n}", 4)]
    silent = [address for domain in dead for address in people(domain.name, 4)]
    budgets = Budgets(dns_try_seconds=2.0, dns_seconds=4.0, connect_seconds=4.0, command_seconds=4.0)
    at: dict[str, float] = {}
    async with Lab(catalogue=(*dead, *quick)) as lab, engine_for(lab, budgets) as engine:
        started_at = time.monotonic()
        results = []
        async for result in engine.check_many([*silent, *addresses], budget_seconds=2.5):
            at[result.input] = time.monotonic() - started_at
            results.append(result)

    assert len(results) == len(addresses) + len(silent)
    assert max(at[address] for address in addresses) < 1.5
    assert min(at[address] for address in silent) > max(at[address] for address in addresses)
    assert all(result.status is Status.UNKNOWN and result.is_transient for result in results if result.input in silent)


async def test_ten_thousand_on_one_slow_domain_end_with_their_budget_and_delay_nobody() -> None:
    slow = people("slow", 10_000)
    quick = people("ok", 20)
    at: dict[str, float] = {}
    async with Lab() as lab, engine_for(lab) as engine:
        started_at = time.monotonic()
        results = []
        async for result in engine.check_many([*slow, *quick], budget_seconds=2.5):
            at[result.input] = time.monotonic() - started_at
            results.append(result)
        passed_seconds = time.monotonic() - started_at

        assert lab.log.open_connections_max[f"slow.mx.{ZONE}"] <= 2
    assert Counter(result.input for result in results) == Counter([*slow, *quick])
    assert max(at[address] for address in quick) < 2.0
    assert passed_seconds < 6.0
    told = [result for result in results if result.status is not Status.UNKNOWN]
    assert len(told) > len(quick)
    assert not complaints(told)
    assert {result.reason for result in results if result.status is Status.UNKNOWN} == {Reason.TIMEOUT}
    assert all(result.is_transient for result in results if result.status is Status.UNKNOWN)


async def test_a_provider_that_accepts_and_bounces_later_is_known_by_its_mail_host() -> None:
    """It refuses what no person would be called, the random recipient too: only a table tells what its 250 is worth."""
    script = Script(unknown=TAKEN, strange="554 delivery error: dd This user doesn't have an account")
    provider = mail("bounceslater", "Accepts what looks like a name, and bounces later.", script)
    named = [f"{local}@bounceslater.{ZONE}" for local in ("alice", "nobody", "no-body")]
    strange = [f"{local}@bounceslater.{ZONE}" for local in ("qzx81", "former.colleague7")]
    async with Lab(catalogue=(provider,)) as lab:
        config = replace(config_for(lab), accept_then_bounce=(f"bounceslater.mx.{ZONE}",))
        engine = Engine(config)
        results = {result.input: result for result in await checked(engine, [*named, *strange])}
        await engine.aclose()

    assert {(results[address].status, results[address].reason) for address in named} == {ACCEPT_ALL}
    assert {(results[address].status, results[address].reason) for address in strange} == {NO_SUCH_USER}


async def test_the_whole_catalogue_at_a_round_trip_of_40_ms_tells_no_living_mailbox_as_gone(tmp_path: Path) -> None:
    path = tmp_path / "lab.log"
    addresses = [address for domain in catalogue.CATALOGUE if not domain.is_slow for address in people(domain.name, 12)]
    async with (
        Lab(delay_seconds=0.04, catalogue=catalogue.hastened(0.2), log_path=path) as lab,
        engine_for(lab) as engine,
    ):
        results = await settled(engine, addresses)

        assert lab.log.open_max <= config_for(lab).concurrency
    assert not living_told_as_gone(results)
    assert not (wrong := complaints(results)), "\n".join(wrong)
    log = log_of_commands.read(path)
    assert not log_of_commands.malformed(log)
    assert log_of_commands.refusals_max(log) <= 9
    assert max(log_of_commands.open_max(log).values()) <= 2


async def test_two_lists_at_the_same_time_share_the_limits_of_a_host() -> None:
    async with hasty_lab() as lab, engine_for(lab) as engine:
        lists = [[address.replace("+", f"+{n}-") for address in people("twoatatime", 30)] for n in range(3)]
        found = await asyncio.gather(*(settled(engine, each) for each in lists))

        assert lab.log.open_connections_max[f"twoatatime.mx.{ZONE}"] <= 2
    assert not complaints(result for each in found for result in each)
