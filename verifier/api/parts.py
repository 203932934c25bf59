"""What all requests of a process share."""

import asyncio
from dataclasses import dataclass, field
from typing import cast

from starlette.requests import Request

from verifier.api.rates import Rates
from verifier.api.tokens import Tokens
from verifier.engine.check import Engine
from verifier.settings import Settings
from verifier.store.database import Pool

CHECKS_AT_ONCE = 100
FILES_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Parts:
    """The shared parts: settings, the database, the engine, identity, and bounds for what costs much."""

    settings: Settings
    pool: Pool
    engine: Engine
    tokens: Tokens
    rates: Rates = field(default_factory=Rates)
    checks: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CHECKS_AT_ONCE))
    files: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(FILES_AT_ONCE))


def of(request: Request) -> Parts:
    """Return the parts of the application that a request came to."""
    return cast("Parts", request.app.state.parts)
