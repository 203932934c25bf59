"""What all requests of a process share."""

import asyncio
from dataclasses import dataclass, field
from typing import cast

from starlette.requests import Request

from verifier.engine.check import Engine
from verifier.settings import Settings
from verifier.store.database import Pool

CHECKS_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Parts:
    """The shared parts: settings, the database, the engine, and how many single checks may run at once."""

    settings: Settings
    pool: Pool
    engine: Engine
    checks: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CHECKS_AT_ONCE))


def of(request: Request) -> Parts:
    """Return the parts of the application that a request came to."""
    return cast("Parts", request.app.state.parts)
