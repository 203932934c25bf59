"""A small schema and a server for it: what the edge does must not depend on what the service is about."""

import asyncio
import contextlib
import dataclasses
import datetime as dt
import socket
from collections.abc import AsyncGenerator, AsyncIterator

import strawberry
import uvicorn
from graphql import GraphQLError
from starlette.applications import Starlette
from starlette.types import ASGIApp
from strawberry.file_uploads import Upload
from strawberry.schema.config import StrawberryConfig

from app import edge
from app.graphql import routes
from app.graphql.door import Credentials, Door
from schema import observe
from schema.execution.direct import DirectSchema
from services import errors

UPLOAD_BYTES_MAX = 3 * 1024 * 1024


@dataclasses.dataclass(frozen=True)
class Actor:
    name: str
    expires_at: dt.datetime | None = None


@dataclasses.dataclass
class Context:
    actor: Actor | None
    request_id: str


@dataclasses.dataclass
class Guests:
    """Who may come in, by token; a test adds and removes them."""

    by_token: dict[str, Actor] = dataclasses.field(default_factory=lambda: {"good": Actor("ann")})
    is_away: bool = False
    asked: int = 0
    is_closing: bool = False

    async def recognise(self, credentials: Credentials) -> Actor:
        self.asked += 1
        if self.is_away:
            raise ConnectionError("no database")
        scheme, _, token = (credentials.authorization or f"Bearer {credentials.api_key}").partition(" ")
        if token == "suspended":
            raise errors.Forbidden("This account is suspended.")
        if scheme != "Bearer" or token not in self.by_token:
            raise errors.Unauthenticated
        return self.by_token[token]


Info = strawberry.Info[Context, None]
closed_streams: list[str] = []


@strawberry.type
class Item:
    name: str

    @strawberry.field
    def items(self, first: int = 20) -> list["Item"]:
        return [Item(name=f"{self.name}.{number}") for number in range(first)]


@strawberry.type
class Query:
    @strawberry.field
    def hello(self, name: str = "you") -> str:
        return f"hello {name}"

    @strawberry.field
    def whoami(self, info: Info) -> str | None:
        return info.context.actor.name if info.context.actor else None

    @strawberry.field
    def request_id(self, info: Info) -> str:
        return info.context.request_id

    @strawberry.field
    def items(self, first: int = 20) -> list[Item]:
        return [Item(name=str(number)) for number in range(first)]

    @strawberry.field
    def broken(self) -> str | None:
        raise ValueError("password=hunter2")

    @strawberry.field
    def missing(self) -> str | None:
        raise errors.NotFound

    @strawberry.field
    def coded(self) -> str | None:
        raise GraphQLError("Wait a little.", extensions={"code": "RATE_LIMITED"})

    @strawberry.field
    def too_big(self) -> int | None:
        return 2**40

    @strawberry.field
    def surrogate(self) -> str:
        return "\ud800"

    @strawberry.field
    def many_errors(self) -> list[Item | None]:
        return [Item(name=str(number)) for number in range(50)]

    @strawberry.field
    async def sleepy(self, seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "awake"


@strawberry.input
class UploadInput:
    file: Upload | None = None
    files: list[Upload | None] | None = None


@strawberry.type
class Mutation:
    @strawberry.mutation
    def rename(self, name: str) -> str:
        return name

    @strawberry.mutation
    async def size(self, file: Upload) -> int:
        return len(await _content(file))

    @strawberry.mutation
    async def sizes(self, input: UploadInput) -> list[int]:
        given = [file for file in (input.file, *(input.files or [])) if file is not None]
        return [len(await _content(file)) for file in given]


async def _content(file: object) -> bytes:
    if not hasattr(file, "read"):
        raise errors.Invalid("The value is no file.")
    content: bytes = await file.read()
    return content


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def count(self, to: int = 3) -> AsyncGenerator[int, None]:
        for number in range(to):
            yield number
            await asyncio.sleep(0.01)

    @strawberry.subscription
    async def forever(self, name: str = "forever") -> AsyncGenerator[int, None]:
        number = 0
        try:
            while True:
                yield number
                number += 1
                await asyncio.sleep(0.05)
        finally:
            closed_streams.append(name)

    @strawberry.subscription
    async def quiet(self) -> AsyncGenerator[int, None]:
        yield 0
        await asyncio.Event().wait()

    @strawberry.subscription
    async def breaks(self) -> AsyncGenerator[int, None]:
        yield 0
        raise ValueError("password=hunter2")


schema = DirectSchema(
    Query,
    Mutation,
    Subscription,
    extensions=observe.EXTENSIONS,
    config=StrawberryConfig(disable_field_suggestions=True),
)


def application(guests: Guests, *, recheck_seconds: float = 8, has_ide: bool = True) -> edge.Edge:
    door = Door(guests.recognise, Context, recheck_seconds=recheck_seconds, is_closing=lambda: guests.is_closing)
    made = routes.routes(schema, door, has_ide=has_ide, allowed_origins=["https://app.example"])
    return edge.Edge(Starlette(routes=made), upload_bytes_max=UPLOAD_BYTES_MAX, upload_path=routes.PATH)


@contextlib.asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[str]:
    """Give the URL of /graphql on a running server."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, ws="websockets-sansio", lifespan="off", log_config=None, timeout_graceful_shutdown=1)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup([listener])
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}{routes.PATH}"
    finally:
        # What server.shutdown() does, without its tenth of a second, which a test cannot spare.
        for accepting in server.servers:
            accepting.close()
        for connection in list(server.server_state.connections):
            connection.shutdown()
        async with asyncio.timeout(3):
            await asyncio.gather(*server.server_state.tasks, return_exceptions=True)
        listener.close()
