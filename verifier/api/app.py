"""The REST application: routes of the contract under /api/v1, and /health."""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Mount, Route

from verifier.api import errors, health, keys, results, tasks, verify
from verifier.api.parts import Parts


def build(parts: Parts) -> Starlette:
    """Return the application over the parts, which its owner opens and closes."""
    app = Starlette(
        routes=[
            Route("/health", health.health),
            Mount(
                "/api/v1",
                routes=[
                    Route("/verify", verify.verify, methods=["POST"]),
                    Route("/tasks", tasks.create, methods=["POST"]),
                    Route("/tasks", tasks.listed, methods=["GET"]),
                    Route("/tasks/{id}", tasks.read, methods=["GET"]),
                    Route("/tasks/{id}/results", results.page, methods=["GET"]),
                    Route("/tasks/{id}/cancel", tasks.cancel, methods=["POST"]),
                    Route("/tasks/{id}/download", results.download, methods=["GET"]),
                    Route("/keys", keys.create, methods=["POST"]),
                ],
            ),
        ],
        exception_handlers={
            errors.ApiError: errors.answer_api_error,
            HTTPException: errors.answer_http_error,
            Exception: errors.answer_failure,
        },
    )
    app.state.parts = parts
    return app
