"""Which media type answers which Accept header."""

import pytest

from app.graphql import negotiation
from app.graphql.negotiation import EVENT_STREAM, GRAPHQL_RESPONSE, JSON

URQL = (
    "application/graphql-response+json, application/graphql+json, application/json, text/event-stream, multipart/mixed"
)
APOLLO = "application/graphql-response+json,application/json;q=0.9"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        ("application/json", JSON),
        ("APPLICATION/JSON; Charset=UTF-8", JSON),
        ("application/graphql-response+json", GRAPHQL_RESPONSE),
        (APOLLO, GRAPHQL_RESPONSE),
        (URQL, GRAPHQL_RESPONSE),
        ("text/event-stream", EVENT_STREAM),
        ("text/*", EVENT_STREAM),
        ("text/event-stream, multipart/mixed", EVENT_STREAM),
        ("text/event-stream;q=0.5, */*;q=0.1", EVENT_STREAM),
        ("text/event-stream;q=0.5, application/json", JSON),
        ("application/json;q=0, */*", GRAPHQL_RESPONSE),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", JSON),
        ("application/json; charset=iso-8859-1", None),
        ("application/json;q=x", None),
        ("application/json;q=0", None),
        ("image/png", None),
        (";;,,", None),
    ],
)
def test_the_answer_is_what_the_client_prefers(accept: str | None, expected: str | None) -> None:
    assert negotiation.preferred(accept) == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, ("", True)),
        ("application/json", ("application/json", True)),
        ('Application/JSON; charset="UTF-8"', ("application/json", True)),
        ("application/json; charset=utf-16", ("application/json", False)),
        ("text/plain; application/json", ("text/plain", True)),
        ("multipart/form-data; boundary=x", ("multipart/form-data", True)),
    ],
)
def test_a_content_type_is_read_whole(header: str | None, expected: tuple[str, bool]) -> None:
    assert negotiation.content_type(header) == expected
