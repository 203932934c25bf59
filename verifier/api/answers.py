"""JSON answers."""

import orjson
from starlette.responses import Response


def json(content: object, status: int = 200) -> Response:
    """Answer with JSON; times in UTC end in Z."""
    return Response(orjson.dumps(content, option=orjson.OPT_UTC_Z), status, media_type="application/json")
