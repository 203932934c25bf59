"""An administrator, and clients with keys."""

from collections.abc import Awaitable, Callable

import httpx
import pytest

from db.models import Account, ApiKeyScope, UserRole
from db.session import Database
from resolvers.context import Parts
from tests import factories
from tests.client import Client
from tests.conftest import token

WithKey = Callable[..., Awaitable[Client]]


@pytest.fixture
async def chief(db: Database) -> Account:
    return await factories.account(db, email="chief@example.com", role=UserRole.ADMIN, balance=0)


@pytest.fixture
def admin(http: httpx.AsyncClient, parts: Parts, chief: Account) -> Client:
    """GraphQL as an administrator."""
    return Client(http, token(parts, chief))


@pytest.fixture
def with_key(http: httpx.AsyncClient, parts: Parts, account: Account) -> WithKey:
    """Make GraphQL as a key of `account` with these scopes."""

    async def make(*scopes: ApiKeyScope) -> Client:
        _, secret = await factories.key(parts, account, *scopes)
        return Client(http, secret)

    return make
