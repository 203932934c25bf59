"""The routes of GraphQL, made from the parts that a process shares."""

import typing
import urllib.parse

import strawberry
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute

from app.graphql import ide
from app.graphql.door import Door
from app.graphql.view import GraphQLView

PATH = "/graphql"
ASSETS_PATH = "/graphiql"


def routes(
    schema: strawberry.Schema, door: Door, *, has_ide: bool, allowed_origins: typing.Sequence[str] = ()
) -> list[BaseRoute]:
    """Give the routes that serve `schema`: HTTP, WebSocket and, with `has_ide`, GraphiQL and its files.

    `allowed_origins` are origins, besides that of the request itself, whose pages may open a WebSocket.
    """
    view = GraphQLView(schema, door, has_ide=has_ide, allowed_origins=allowed_origins)
    found: list[BaseRoute] = [Route(PATH, view), WebSocketRoute(PATH, view)]
    if has_ide:
        found.append(Mount(ASSETS_PATH, ide.Assets()))
    return found


def origin(url: str) -> str:
    """Give the origin of `url`: its scheme, host and port."""
    parts = urllib.parse.urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
