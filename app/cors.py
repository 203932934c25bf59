"""Cross-origin calls (Fetch standard, section 3.2): from the origins that are configured, and from no other."""

from collections.abc import Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from app.graphql.view import PREFLIGHT_HEADERS

MAX_AGE_SECONDS = 600

_REQUEST_HEADERS = (
    *PREFLIGHT_HEADERS,
    "apikey",
    "content-type",
    "x-client-info",
    "x-request-id",
    "x-supabase-api-version",
)
# Without the first, Supabase's clients in a browser lose the code of every error.
_ANSWER_HEADERS = ("x-supabase-api-version", "x-sb-error-code", "x-request-id", "retry-after")


def allowing(app: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    """Let pages of these origins call `app`. Credentials are headers that a page must set itself: no cookies."""
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=["GET", "POST", "PUT"],
        allow_headers=_REQUEST_HEADERS,
        expose_headers=_ANSWER_HEADERS,
        max_age=MAX_AGE_SECONDS,
    )
