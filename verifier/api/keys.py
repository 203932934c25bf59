"""API keys over REST."""

from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response

from verifier.api import answers, authentication, bodies, errors, parameters, parts
from verifier.store.queries import keys


async def create(request: Request) -> Response:
    """POST /keys, for the service alone."""
    await authentication.service_of(request)
    body = await bodies.read_object(request, bytes_max=bodies.SMALL_BYTES_MAX, fields={"user_id"})
    user_id = parameters.uuid(bodies.text(body, "user_id", length_max=36))
    if user_id is None:
        raise errors.BadRequest("must be a UUID", field="user_id")
    id, secret = uuid4(), authentication.new_secret()
    await keys.create(parts.of(request).pool, id=id, user_id=user_id, secret_hash=authentication.hash_of(secret))
    return answers.json({"id": id, "key": secret}, 201)
