"""A stand-in for a Supabase project: our own /auth/v1 on a socket of its own, over a database of its own.

The official clients are held against the same routes (tests/contract), so the adapter meets what they accept.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app import auth_routes
from app.edge import Edge
from db.session import Database
from resolvers.context import utc_now
from services.authentication import Credentials
from services.identity.local import LocalIdentity
from services.mail import Mailer
from services.rates import Meter
from services.sealing import Box
from services.signing import SigningKeys
from services.tokens import Tokens
from tests.edge import small

SECRET = "the-secret-of-the-provider-0123456789abcdef"
ISSUER = "http://provider.test/auth/v1"


@dataclass
class Gate:
    """What stands before the project: notes each call, and answers in its place when it is told to."""

    calls: list[str] = field(default_factory=list)
    api_keys: set[bytes] = field(default_factory=set)
    instead: Response | None = None

    def before(self, app: ASGIApp) -> ASGIApp:
        """Stand before `app`."""

        async def pass_on(scope: Scope, receive: Receive, send: Send) -> None:
            self.calls.append(f"{scope['method']} {scope['path'].removeprefix('/auth/v1')}")
            self.api_keys.add(dict(scope["headers"]).get(b"apikey", b""))
            await (self.instead or app)(scope, receive, send)

        return pass_on


@asynccontextmanager
async def serving(db: Database, mailer: Mailer, gate: Gate | None = None) -> AsyncIterator[str]:
    """Give the URL of a project that keeps its people in `db`."""
    keys = SigningKeys(db, Box(SECRET))
    tokens = Tokens(None, ISSUER, keys)
    identity = LocalIdentity(db, tokens, keys, mailer, secret=SECRET, public_url="http://provider.test")
    parts: Any = SimpleNamespace(  # what these routes ask of the parts of a service
        db=db, identity=identity, credentials=Credentials(tokens, SECRET), meter=Meter(), now=utc_now
    )
    routes = auth_routes.routes(parts, "http://provider.test")
    app = (gate or Gate()).before(Edge(Starlette(routes=routes), upload_bytes_max=0, upload_path=""))
    async with small.serving(app) as url:
        yield url.removesuffix("/graphql")
    await identity.aclose()
