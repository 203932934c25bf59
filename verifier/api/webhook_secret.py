"""The secret that a caller's webhooks are signed with, over REST."""

import base64
import secrets

from starlette.requests import Request
from starlette.responses import Response

from verifier.api import answers, authentication, parts
from verifier.store.queries import webhooks

SECRET_BYTES = 32
PREFIX = "whsec_"


async def read(request: Request) -> Response:
    """GET /webhook-secret; it is made at the first reading or the first delivery."""
    caller = await authentication.caller_of(request)
    secret = await webhooks.secret_of(parts.of(request).pool, caller.user_id, fresh=secrets.token_bytes(SECRET_BYTES))
    return answers.json(_picture(secret))


async def rotate(request: Request) -> Response:
    """POST /webhook-secret: make another; the old one signs beside it for a day."""
    caller = await authentication.caller_of(request)
    secret = await webhooks.rotate(parts.of(request).pool, caller.user_id, fresh=secrets.token_bytes(SECRET_BYTES))
    return answers.json(_picture(secret), 201)


def _picture(secret: webhooks.Secret) -> dict[str, object]:
    """Spell it as the Standard Webhooks specification does: a prefix and base64."""
    return {"secret": PREFIX + base64.b64encode(secret.secret).decode(), "rotated_at": secret.rotated_at}
