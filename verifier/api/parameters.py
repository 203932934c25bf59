"""Path and query parameters, read strictly."""

import re
from datetime import UTC, datetime
from uuid import UUID

from starlette.requests import Request

from verifier.api import errors

_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_NUMBER = re.compile(r"[0-9]+")
_DIGITS_MAX = 18  # what the database counts with; a greater number is as good as this one
_DATE_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:[Zz]|[+\- ][0-9]{2}:[0-9]{2})"
)


def uuid(text: str) -> UUID | None:
    """Return the UUID that a text is in its usual form; None for anything else."""
    return UUID(text) if _UUID.fullmatch(text) else None


def number(request: Request, name: str, *, default: int, least: int, most: int | None = None) -> int:
    """Return a whole number of the query; raise BadRequest outside its bounds."""
    text = request.query_params.get(name)
    if text is None:
        return default
    digits = text.lstrip("0") or "0"
    value = int(digits) if _NUMBER.fullmatch(text) and len(digits) <= _DIGITS_MAX else 10**_DIGITS_MAX
    if not _NUMBER.fullmatch(text) or value < least or (most is not None and value > most):
        bounds = f"from {least}" if most is None else f"from {least} to {most}"
        raise errors.BadRequest(f"must be a whole number {bounds}", field=name)
    return value


def optional_uuid(request: Request, name: str) -> UUID | None:
    """Return a UUID of the query."""
    text = request.query_params.get(name)
    if text is None:
        return None
    value = uuid(text)
    if value is None:
        raise errors.BadRequest("must be a UUID", field=name)
    return value


def uuids(request: Request, name: str, *, count_max: int) -> list[UUID] | None:
    """Return UUIDs of the query, separated by commas."""
    text = request.query_params.get(name)
    if text is None:
        return None
    values = [uuid(part) for part in text.split(",")] if text else []
    found = [value for value in values if value is not None]
    if len(found) != len(values):
        raise errors.BadRequest("must be UUIDs, separated by commas", field=name)
    if len(found) > count_max:
        raise errors.BadRequest(f"at most {count_max}", field=name)
    return found


def date_time(request: Request, name: str) -> datetime | None:
    """Return a point in time of the query: RFC 3339 with its offset; a blank stands for a plus that was not escaped."""
    text = request.query_params.get(name)
    if text is None:
        return None
    if not _DATE_TIME.fullmatch(text):
        raise errors.BadRequest("must be a date and time with offset, such as 2026-11-21T10:00:00Z", field=name)
    try:
        return datetime.fromisoformat(text.upper().replace(" ", "+")).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise errors.BadRequest("is no date and time", field=name) from error
