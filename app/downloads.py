"""Results as a file, by a signed link: no other credential is asked for."""

import datetime as dt
import math

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from db.session import Database
from services import exports
from services import links as signed_links
from services.errors import NotFound, RateLimited
from services.rates import Meter

DOWNLOAD_POINTS = 100


def routes(db: Database, links: signed_links.Links, meter: Meter) -> list[BaseRoute]:
    """Give /downloads/{token}."""

    async def download(request: Request) -> Response:
        try:
            await meter.charge(None, DOWNLOAD_POINTS)
            wanted = links.read(request.path_params["token"], dt.datetime.now(dt.UTC))
            task = await signed_links.task_of(db, wanted)
        except NotFound as error:
            return JSONResponse({"error": {"code": error.code, "message": error.message}}, status_code=404)
        except RateLimited as error:
            body = {"error": {"code": error.code, "message": error.message}}
            return JSONResponse(body, 429, {"retry-after": str(math.ceil(error.retry_after_seconds))})
        headers = {
            "content-disposition": f'attachment; filename="{exports.file_name(task, wanted.format)}"',
            "cache-control": "private, no-store",
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
        }
        # Programs that look whether a link works ask for the head alone: nothing is exported for that.
        is_wanted = request.method != "HEAD"
        content = exports.stream(db, task, wanted.format, wanted.conditions) if is_wanted else ()
        return StreamingResponse(content, media_type=exports.MEDIA_TYPES[wanted.format], headers=headers)

    return [Route("/downloads/{token}", download)]
