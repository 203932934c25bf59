"""The adapters behind the identity port, each without and with mail."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import pytest

from db.session import Database
from services.authentication import Credentials
from services.identity.gotrue import GoTrue
from services.identity.local import LocalIdentity
from services.identity.port import Identity
from services.identity.supabase import SupabaseIdentity
from services.jwks import KeySet
from services.mail import LogMailer
from services.rates import Rates
from services.sealing import Box
from services.signing import SigningKeys
from services.throttle import Throttle
from services.tokens import Tokens
from tests.conftest import empty
from tests.services import provider
from tests.services.postbox import Postbox

SECRET = "the-secret-of-the-identity-tests-0123456789"
ISSUER = "http://service.test/auth/v1"


@dataclass(frozen=True)
class Adapters:
    """One adapter twice, without and with mail, and what reads its tokens."""

    plain: Identity
    confirming: Identity
    credentials: Credentials


@asynccontextmanager
async def locally(db: Database, postbox: Postbox) -> AsyncIterator[Adapters]:
    keys = SigningKeys(db, Box(SECRET))
    tokens = Tokens(None, ISSUER, keys)
    made = [
        LocalIdentity(db, tokens, keys, mailer, secret=SECRET, public_url="http://service.test")
        for mailer in (LogMailer(is_link_shown=False), postbox)
    ]
    yield Adapters(made[0], made[1], Credentials(tokens, SECRET))
    for one in made:
        await one.aclose()


@asynccontextmanager
async def at_supabase(db: Database, there: Database, postbox: Postbox) -> AsyncIterator[Adapters]:
    """The adapter against a project with a database of its own, which the service never sees."""
    async with AsyncExitStack() as opened:
        opened.push_async_callback(empty, there)
        made = []
        for mailer in (LogMailer(is_link_shown=False), postbox):
            project = await opened.enter_async_context(provider.serving(there, mailer))
            published = KeySet(f"{project}/auth/v1/.well-known/jwks.json")
            opened.push_async_callback(published.aclose)
            tokens = Tokens(None, provider.ISSUER, published, is_own=False)
            one = SupabaseIdentity(db, tokens, GoTrue(project, "publishable"), Throttle(Rates(), SECRET))
            opened.push_async_callback(one.aclose)
            made.append((one, Credentials(tokens, SECRET, one)))
        yield Adapters(made[0][0], made[1][0], made[0][1])


ours = pytest.mark.parametrize("adapters", ["local"], indirect=True)
"""A test that looks into our own tables, or asks at another time than now."""
