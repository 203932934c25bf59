"""A running server for each test."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.edge import small


@pytest.fixture
def guests() -> small.Guests:
    return small.Guests()


@pytest.fixture
async def url(guests: small.Guests) -> AsyncIterator[str]:
    async with small.serving(small.application(guests)) as found:
        yield found


@pytest.fixture
async def client(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=url.removesuffix("/graphql"), timeout=10, trust_env=False) as made:
        yield made
