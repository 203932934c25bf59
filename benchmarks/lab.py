"""The lab as a process of its own, `python -m benchmarks.lab`; tells its counters when asked on standard input."""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvloop

from benchmarks import workload
from verifier.lab import Lab
from verifier.lab.catalogue import CATALOGUE

ROOT = Path(__file__).resolve().parent.parent


class LabProcess:
    """A running lab, from outside."""

    def __init__(self, process: asyncio.subprocess.Process, zone: str) -> None:
        self._process = process
        self.zone = zone
        """For VERIFIER_ZONES."""

    async def reset(self) -> None:
        """Begin counting anew."""
        await self.figures()

    async def figures(self) -> dict[str, Any]:
        """Return what was counted since the last time."""
        if not (self._process.stdin and self._process.stdout):
            raise RuntimeError("the lab was started without pipes")
        self._process.stdin.write(b"\n")
        await self._process.stdin.drain()
        counted: dict[str, Any] = json.loads(await self._process.stdout.readline())
        return counted


@asynccontextmanager
async def running(
    *, domains: int, hosts: int, delay_ms: int, ports: Sequence[int] = (0, 0)
) -> AsyncIterator[LabProcess]:
    """Run the lab until the block ends; its ports are those of DNS and SMTP, 0 picks a free one.

    No domains at all: the sandbox, with every behaviour that the lab has.
    """
    command = [sys.executable, "-m", "benchmarks.lab", *map(str, (domains, hosts, delay_ms, *ports))]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        if not process.stdout or not (line := await process.stdout.readline()):
            sys.exit("the lab did not start")
        yield LabProcess(process, json.loads(line)["zone"])
    finally:
        if process.stdin:
            process.stdin.close()
        await process.wait()


async def serve(domains: int, hosts: int, delay_ms: int, dns_port: int, smtp_port: int) -> None:
    """Serve until standard input ends; every line of it is answered with the counters, which begin anew."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    catalogue = workload.catalogue(domains, hosts) if domains else CATALOGUE
    async with Lab(dns_port, smtp_port, delay_ms / 1000, catalogue=catalogue) as lab:
        print(json.dumps({"zone": lab.zone_setting}), flush=True)
        while await reader.readline():
            log = lab.log
            print(
                json.dumps(
                    {
                        "connections": log.connections.total(),
                        "open_max": log.open_max,
                        "open_max_a_host": max(log.open_connections_max.values(), default=0),
                        "refusals_max": max(log.refusals_max.values(), default=0),
                        "recipients": log.verbs("RCPT"),
                        "data": log.verbs("DATA"),
                        "questions": log.questions.total(),
                    }
                ),
                flush=True,
            )
            log.reset()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("domains", "hosts", "delay_ms", "dns_port", "smtp_port"):
        parser.add_argument(name, type=int)
    uvloop.run(serve(**vars(parser.parse_args())))
