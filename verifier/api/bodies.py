"""Request bodies: bounded, JSON, with no field that the contract does not name."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

import orjson
from starlette.requests import Request

from verifier.api import errors, negotiation

SMALL_BYTES_MAX = 64 * 1024
SECONDS_MAX = 60.0


async def read_object(request: Request, *, bytes_max: int, fields: Collection[str]) -> dict[str, Any]:
    """Return the JSON object of a body; raise BadRequest with the field that is wrong."""
    negotiation.require_content_type(request, negotiation.JSON)
    try:
        body = orjson.loads(await _read(request, bytes_max))
    except orjson.JSONDecodeError as error:
        raise errors.BadRequest(f"the body is not JSON: {error}", code="invalid_json") from error
    if not isinstance(body, dict):
        raise errors.BadRequest("the body must be a JSON object", code="invalid_json")
    if "user_id" in body and "user_id" not in fields:
        raise errors.BadRequest("the user is known from the credential; leave user_id out", field="user_id")
    for name in body:
        if name not in fields:
            raise errors.BadRequest(f"unknown field; the body takes {', '.join(sorted(fields))}", field=name[:100])
    return body


async def _read(request: Request, bytes_max: int) -> bytes:
    received = bytearray()
    async with in_time(SECONDS_MAX):
        async for piece in request.stream():
            received += piece
            if len(received) > bytes_max:
                raise errors.BadRequest(f"the body has more than {bytes_max} bytes", code="body_too_large")
    return bytes(received)


@asynccontextmanager
async def in_time(seconds: float) -> AsyncIterator[None]:
    """Read a body within; raise BadRequest where it does not come, so that nobody holds a connection for nothing."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise errors.BadRequest(f"the body did not come within {seconds:g} s", code="incomplete") from error


def text(body: dict[str, Any], name: str, *, length_max: int) -> str:
    """Return a required string."""
    value = body.get(name)
    if not isinstance(value, str):
        raise errors.BadRequest("a string is required", field=name)
    if len(value) > length_max:
        raise errors.BadRequest(f"longer than {length_max} characters", field=name)
    return value
