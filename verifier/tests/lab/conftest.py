"""A lab of its own for every test that asks for one."""

from collections.abc import AsyncIterator

import pytest_asyncio

from verifier.lab import Lab


@pytest_asyncio.fixture
async def lab() -> AsyncIterator[Lab]:
    """A running lab on free ports, without a round trip."""
    async with Lab() as running:
        yield running
