"""Where an upstream may call back. The URL marks what was sent, and is not needed to learn that it is done."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

PATH = "/upstream"


def routes() -> list[BaseRoute]:
    """Give POST /upstream/{mark}, which takes everything and does nothing: the worker asks by itself."""

    async def take(_request: Request) -> Response:
        return Response(status_code=204)

    return [Route(f"{PATH}/{{mark}}", take, methods=["POST"])]
