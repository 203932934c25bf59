"""Measures the verifier beside peers that pip and npm install, on the same lab, in a network of its own."""

import argparse
import asyncio
import fcntl
import json
import os
import platform
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(
    0, str(Path(__file__).resolve().parent.parent)
)  # started by its path, it finds the packages all the same

from benchmarks import lab, machine, workload

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / ".scratch" / "peers"
PYTHON_PEER, NODE_PEER = "py3-validate-email", "deep-email-validator"
OURS, LIBRARY = "verifier check --json", "the engine as a library"
HELO = "benchmark.example.org"
MAIL_FROM = f"probe@{HELO}"
OPEN_MAX = 50
DNS_PORT, SMTP_PORT = 53, 25
IS_INSIDE = "--inside"
SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1


@dataclass(frozen=True, slots=True)
class Contestant:
    """Somebody who is asked about all addresses in one process."""

    name: str
    command: tuple[str, ...]
    version: str
    environment: Mapping[str, str]


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


def setup() -> None:
    """Install the peers into a folder that git does not see; pip and npm find them where they are set up to look."""
    PEERS.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", PEERS / "python"], check=True)
    subprocess.run([PEERS / "python" / "bin" / "python", "-m", "pip", "install", "--quiet", PYTHON_PEER], check=True)
    (PEERS / "node").mkdir(exist_ok=True)
    options = ("--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(PEERS / "node"))
    subprocess.run([_program("npm"), "install", *options, NODE_PEER], check=True)
    for contestant in contestants():
        print(f"{contestant.name} {contestant.version}")


def contestants() -> list[Contestant]:
    """Everybody who takes part, ourselves last. Exits where the peers are not installed."""
    python, node = PEERS / "python" / "bin" / "python", PEERS / "node"
    package = node / "node_modules" / NODE_PEER / "package.json"
    if not (python.exists() and package.exists()):
        sys.exit("the peers are missing: run `benchmarks/verifier.py setup` first")
    asked = (str(python), "-c", f"import importlib.metadata as m; print(m.version('{PYTHON_PEER}'))")
    python_version = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
    ours = {
        "VERIFIER_ALLOW_PRIVATE_NETWORKS": "127.0.0.0/8",
        "VERIFIER_HELO": HELO,
        "VERIFIER_MAIL_FROM": MAIL_FROM,
        "VERIFIER_CONCURRENCY": str(OPEN_MAX),
    }
    peers = ROOT / "benchmarks" / "peers"
    return [
        Contestant(
            PYTHON_PEER,
            (str(python), str(peers / "py3_validate_email.py"), str(OPEN_MAX), HELO, MAIL_FROM),
            python_version,
            {},
        ),
        Contestant(
            NODE_PEER,
            (_program("node"), str(peers / "deep_email_validator.mjs"), str(node), str(OPEN_MAX), MAIL_FROM),
            json.loads(package.read_text(encoding="utf-8"))["version"],
            # Its names are looked up by as many threads as it asks addresses at a time, not by four.
            {"UV_THREADPOOL_SIZE": str(OPEN_MAX)},
        ),
        Contestant(LIBRARY, (sys.executable, "-m", "benchmarks.peers.library"), "this tree", ours),
        Contestant(OURS, (sys.executable, "-m", "verifier", "check", "--json"), "this tree", ours),
    ]


async def run(contestant: Contestant, addresses: Sequence[str], network: lab.LabProcess) -> Run:
    """Have a contestant check all addresses; exits where it fails."""
    await network.reset()
    started_at = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *contestant.command,
        cwd=ROOT,
        env={**os.environ, **contestant.environment},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate("\n".join(addresses).encode() + b"\n")
    seconds = time.monotonic() - started_at
    if process.returncode:
        sys.exit(f"{contestant.name} failed")
    inner_seconds = None
    if contestant.name == OURS:
        results = [json.loads(line) for line in output.splitlines()]
        verdicts = {result["input"]: result["status"] for result in results}
    else:
        told = json.loads(output)
        verdicts, inner_seconds = told["verdicts"], told["seconds"]
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
    everybody, addresses = contestants(), workload.addresses(total, domains)
    runs: dict[str, list[Run]] = {each.name: [] for each in everybody}
    async with lab.running(domains=domains, hosts=domains, delay_ms=delay_ms, ports=(DNS_PORT, SMTP_PORT)) as network:
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
    ours, peers = runs[OURS], [runs[PYTHON_PEER], runs[NODE_PEER]]
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
        _bar("connections at a time", str(opened), f"at most {OPEN_MAX}", is_met=opened <= OPEN_MAX),
        _bar("living mailboxes told as gone", str(gone), "none", is_met=gone == 0),
    ]


async def curves(domains: int, delays_ms: Sequence[int], totals: Sequence[int], rounds: int) -> None:
    """Print how the cost grows with the round trip and with the number of addresses, for us and for the peers."""
    everybody = [each for each in contestants() if each.name != LIBRARY]
    print(f"{domains} domains of one mail host each, every second address unknown, {OPEN_MAX} at a time;")
    print(f"seconds of the whole process, median of {rounds} (addresses/s; connections; DNS queries)\n")
    print(f"{'round trip':>10} {'addresses':>9}  " + "".join(f"{each.name:<34}" for each in everybody))
    for delay_ms in delays_ms:
        ports = (DNS_PORT, SMTP_PORT)
        async with lab.running(domains=domains, hosts=domains, delay_ms=delay_ms, ports=ports) as network:
            for total in totals:
                addresses = workload.addresses(total, domains)
                cells = []
                for each in everybody:
                    is_peer = each.name != OURS
                    runs = [await run(each, addresses, network) for _ in range(1 if is_peer else rounds)]
                    seconds = statistics.median(done.seconds for done in runs)
                    counted = runs[0].counted
                    cells.append(
                        f"{seconds:.2f} s ({total / seconds:.0f}/s; {counted['connections']}; {counted['questions']})"
                    )
                print(f"{delay_ms:>7} ms {total:>9}  " + "".join(f"{cell:<34}" for cell in cells), flush=True)


def _told(contestant: Contestant, runs: Sequence[Run]) -> str:
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


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        sys.exit(f"{name} is needed")
    return path


def _enter_own_network() -> None:
    """Start this program again in a network of its own: nothing but loopback, where we may bind port 25 and 53.

    The peers ask the system's resolver and port 25 and cannot be told otherwise. No root is needed (user namespaces).
    """
    unshare = _program("unshare")
    sys.stdout.flush()
    os.execv(unshare, [unshare, "-rnm", sys.executable, __file__, *sys.argv[1:], IS_INSIDE])  # noqa: S606 - we become it, so that signals reach it


def _settle_in() -> None:
    """Bring loopback up and put a resolv.conf in place that names the lab; both end with this process."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh", b"lo", IFF_UP))
    with tempfile.NamedTemporaryFile("w", suffix=".resolv.conf") as resolv_conf:
        resolv_conf.write("nameserver 127.0.0.1\n")
        resolv_conf.flush()
        subprocess.run([_program("mount"), "--bind", resolv_conf.name, "/etc/resolv.conf"], check=True)


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", choices=("compare", "curves", "setup"), default="compare")
    parser.add_argument("--addresses", type=int, nargs="+", default=None, help="how many (2000; curves: 500 2000 8000)")
    parser.add_argument("--domains", type=int, default=40, help="domains, and mail hosts (40)")
    parser.add_argument("--delay-ms", type=int, nargs="+", default=None, help="round trip (40; curves: 0 20 40 100)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each (3)")
    parser.add_argument(IS_INSIDE, action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.what == "setup":
        setup()
        return
    if not given.inside:
        contestants()
        _enter_own_network()
    _settle_in()
    print("machine   " + machine.described())
    print("versions  " + ", ".join([f"Python {platform.python_version()}", *_versions()]) + "\n")
    if given.what == "compare":
        total, delay_ms = (given.addresses or [2000])[0], (given.delay_ms or [40])[0]
        asyncio.run(compare(total, given.domains, delay_ms, given.rounds))
    else:
        totals, delays = given.addresses or [500, 2000, 8000], given.delay_ms or [0, 20, 40, 100]
        asyncio.run(curves(given.domains, delays, totals, given.rounds))


def _versions() -> list[str]:
    node = subprocess.run([_program("node"), "--version"], check=True, capture_output=True, text=True).stdout.strip()
    return [f"Node {node}", *(f"{name} {version(name)}" for name in ("dnspython", "uvloop"))]


if __name__ == "__main__":
    main()
