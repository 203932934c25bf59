"""Measures the engine alone: all addresses together, then one address at a time over connections of their own."""

import asyncio
import csv
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import uvloop

from verifier.engine import syntax
from verifier.engine.check import Engine
from verifier.engine.config import EngineConfig, Nameserver, Zone

ZONE = "mailverdict.test"
LOOPBACK = "127.0.0.1"
BUDGET_SECONDS = 60.0


def addresses_of(path: Path) -> list[str]:
    """Return the well-formed addresses of a csv, each once."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        texts = [row["work_email"] for row in csv.DictReader(file)]
    parsed = [syntax.parse(text) for text in texts]
    return list({address.email: None for address in parsed if isinstance(address, syntax.Address)})


async def together(config: EngineConfig, addresses: list[str]) -> tuple[float, list[str]]:
    """Check all at once, connections shared; gives the seconds and the addresses that want to be asked again."""
    engine = Engine(config)
    started_at = time.monotonic()
    results = [result async for result in engine.check_many(addresses, budget_seconds=BUDGET_SECONDS)]
    passed_seconds = time.monotonic() - started_at
    await engine.aclose()
    return passed_seconds, [result.input for result in results if result.is_transient]


async def one_by_one(config: EngineConfig, addresses: list[str], *, is_forgetful: bool) -> float:
    """Give every address a check and a connection of its own, as many at a time as may be open; gives the seconds.

    A forgetful one asks DNS and the random recipient anew for every address, as common tools do.
    """
    # A tool that opens a connection for every check does not count them for each mail host either.
    config = replace(config, connections_per_address=config.concurrency)
    gate = asyncio.Semaphore(config.concurrency)
    shared = Engine(config)

    async def check(address: str) -> None:
        async with gate:
            engine = Engine(config) if is_forgetful else shared
            await engine.check(address, budget_seconds=BUDGET_SECONDS)
            if is_forgetful:
                await engine.aclose()

    started_at = time.monotonic()
    await asyncio.gather(*map(check, addresses))
    passed_seconds = time.monotonic() - started_at
    await shared.aclose()
    return passed_seconds


async def main(path: Path, dns_port: int, smtp_port: int, concurrency: int) -> None:
    """Print the figures as JSON."""
    zone = Zone(ZONE, Nameserver(LOOPBACK, dns_port), smtp_port)
    helo = "benchmark.example.org"
    config = EngineConfig(helo=helo, mail_from=f"probe@{helo}", zones=(zone,), concurrency=concurrency)
    # The first run finds out who waits (and opens the greylists, if there are any): it is not counted.
    _, waiting = await together(config, addresses := addresses_of(path))
    prompt = [address for address in addresses if address not in set(waiting)]
    grouped_seconds, _ = await together(config, prompt)
    seconds = {
        "grouped": grouped_seconds,
        "single": await one_by_one(config, prompt, is_forgetful=False),
        "forgetful": await one_by_one(config, prompt, is_forgetful=True),
    }
    measured = {
        name: {"addresses": len(prompt), "seconds": passed, "rate": len(prompt) / passed}
        for name, passed in seconds.items()
    }
    sys.stdout.write(json.dumps({"waiting_addresses": len(waiting), **measured}))


if __name__ == "__main__":
    csv_path, dns, smtp, connections = sys.argv[1:]
    uvloop.run(main(Path(csv_path), int(dns), int(smtp), int(connections)))
