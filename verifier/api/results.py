"""Results over REST, page by page, while the task runs too."""

from starlette.requests import Request
from starlette.responses import Response

from verifier.api import answers, errors, parameters, parts, pictures
from verifier.api import tasks as task_routes
from verifier.store.queries import results

LIMIT_MAX = 5000
LIMIT_DEFAULT = 1000


async def page(request: Request) -> Response:
    """GET /tasks/{id}/results."""
    task = await task_routes.visible(request, malformed=errors.NotFound)
    after = parameters.number(request, "after", default=0, least=0)
    limit = parameters.number(request, "limit", default=LIMIT_DEFAULT, least=1, most=LIMIT_MAX)
    rows = await results.page(parts.of(request).pool, task.id, after=after, limit=limit)
    next_after = rows[-1]["seq"] if rows else after
    return answers.json({"results": [pictures.stored_result(row) for row in rows], "next_after": next_after})
