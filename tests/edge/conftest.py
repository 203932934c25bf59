"""A running server for each test."""

from collections.abc import AsyncIterator

import httpx
import pytest

from services import trust
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
    there = url.removesuffix("/graphql")
    async with httpx.AsyncClient(base_url=there, timeout=10, trust_env=False, verify=trust.context()) as made:
        yield made
