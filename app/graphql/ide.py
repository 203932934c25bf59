"""GraphiQL from our own files: the page at /graphql for browsers, its scripts and styles under /graphiql."""

import functools
import os
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from app.graphql import negotiation

FILES = Path(__file__).parent.parent / "graphiql"

# Nothing from elsewhere, no inline script. CodeMirror sets styles on elements, and the style sheet holds its fonts.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def is_wanted(request: Request) -> bool:
    """True for a browser that opens the URL itself: it asks for HTML before anything that GraphQL answers."""
    return (
        request.method == "GET"
        and "query" not in request.query_params
        and negotiation.preferred(request.headers.get("accept"), (*negotiation.ANSWERS, negotiation.HTML))
        == negotiation.HTML
    )


def page() -> Response:
    """Give the page of GraphiQL."""
    headers = {"content-security-policy": CONTENT_SECURITY_POLICY, "cache-control": "no-cache", "vary": "Accept"}
    return HTMLResponse(_html(), headers=headers)


class Assets(StaticFiles):
    """The files of the page. Those under vendor carry their version in their name and never change."""

    def __init__(self) -> None:
        super().__init__(directory=FILES)

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """Add how long a file may be kept."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        is_vendored = Path(full_path).parent.name == "vendor"
        response.headers["cache-control"] = "public, max-age=31536000, immutable" if is_vendored else "no-cache"
        return response


@functools.cache
def _html() -> str:
    return (FILES / "ide.html").read_text(encoding="utf-8")
