"""What the engine's tests share."""

import ssl
from collections.abc import AsyncIterator

import pytest

from verifier.lab.certificate import server_context
from verifier.tests.engine import servers
from verifier.tests.engine.servers import Names


@pytest.fixture
async def names() -> AsyncIterator[Names]:
    """A name server on loopback, empty at first."""
    async with servers.serving_names(Names()) as serving:
        yield serving


@pytest.fixture(scope="session")
def certificate() -> ssl.SSLContext:
    """A server's TLS context with a certificate of its own making."""
    return server_context("mx.example")
