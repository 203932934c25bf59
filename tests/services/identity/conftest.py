"""What holds for every adapter behind the identity port is tried with each; `identity` is the one that is tried."""

from collections.abc import AsyncIterator

import pytest

from db.session import Database
from services.authentication import Credentials
from services.identity import supabase
from services.identity.port import Identity
from tests.services.identity.adapters import Adapters, at_supabase, locally
from tests.services.postbox import Postbox


@pytest.fixture
def postbox() -> Postbox:
    return Postbox()


@pytest.fixture(params=["local", "supabase"])
async def adapters(
    request: pytest.FixtureRequest,
    db: Database,
    provider_db: Database,
    postbox: Postbox,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Adapters]:
    """What every test of this folder is run with, unless it is for `ours` alone."""
    monkeypatch.setattr(supabase, "CHECK_SECONDS", 0.0)
    opening = locally(db, postbox) if request.param == "local" else at_supabase(db, provider_db, postbox)
    async with opening as made:
        yield made


@pytest.fixture
def identity(adapters: Adapters) -> Identity:
    """Without mail: tokens at once."""
    return adapters.plain


@pytest.fixture
def confirming(adapters: Adapters) -> Identity:
    """With mail: addresses are confirmed."""
    return adapters.confirming


@pytest.fixture
def credentials(adapters: Adapters) -> Credentials:
    return adapters.credentials
