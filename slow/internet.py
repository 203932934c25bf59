"""The lab with so many mail hosts and domains: `python -m slow.internet --hosts 40 --domains 200 --ready-file F`."""

import argparse
import asyncio
from pathlib import Path

import uvloop

from verifier import process
from verifier.lab.domain import Domain, Host
from verifier.lab.internet import Lab
from verifier.lab.script import Script


def catalogue(hosts: int, domains: int, script: Script) -> list[Domain]:
    """Return domains d0, d1, … that are spread over mail hosts h0, h1, …, all of which play the same script."""
    served = [Host(f"h{number}", script) for number in range(hosts)]
    return [
        Domain(name=f"d{number}", about="One of many.", hosts=(served[number % hosts],)) for number in range(domains)
    ]


async def run(arguments: argparse.Namespace) -> None:
    """Serve until told to stop."""
    stopping = process.stop_on_signals()
    script = Script(
        greylist_seconds=arguments.greylist_seconds,
        connections_max=arguments.connections_max,
    )
    lab = Lab(
        delay_seconds=arguments.delay_ms / 1000,
        catalogue=catalogue(arguments.hosts, arguments.domains, script),
    )
    async with lab:
        process.write_ready_file(arguments.ready_file, {"zone": lab.zone_setting})
        await stopping.wait()


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=40)
    parser.add_argument("--domains", type=int, default=200)
    parser.add_argument("--delay-ms", type=float, default=0.0)
    parser.add_argument("--greylist-seconds", type=float, default=None)
    parser.add_argument("--connections-max", type=int, default=None)
    parser.add_argument("--ready-file", type=Path, required=True)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
