"""Tasks over REST: create, list, read, cancel."""

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import orjson
from starlette.requests import Request
from starlette.responses import Response

from verifier.api import answers, authentication, bodies, errors, parameters, parts, pictures, webhook_url
from verifier.engine import syntax
from verifier.store.queries import tasks

ADDRESSES_MAX = 10_000
BODY_BYTES_MAX = 4 * 1024 * 1024  # room for 10,000 addresses of the greatest length, 254 characters
IDEMPOTENCY_KEY_LENGTH_MAX = 255
PARSE_AT_ONCE = 250
LIMIT_MAX = 100


async def create(request: Request) -> Response:
    """POST /tasks."""
    caller = await authentication.caller_of(request)
    body = await bodies.read_object(request, bytes_max=BODY_BYTES_MAX, fields={"emails", "webhook_url"})
    emails = _emails(body)
    return await made(request, caller, emails, webhook_url.read(body.get("webhook_url")))


async def made(
    request: Request, caller: authentication.Caller, emails: Sequence[str], webhook_url: str | None
) -> Response:
    """Make a task and answer with it; the same idempotency key, addresses and URL give the same task again."""
    key = request.headers.get("idempotency-key")
    if key is not None and not 1 <= len(key) <= IDEMPOTENCY_KEY_LENGTH_MAX:
        raise errors.BadRequest(f"must have 1 to {IDEMPOTENCY_KEY_LENGTH_MAX} characters", field="Idempotency-Key")
    addresses, domain_count = await _parsed(emails)
    new = tasks.NewTask(
        user_id=caller.user_id,
        idempotency_key=key,
        body_hash=hashlib.sha256(orjson.dumps([emails, webhook_url])).digest(),
        webhook_url=webhook_url,
        addresses=addresses,
        domain_count=domain_count,
    )
    try:
        task = await tasks.create(parts.of(request).pool, new)
    except tasks.IdempotencyConflictError as error:
        raise errors.Conflict("this idempotency key came with another body before", field="Idempotency-Key") from error
    return answers.json(pictures.created(task), 201)


def _emails(body: dict[str, Any]) -> list[str]:
    emails = body.get("emails")
    if not isinstance(emails, list) or not emails:
        raise errors.BadRequest("a list of at least one address is required", field="emails")
    if len(emails) > ADDRESSES_MAX:
        raise errors.BadRequest(f"at most {ADDRESSES_MAX} addresses a task; these are {len(emails)}", field="emails")
    for place, email in enumerate(emails):
        if not isinstance(email, str):
            raise errors.BadRequest("every address must be a string", field=f"emails[{place}]")
    return emails


async def _parsed(emails: Sequence[str]) -> tuple[list[tuple[str, str | None]], int]:
    """Return each address with its normal form (None where malformed), and how many domains they have."""
    addresses: list[tuple[str, str | None]] = []
    domains: set[str] = set()
    for start in range(0, len(emails), PARSE_AT_ONCE):
        for email in emails[start : start + PARSE_AT_ONCE]:
            parsed = syntax.parse(email)
            if isinstance(parsed, syntax.Address):
                addresses.append((email, parsed.email))
                domains.add(parsed.domain)
            else:
                addresses.append((email, None))
        await asyncio.sleep(0)  # other requests go on meanwhile
    return addresses, len(domains)


async def visible(request: Request, *, malformed: type[errors.ApiError] = errors.BadRequest) -> tasks.Task:
    """Return the task that the path names, where the caller may see it. `malformed` is for what is no UUID."""
    caller = await authentication.caller_of(request)
    id = parameters.uuid(request.path_params["id"])
    if id is None:
        raise malformed("a task's id is a UUID", field="id")
    task = await tasks.get(parts.of(request).pool, id)
    if task is None or not caller.may_see(task.user_id):
        raise errors.NotFound("there is no such task")
    return task


async def read(request: Request) -> Response:
    """GET /tasks/{id}."""
    return answers.json(pictures.detail(await visible(request)))


async def listed(request: Request) -> Response:
    """GET /tasks."""
    caller = await authentication.caller_of(request)
    limit = parameters.number(request, "limit", default=10, least=1, most=LIMIT_MAX)
    offset = parameters.number(request, "offset", default=0, least=0)
    wanted = tasks.Filter(
        user_id=_whose(caller, parameters.optional_uuid(request, "user_id")),
        ids=parameters.uuids(request, "ids", count_max=100),
        created_after=parameters.date_time(request, "created_after"),
        created_before=parameters.date_time(request, "created_before"),
    )
    found = await tasks.page(parts.of(request).pool, wanted, limit=limit, offset=offset)
    return answers.json(
        {"tasks": [pictures.summary(task) for task in found], "count": len(found), "limit": limit, "offset": offset}
    )


def _whose(caller: authentication.Caller, asked: UUID | None) -> UUID | None:
    """Return whose tasks are listed; None for everybody's, which only the service may see."""
    if caller.is_service:
        return asked
    if asked is not None:
        raise errors.Forbidden("only the service may ask for a user's tasks", field="user_id")
    return caller.user_id


async def cancel(request: Request) -> Response:
    """POST /tasks/{id}/cancel."""
    task = await visible(request, malformed=errors.NotFound)
    await tasks.cancel(parts.of(request).pool, task.id)
    return Response(status_code=202)
