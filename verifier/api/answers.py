"""JSON answers."""

from uuid import UUID

import orjson
from starlette.responses import Response


def dumps(content: object) -> bytes:
    """Spell content as JSON; times in UTC end in Z."""
    return orjson.dumps(content, _plain, orjson.OPT_UTC_Z)


def json(content: object, status: int = 200) -> Response:
    """Answer with JSON. It is somebody's own: no cache on the way may keep it."""
    return Response(dumps(content), status, {"Cache-Control": "no-store"}, media_type="application/json")


def _plain(value: object) -> str:
    """Spell what orjson does not know: the database driver's own kind of UUID."""
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no place in an answer")
