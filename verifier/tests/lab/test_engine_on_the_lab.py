"""The engine against every behaviour of the catalogue: the verdicts are those of the oracle."""

import asyncio
from collections.abc import Iterable

from verifier.engine.check import Engine
from verifier.engine.config import Budgets, EngineConfig, Nameserver, Zone
from verifier.engine.evidence import Result, Status
from verifier.lab import Lab
from verifier.lab.catalogue import CATALOGUE
from verifier.lab.domain import ZONE
from verifier.lab.expectation import expected

RETRY_SECONDS = (1.0, 1.0)
BUDGET_SECONDS = 20.0
LOCALS = (
    "alice",
    "nobody",
    "bob",
    "no-such-user",
    "postmaster",
    "info",
    "maria.schmidt",
    "jan.novak",
    "qzx81",
    "maximilianus",
    "tom",
    "Alice",
    "alice+news",
    "jürgen",
)
"""Enough for several transactions, with more unknown users than a patient host forgives."""

IN_BULK = [
    f"{local}@{domain.full_name}"
    for domain in CATALOGUE
    for local in (LOCALS[:2] if domain.is_slow else LOCALS)
    # Whether a block or the lack of SMTPUTF8 is met first depends on who else is asked about.
    if local.isascii() or domain.known.status is not Status.UNKNOWN
]


def engine_for(lab: Lab) -> Engine:
    """An engine that finds the sandbox, and waits for its silence less long than for the world's."""
    zone = Zone(ZONE, Nameserver("127.0.0.1", lab.dns_port), lab.smtp_port)
    return Engine(
        EngineConfig(
            helo="client.example.org",
            mail_from="probe@client.example.org",
            zones=(zone,),
            budgets=Budgets(dns_try_seconds=0.3, dns_seconds=0.9, command_seconds=1.0),
        )
    )


async def settled(engine: Engine, addresses: Iterable[str]) -> list[Result]:
    """Check addresses, and again those that asked for it, after the sandbox's waits."""
    pending, done = list(addresses), []
    for wait_seconds in (*RETRY_SECONDS, None):
        results = [result async for result in engine.check_many(pending, budget_seconds=BUDGET_SECONDS)]
        assert sorted(result.input for result in results) == sorted(pending)
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
        if (result.status, result.reason) != expected(result.input)
    ]


async def test_every_behaviour_in_bulk_is_judged_as_the_oracle_says() -> None:
    async with Lab() as lab:
        engine = engine_for(lab)
        try:
            results = await settled(engine, IN_BULK)
        finally:
            await engine.aclose()

        assert len(results) == len(IN_BULK)
        assert not (wrong := complaints(results)), "\n".join(wrong)
        assert not [
            result.input
            for result in results
            if result.status is Status.NOT_EXISTS and expected(result.input).status is Status.EXISTS
        ]
        assert lab.log.verbs("DATA") == 0
        assert lab.log.verbs("QUIT") > 0
        assert max(lab.log.open_connections_max.values()) <= 2


async def test_every_behaviour_is_judged_for_a_lone_address_too() -> None:
    async with Lab() as lab:

        async def alone(address: str) -> list[Result]:
            engine = engine_for(lab)
            try:
                return await settled(engine, [address])
            finally:
                await engine.aclose()

        addresses = [f"{local}@{domain.full_name}" for domain in CATALOGUE for local in ("alice", "nobody")]
        results = await asyncio.gather(*map(alone, addresses))

    assert not (wrong := complaints(result for found in results for result in found)), "\n".join(wrong)
