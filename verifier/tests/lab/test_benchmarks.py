"""The parts that the benchmarks stand on: their addresses, their oracle, and their lab in a process of its own."""

from collections import Counter

from benchmarks import lab, workload
from verifier import settings
from verifier.engine.check import Engine
from verifier.tests.lab.engines import HELO, checked


def test_the_addresses_are_different_evenly_spread_and_half_of_them_unknown() -> None:
    addresses = workload.addresses(2000, 40)

    assert len(set(addresses)) == 2000
    assert set(Counter(address.partition("@")[2] for address in addresses).values()) == {50}
    assert Counter(map(workload.status, addresses)) == {"exists": 1000, "not_exists": 1000}


def test_domains_share_their_mail_hosts_evenly() -> None:
    domains = workload.catalogue(200, 40)

    assert set(Counter(domain.hosts[0].name for domain in domains).values()) == {5}


async def test_the_lab_in_its_own_process_answers_and_counts() -> None:
    addresses = workload.addresses(60, 4)
    async with lab.running(domains=4, hosts=2, delay_ms=1) as network:
        config = settings.Settings.from_env({"VERIFIER_ZONES": network.zone, "VERIFIER_HELO": HELO}).engine_config()
        engine = Engine(config)
        results = await checked(engine, addresses)
        await engine.aclose()
        counted = await network.figures()
        afresh = await network.figures()

    assert {result.input: str(result.status) for result in results} == {
        address: workload.status(address) for address in addresses
    }
    assert counted["recipients"] >= 60 + 4
    assert 4 <= counted["connections"] <= 20
    assert counted["refusals_max"] <= 9
    assert counted["open_max_a_host"] <= 2
    assert counted["questions"] == 4 + 2 * 2
    assert counted["data"] == 0
    assert (afresh["connections"], afresh["recipients"], afresh["questions"]) == (0, 0, 0)
