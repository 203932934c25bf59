"""One address, now."""

from starlette.requests import Request
from starlette.responses import Response

from verifier.api import answers, authentication, bodies, errors, parts, pictures

EMAIL_LENGTH_MAX = 1024
BUDGET_SECONDS = 20.0


async def verify(request: Request) -> Response:
    """POST /verify. Waits for no greylisting: what is transient is `unknown` here."""
    await authentication.caller_of(request)
    body = await bodies.read_object(request, bytes_max=bodies.SMALL_BYTES_MAX, fields={"email"})
    email = bodies.text(body, "email", length_max=EMAIL_LENGTH_MAX)
    shared = parts.of(request)
    if shared.checks.locked():
        raise errors.TooMany("too many single checks at once", retry_after_seconds=1)
    async with shared.checks:
        result = await shared.engine.check(email, budget_seconds=BUDGET_SECONDS)
    return answers.json(pictures.fresh_result(result))
