"""What a Prometheus server collects."""

from starlette.requests import Request
from starlette.responses import Response

from verifier.api import authentication, parts
from verifier.store import metrics

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


async def read(request: Request) -> Response:
    """GET /metrics, for the service alone: names of mail hosts are nobody else's business."""
    await authentication.service_of(request)
    return Response(await metrics.prometheus(parts.of(request).pool), media_type=MEDIA_TYPE)
