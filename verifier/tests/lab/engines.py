"""Engines for the lab, and what is asked of them until everything is settled."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from verifier.engine.check import Engine
from verifier.engine.config import Budgets, EngineConfig, Nameserver, Zone
from verifier.engine.evidence import Result, Status
from verifier.lab import Lab
from verifier.lab.domain import ZONE
from verifier.lab.expectation import expected, is_right

HELO = "client.example.org"
MAIL_FROM = f"probe@{HELO}"
RETRY_SECONDS = (1.0, 2.1)
BUDGET_SECONDS = 20.0
BUDGETS = Budgets(dns_try_seconds=0.3, dns_seconds=0.9, connect_seconds=0.5, command_seconds=1.0)
"""The sandbox's silence is waited for less long than the world's."""


def config_for(lab: Lab, budgets: Budgets = BUDGETS) -> EngineConfig:
    """What an engine is told so that it finds the sandbox."""
    zone = Zone(ZONE, Nameserver("127.0.0.1", lab.dns_port), lab.smtp_port)
    return EngineConfig(helo=HELO, mail_from=MAIL_FROM, zones=(zone,), budgets=budgets)


@asynccontextmanager
async def engine_for(lab: Lab, budgets: Budgets = BUDGETS) -> AsyncIterator[Engine]:
    engine = Engine(config_for(lab, budgets))
    try:
        yield engine
    finally:
        await engine.aclose()


async def checked(engine: Engine, addresses: Iterable[str], budget_seconds: float = BUDGET_SECONDS) -> list[Result]:
    """Check addresses once; exactly one result comes back for each."""
    asked = list(addresses)
    results = [result async for result in engine.check_many(asked, budget_seconds=budget_seconds)]
    assert sorted(result.input for result in results) == sorted(asked)
    return results


async def settled(engine: Engine, addresses: Iterable[str]) -> list[Result]:
    """Check addresses, and again those that asked for it, after the sandbox's waits."""
    pending, done = list(addresses), []
    for wait_seconds in (*RETRY_SECONDS, None):
        results = await checked(engine, pending)
        pending = [result.input for result in results if result.is_transient and wait_seconds]
        done += [result for result in results if not (result.is_transient and wait_seconds)]
        if not pending:
            break
        await asyncio.sleep(wait_seconds or 0)
    return done


def complaints(results: Iterable[Result]) -> list[str]:
    """What is not as the oracle says."""
    return [
        f"{result.input}: {result.status}/{result.reason}, not {'/'.join(expected(result.input))}; "
        + "; ".join(f"{seen.stage} {seen.code or ''} {seen.text or ''}" for seen in result.evidence)
        for result in sorted(results, key=lambda result: result.input.rpartition("@")[2])
        if not is_right(result.input, result.status, result.reason)
    ]


def living_told_as_gone(results: Iterable[Result]) -> list[str]:
    """The one fault that must never happen."""
    return [
        result.input
        for result in results
        if result.status is Status.NOT_EXISTS and expected(result.input).status is not Status.NOT_EXISTS
    ]
