"""The REST application: routes of the contract under /api/v1, and /health and /metrics beside it."""

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from verifier.api import downloads, errors, health, keys, metrics, negotiation, results, series, tasks, uploads, verify
from verifier.api import webhook_secret as secret
from verifier.api.parts import Parts
from verifier.store import database

PREFIX = "/api/v1"

Handler = Callable[[Request], Awaitable[Response]]


def build(parts: Parts) -> Starlette:
    """Return the application over the parts, which its owner opens and closes."""
    app = Starlette(
        routes=[
            Route("/health", health.health),
            Route("/metrics", metrics.read),
            _resource("/verify", POST=verify.verify),
            _resource("/tasks", GET=tasks.listed, POST=tasks.create),
            _resource("/tasks/batch/upload", POST=uploads.create),
            _resource("/tasks/{id}", GET=tasks.read),
            _resource("/tasks/{id}/results", GET=results.page),
            _resource("/tasks/{id}/series", GET=series.read),
            _resource("/tasks/{id}/cancel", POST=tasks.cancel),
            Route(f"{PREFIX}/tasks/{{id}}/download", downloads.download),
            _resource("/keys", POST=keys.create),
            _resource("/webhook-secret", GET=secret.read, POST=secret.rotate),
        ],
        exception_handlers={
            errors.ApiError: errors.answer_api_error,
            HTTPException: errors.answer_http_error,
            ClientDisconnect: errors.answer_cut_off,
            **dict.fromkeys(database.LOST, errors.answer_lost),
            Exception: errors.answer_failure,
        },
    )
    app.router.redirect_slashes = False
    app.state.parts = parts
    return app


def _resource(path: str, **handlers: Handler) -> Route:
    """Route a path whose answers are JSON, one handler a method."""

    async def answer(request: Request) -> Response:
        negotiation.require_accepted(request, negotiation.JSON)
        return await handlers["GET" if request.method == "HEAD" else request.method](request)

    return Route(PREFIX + path, answer, methods=list(handlers))
