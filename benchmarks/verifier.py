"""Measures the verifier beside peers that pip and npm install, on the same lab, in a network of its own."""

import argparse
import asyncio
import platform
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(
    0, str(Path(__file__).resolve().parent.parent)
)  # started by its path, it finds the packages all the same

from benchmarks import contestants, lab, machine, own_network, workload
from verifier.engine.evidence import Status
from verifier.lab.catalogue import CATALOGUE
from verifier.lab.expectation import expected

OPEN_MAX = contestants.OPEN_MAX
PORTS = (own_network.DNS_PORT, own_network.SMTP_PORT)


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one contestant; seconds are those of the whole process."""

    addresses: int
    seconds: float
    inner_seconds: float | None
    """Without the start of the process, where it can be told."""
    right: int
    living_told_as_gone: int
    counted: Mapping[str, Any]

    @property
    def rate(self) -> float:
        """Addresses a second."""
        return self.addresses / self.seconds


async def run(contestant: contestants.Contestant, addresses: Sequence[str], network: lab.LabProcess) -> Run:
    """Measure a contestant on all addresses."""
    seconds, inner_seconds, verdicts = await contestants.asked(contestant, addresses, network)
    await asyncio.sleep(0.1)  # the last connections of a peer that says no goodbye
    oracle = {address: workload.status(address) for address in addresses}
    return Run(
        addresses=len(addresses),
        seconds=seconds,
        inner_seconds=inner_seconds,
        right=sum(verdicts.get(address) == status for address, status in oracle.items()),
        living_told_as_gone=sum(
            status == "exists" and verdicts.get(address) == "not_exists" for address, status in oracle.items()
        ),
        counted=await network.figures(),
    )


async def compare(total: int, domains: int, delay_ms: int, rounds: int) -> None:
    """Run everybody in turns, as often as there are rounds, and print the table and the bars."""
    everybody, addresses = contestants.everybody(), workload.addresses(total, domains)
    runs: dict[str, list[Run]] = {each.name: [] for each in everybody}
    async with lab.running(domains=domains, hosts=domains, delay_ms=delay_ms, ports=PORTS) as network:
        for _ in range(rounds):
            for each in everybody:
                runs[each.name].append(await run(each, addresses, network))
    print(f"{total} addresses, {domains} domains of one mail host each, every second one unknown,")
    print(f"round trip {delay_ms} ms, {OPEN_MAX} at a time; medians of {rounds} runs in turns (range of addresses/s)\n")
    print(_row("", "addresses/s", "range", "no start", "right", "gone*", "connections", "open", "refused", "DNS"))
    for each in everybody:
        print(_told(each, runs[each.name]))
    print("\nno start: addresses/s without the start of the process; gone*: living mailboxes told as gone; open: the")
    print("most connections at a time; refused: the most refused recipients in one connection; DNS: queries\n")
    for line in bars(runs):
        print(line)


def bars(runs: Mapping[str, Sequence[Run]]) -> list[str]:
    """Hold our command against the bars."""
    ours, peers = runs[contestants.OURS], [runs[contestants.PYTHON_PEER], runs[contestants.NODE_PEER]]
    fastest = max(_rate(each) for each in peers)
    connections = min(_counted(each, "connections") for each in peers) / _counted(ours, "connections")
    questions = min(_counted(each, "questions") for each in peers) / _counted(ours, "questions")
    refused = max(each.counted["refusals_max"] for each in ours)
    opened = max(each.counted["open_max"] for each in ours)
    speed = _rate(ours) / fastest
    gone = sum(each.living_told_as_gone for each in ours)
    return [
        _bar("addresses/s of the command, times the fastest peer's", f"{speed:.1f}", "at least 5", is_met=speed >= 5),
        _bar("times fewer connections", f"{connections:.1f}", "at least 8", is_met=connections >= 8),
        _bar("times fewer DNS queries", f"{questions:.1f}", "at least 20", is_met=questions >= 20),
        _bar("refused recipients in a connection", str(refused), "at most 9", is_met=refused <= 9),
        _bar(
            "connections at a time",
            str(opened),
            f"at most {OPEN_MAX}",
            is_met=opened <= OPEN_MAX,
        ),
        _bar("living mailboxes told as gone", str(gone), "none", is_met=gone == 0),
    ]


async def verdicts() -> None:
    """Ask everybody about two addresses of every behaviour of the lab, and tell what they made of it.

    A verifier that is vague is right as far as it goes; one that says the opposite, or is sure of what nobody can
    know, is not. Ours waits for greylists as the peers do: not at all.
    """
    everybody = [each for each in contestants.everybody() if each.name != contestants.LIBRARY]
    addresses = [f"{local}@{domain.full_name}" for domain in CATALOGUE for local in ("alice", "nobody")]
    print(f"{len(CATALOGUE)} behaviours of the lab, two addresses each, every address asked about once\n")
    print(_row("", "right", "vague", "wrong", "gone*", "there*", "seconds"))
    for each in everybody:
        # A lab for each of them: nobody is to find a greylist that another one has opened.
        async with lab.running(domains=0, hosts=0, delay_ms=0, ports=PORTS) as network:
            seconds, _, found = await contestants.asked(each, addresses, network)
        kinds = Counter(_judged(expected(address).status, found.get(address)) for address in addresses)
        gone = [address for address in addresses if expected(address).status in _GONE]
        wrongly_gone = sum(found.get(address) == "not_exists" for address in addresses if address not in gone)
        wrongly_there = sum(found.get(address) == "exists" for address in gone)
        told = [kinds["right"], kinds["vague"], kinds["wrong"], wrongly_gone, wrongly_there]
        print(_row(each.name, *map(str, told), f"{seconds:.1f}"), flush=True)
    print("\ngone*: told as gone although it lives or nobody can know; there*: told as living although it is gone")


_GONE = {Status.NOT_EXISTS, Status.INVALID_SYNTAX}


def _judged(right: Status, told: str | None) -> str:
    """Hold what was told against what is right; a plain library's yes is right for a catch-all domain too."""
    if told == right or (right is Status.CATCHALL and told == "exists"):
        return "right"
    return "vague" if told in {None, "unknown"} else "wrong"


async def curves(domains: int, delays_ms: Sequence[int], totals: Sequence[int], rounds: int) -> None:
    """Print how the cost grows with the round trip and with the number of addresses, for us and for the peers."""
    everybody = [each for each in contestants.everybody() if each.name != contestants.LIBRARY]
    print(f"{domains} domains of one mail host each, every second address unknown, {OPEN_MAX} at a time;")
    print(f"seconds of the whole process, median of {rounds} (addresses/s; connections; DNS queries)\n")
    print(f"{'round trip':>10} {'addresses':>9}  " + "".join(f"{each.name:<34}" for each in everybody))
    for delay_ms in delays_ms:
        ports = PORTS
        async with lab.running(domains=domains, hosts=domains, delay_ms=delay_ms, ports=ports) as network:
            for total in totals:
                addresses = workload.addresses(total, domains)
                cells = []
                for each in everybody:
                    is_peer = each.name != contestants.OURS
                    runs = [await run(each, addresses, network) for _ in range(1 if is_peer else rounds)]
                    seconds = statistics.median(done.seconds for done in runs)
                    counted = runs[0].counted
                    cells.append(
                        f"{seconds:.2f} s ({total / seconds:.0f}/s; {counted['connections']}; {counted['questions']})"
                    )
                print(f"{delay_ms:>7} ms {total:>9}  " + "".join(f"{cell:<34}" for cell in cells), flush=True)


def _told(contestant: contestants.Contestant, runs: Sequence[Run]) -> str:
    inner = [each.inner_seconds for each in runs if each.inner_seconds]
    rates = [each.rate for each in runs]
    return _row(
        f"{contestant.name} {contestant.version}" if contestant.version[0].isdigit() else contestant.name,
        f"{statistics.median(rates):.0f}",
        f"{min(rates):.0f}-{max(rates):.0f}",
        f"{runs[0].addresses / statistics.median(inner):.0f}" if inner else "",
        f"{100 * min(each.right for each in runs) / runs[0].addresses:.1f} %",
        str(max(each.living_told_as_gone for each in runs)),
        f"{_counted(runs, 'connections'):.0f}",
        str(max(each.counted["open_max"] for each in runs)),
        str(max(each.counted["refusals_max"] for each in runs)),
        f"{_counted(runs, 'questions'):.0f}",
    )


def _row(name: str, *cells: str) -> str:
    return f"{name:<32}" + "".join(f"{cell:>12}" for cell in cells)


def _bar(what: str, is_: str, should: str, *, is_met: bool) -> str:
    return f"{'met   ' if is_met else 'MISSED'}  {what:<56}{is_:>8}   {should}"


def _rate(runs: Sequence[Run]) -> float:
    return statistics.median(each.rate for each in runs)


def _counted(runs: Sequence[Run], name: str) -> float:
    return statistics.median(float(each.counted[name]) for each in runs)


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", choices=("compare", "curves", "verdicts", "setup"), default="compare")
    parser.add_argument("--addresses", type=int, nargs="+", default=None, help="how many (2000; curves: 500 2000 8000)")
    parser.add_argument("--domains", type=int, default=40, help="domains, and mail hosts (40)")
    parser.add_argument("--delay-ms", type=int, nargs="+", default=None, help="round trip (40; curves: 0 20 40 100)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each (3)")
    parser.add_argument(own_network.IS_INSIDE, action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.what == "setup":
        contestants.setup()
        return
    if not given.inside:
        contestants.everybody()
        own_network.enter()
    own_network.settle_in()
    print("machine   " + machine.described())
    print("versions  " + ", ".join([f"Python {platform.python_version()}", *_versions()]) + "\n")
    if given.what == "compare":
        total, delay_ms = (given.addresses or [2000])[0], (given.delay_ms or [40])[0]
        asyncio.run(compare(total, given.domains, delay_ms, given.rounds))
    elif given.what == "verdicts":
        asyncio.run(verdicts())
    else:
        totals, delays = given.addresses or [500, 2000, 8000], given.delay_ms or [0, 20, 40, 100]
        asyncio.run(curves(given.domains, delays, totals, given.rounds))


def _versions() -> list[str]:
    node = subprocess.run(
        [contestants.program("node"), "--version"], check=True, capture_output=True, text=True
    ).stdout.strip()
    return [f"Node {node}", *(f"{name} {version(name)}" for name in ("dnspython", "uvloop"))]


if __name__ == "__main__":
    main()
