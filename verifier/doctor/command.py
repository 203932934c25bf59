"""Runs the doctor and prints what it found."""

import asyncio
import shutil
import sys
from collections.abc import Sequence
from typing import TextIO

import uvloop

from verifier.doctor import report
from verifier.doctor.checks import Doctor
from verifier.doctor.report import Level, Line
from verifier.engine.config import EngineConfig
from verifier.engine.resolver import Resolver

WELL_KNOWN = ("gmail-smtp-in.l.google.com", "outlook-com.olc.protection.outlook.com", "mta5.am0.yahoodns.net")
"""Mail hosts of large providers: greeted and left again, nobody is asked about."""


def run(config: EngineConfig, hosts: Sequence[str], *, as_json: bool, out: TextIO = sys.stdout) -> int:
    """Examine this machine; return 0, or 1 where something fails."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        lines = runner.run(examine(config, hosts or WELL_KNOWN))
    if as_json:
        out.write(report.as_json(lines))
    else:
        out.write(report.as_text(lines, with_colour=out.isatty(), width=shutil.get_terminal_size((100, 24)).columns))
    return 1 if report.worst(lines) is Level.FAIL else 0


async def examine(config: EngineConfig, hosts: Sequence[str]) -> list[Line]:
    """Return the doctor's lines."""
    resolver = Resolver(config)
    try:
        return await Doctor(config, resolver, tuple(hosts)).examine()
    finally:
        await resolver.aclose()
