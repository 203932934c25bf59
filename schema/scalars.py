"""Scalars of the API. Input is checked here as far as its form goes; what a person types comes in as String."""

import datetime as dt
import re
from typing import Any, NewType, NoReturn

import strawberry
from graphql import GraphQLError

_BAD_INPUT = {"code": "BAD_USER_INPUT"}
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")

EmailAddress = NewType("EmailAddress", str)
URL = NewType("URL", str)
Upload = NewType("Upload", bytes)
JSONObject = NewType("JSONObject", dict[str, Any])


def _write_time(value: dt.datetime) -> dt.datetime:
    """Give the moment in UTC: who writes the answer as JSON writes it as RFC 3339, with a Z."""
    return value.astimezone(dt.UTC)


def _read_time(value: object) -> dt.datetime:
    if not isinstance(value, str) or not _DATE_TIME.fullmatch(value):
        raise GraphQLError(
            "A DateTime is an RFC 3339 timestamp with an offset, e.g. 2026-01-31T10:00:00Z.", extensions=_BAD_INPUT
        )
    try:
        return dt.datetime.fromisoformat(value.upper()).astimezone(dt.UTC)
    except (ValueError, OverflowError) as error:
        raise GraphQLError(f"There is no such moment: {value}.", extensions=_BAD_INPUT) from error


def _read_date(value: object) -> dt.date:
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        raise GraphQLError("A Date is a calendar day, e.g. 2026-01-31.", extensions=_BAD_INPUT)
    try:
        return dt.date.fromisoformat(value)
    except ValueError as error:
        raise GraphQLError(f"There is no such day: {value}.", extensions=_BAD_INPUT) from error


def _read_file(value: object) -> object:
    if not (hasattr(value, "file") and hasattr(value, "filename")):
        raise GraphQLError(
            "An Upload is a file part of a multipart request; it cannot be written inline.", extensions=_BAD_INPUT
        )
    return value


def _read_object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise GraphQLError(
            "A JSONObject is an object at the top level; arrays and bare values are not taken.", extensions=_BAD_INPUT
        )
    return value


def _no_input(_value: object) -> NoReturn:
    raise GraphQLError("This scalar is given, not taken.", extensions=_BAD_INPUT)


SCALARS: dict[object, Any] = {
    dt.datetime: strawberry.scalar(
        name="DateTime",
        description=(
            "An RFC 3339 timestamp. Input needs an offset; output is UTC, e.g. 2026-01-31T10:00:00Z or with a fraction "
            "of a second."
        ),
        specified_by_url="https://scalars.graphql.org/andimarek/date-time.html",
        serialize=_write_time,
        parse_value=_read_time,
    ),
    dt.date: strawberry.scalar(
        name="Date",
        description="A calendar day, e.g. 2026-01-31. Days are UTC days.",
        specified_by_url="https://scalars.graphql.org/andimarek/local-date.html",
        serialize=dt.date.isoformat,
        parse_value=_read_date,
    ),
    EmailAddress: strawberry.scalar(
        name="EmailAddress",
        description=(
            "A syntactically valid e-mail address (RFC 5321 and 6531, at most 254 octets). The domain is lower-cased; "
            "the local part is kept as sent."
        ),
        specified_by_url="https://www.rfc-editor.org/rfc/rfc5321#section-4.1.2",
        serialize=str,
        parse_value=_no_input,
    ),
    URL: strawberry.scalar(
        name="URL",
        description="An absolute http or https URL of at most 2048 characters.",
        specified_by_url="https://url.spec.whatwg.org/",
        serialize=str,
        parse_value=_no_input,
    ),
    JSONObject: strawberry.scalar(
        name="JSONObject",
        description="A JSON object. Arrays and bare values are refused at the top level.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc8259#section-4",
        serialize=dict,
        parse_value=_read_object,
    ),
    Upload: strawberry.scalar(
        name="Upload",
        description="A file part of a GraphQL multipart request. It cannot be written inline.",
        specified_by_url="https://github.com/jaydenseric/graphql-multipart-request-spec",
        serialize=_no_input,
        parse_value=_read_file,
    ),
}
