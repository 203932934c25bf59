"""Engines for the lab, and what is asked of them until everything is settled."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from verifier.engine.check import Engine
from verifier.engine.config import Budgets, EngineConfig, Nameserver, Zone
from verifier.engine.evidence import Result, Status
from verifier.lab import Lab, catalogue
from verifier.lab.domain import DNS_FAILURE, NO_CONNECTION, TIMEOUT, ZONE
from verifier.lab.expectation import expected, is_right

HELO = "client.example.org"
MAIL_FROM = f"probe@{HELO}"
HASTE = 0.2
"""The catalogue's waits are a fifth of those of the sandbox."""
RETRY_SECONDS = (0.35, 0.7, 0.7, 0.7, 0.7)
BUDGET_SECONDS = 20.0
BUDGETS = Budgets(dns_try_seconds=1.5, dns_seconds=3.0, connect_seconds=1.0, command_seconds=1.5)
"""The sandbox's silence is waited for less long than the world's, but longer than a busy machine may take."""
_SILENT = {DNS_FAILURE, NO_CONNECTION, TIMEOUT}
"""Who never answers is asked once: nothing but waiting comes of more."""
_TRIES_MAX = 2
"""How often those are asked who are rightly told as unknown."""


def config_for(lab: Lab, budgets: Budgets = BUDGETS) -> EngineConfig:
    """What an engine is told so that it finds the sandbox."""
    zone = Zone(ZONE, Nameserver("127.0.0.1", lab.dns_port), lab.smtp_port)
    return EngineConfig(helo=HELO, mail_from=MAIL_FROM, zones=(zone,), budgets=budgets)


@asynccontextmanager
async def hasty_lab(log_path: Path | None = None) -> AsyncIterator[Lab]:
    """Run the whole catalogue, with shorter waits."""
    async with Lab(catalogue=catalogue.hastened(HASTE), log_path=log_path) as lab:
        yield lab


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
    """Check addresses, and again those that asked for it, after the sandbox's waits; the silent ones meanwhile."""
    asked = list(addresses)
    silent = [address for address in asked if expected(address) in _SILENT]
    others = [address for address in asked if expected(address) not in _SILENT]
    found = await asyncio.gather(checked(engine, silent), _settled_in_rounds(engine, others))
    return [result for results in found for result in results]


async def _settled_in_rounds(engine: Engine, addresses: list[str]) -> list[Result]:
    pending, done = addresses, []
    for tries, wait_seconds in enumerate((*RETRY_SECONDS, None), 1):
        results = await checked(engine, pending)
        again = {result.input for result in results if wait_seconds and _is_asked_again(result, tries)}
        pending = [address for address in pending if address in again]
        done += [result for result in results if result.input not in again]
        if not pending:
            break
        await asyncio.sleep(wait_seconds or 0)
    return done


def _is_asked_again(result: Result, tries: int) -> bool:
    found, right = (result.status, result.reason), expected(result.input)
    return result.is_transient and (found != right or tries < _TRIES_MAX)


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
