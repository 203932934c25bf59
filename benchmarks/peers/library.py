"""Asks our engine, as a library, about the addresses on standard input."""

import json
import sys
import time

import uvloop

from verifier import settings
from verifier.engine.check import Engine

BUDGET_SECONDS = 300.0


async def main() -> None:
    addresses = sys.stdin.read().split()
    engine = Engine(settings.from_environment().engine_config())
    started_at = time.monotonic()
    results = [result async for result in engine.check_many(addresses, budget_seconds=BUDGET_SECONDS)]
    seconds = time.monotonic() - started_at
    await engine.aclose()
    json.dump({"seconds": seconds, "verdicts": {each.input: str(each.status) for each in results}}, sys.stdout)


if __name__ == "__main__":
    uvloop.run(main())
