"""Joins the routes of the service to one ASGI application."""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from app import auth_routes, callbacks, cors, downloads, health, payment_routes, published_sdl
from app.edge import Edge
from app.graphql import routes as graphql
from app.graphql.door import Caller, Door
from app.graphql.door import Credentials as Shown
from app.graphql.refusal import Refused, response
from app.health import Readiness
from app.settings import Settings
from resolvers.context import Context, Parts
from schema.root import schema
from services.authentication import authenticate

RECHECK_SECONDS = 4.0
"""A WebSocket notices within this time that its session was signed out."""


def create_app(parts: Parts, settings: Settings, readiness: Readiness | None = None) -> ASGIApp:
    """Give the application: GraphQL, health, downloads, and a front page that leads to GraphiQL."""

    async def recognise(shown: Shown) -> Caller | None:
        return await authenticate(parts.db, parts.credentials, authorization=shown.authorization, api_key=shown.api_key)

    looked_at = readiness or Readiness(parts.db, parts.upstream)
    door = Door(
        recognise,
        lambda actor, request_id: Context(parts, actor, request_id),
        parts.meter.charge,
        recheck_seconds=RECHECK_SECONDS,
        is_closing=lambda: looked_at.is_draining,
    )
    app = Starlette(
        routes=[
            *graphql.routes(
                schema,
                door,
                has_ide=settings.is_graphiql_on,
                allowed_origins=[graphql.origin(settings.public_url), *settings.cors_origins],
            ),
            *health.routes(looked_at),
            *(auth_routes.routes(parts, settings.public_url) if not settings.supabase_url else ()),
            *downloads.routes(parts.db, parts.links, parts.meter),
            *payment_routes.routes(parts),
            *callbacks.routes(),
            *published_sdl.routes(),
            Route("/", _front),
        ],
        exception_handlers={404: _not_found, 405: _not_found},
    )
    edge = Edge(
        app,
        upload_bytes_max=settings.upload_bytes_max,
        upload_path=graphql.PATH,
        is_https=settings.public_url.startswith("https://"),
    )
    return cors.allowing(edge, settings.cors_origins)  # outermost: a page reads what the edge refuses, too


async def _not_found(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    headers = error.headers if isinstance(error, HTTPException) else None
    message = "There is nothing at this path." if status == 404 else "This path does not take that method."
    refused = Refused(status, message, headers=headers)
    return response(refused, accept=request.headers.get("accept"), request_id=request.state.request_id)


async def _front(_: Request) -> Response:
    return RedirectResponse(graphql.PATH, status_code=302)
