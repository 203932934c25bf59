"""What the engine's tests share."""

from collections.abc import AsyncIterator

import pytest

from verifier.tests.engine import servers
from verifier.tests.engine.servers import Names


@pytest.fixture
async def names() -> AsyncIterator[Names]:
    """A name server on loopback, empty at first."""
    async with servers.serving_names(Names()) as serving:
        yield serving
