"""The schema as text, for code generators and readers: what `schema/schema.graphql` holds, at /schema.graphql."""

import hashlib
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

PATH = "/schema.graphql"
FILE = Path(__file__).parents[1] / "schema" / "schema.graphql"
CACHE_SECONDS = 300


def routes() -> list[BaseRoute]:
    """Give GET /schema.graphql, for anybody: the committed SDL, which the tests hold equal to what is served."""
    content = FILE.read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"cache-control": f"public, max-age={CACHE_SECONDS}", "etag": tag}

    async def give(request: Request) -> Response:
        known = request.headers.get("if-none-match", "")
        if tag in known or known == "*":
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers, media_type="text/plain")

    return [Route(PATH, give)]
