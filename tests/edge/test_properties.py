"""Whatever comes in, the edge answers or refuses: it never breaks."""

import contextlib
import io
import json

import pytest
from graphql import build_schema, parse
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import FormData, UploadFile

from app.graphql import body, codec, negotiation
from app.graphql.refusal import Refused
from schema import limits

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
PARAMETERS = st.dictionaries(st.sampled_from(["query", "variables", "operationName", "extensions"]), ANY_JSON)
PATHS = st.lists(st.sampled_from(["variables", "input", "file", "0", "-1", "9", "", "²"]), max_size=4).map(".".join)
SCHEMA = build_schema("type Query { a: Int q(first: Int): Query }")


@given(ANY_JSON | PARAMETERS)
def test_parameters_are_an_operation_or_a_refusal(parameters: object) -> None:
    with contextlib.suppress(Refused):
        assert body.operation(parameters).query.strip()


@given(PARAMETERS, ANY_JSON | st.dictionaries(st.sampled_from(["0", "1"]), st.lists(PATHS | ANY_JSON, max_size=3)))
def test_a_map_puts_files_in_place_or_is_refused(parameters: dict[str, object], places: object) -> None:
    form = FormData([("0", UploadFile(io.BytesIO(b"x"), filename="x"))])
    with contextlib.suppress(Refused):
        body._put_files(parameters, places, form)


@given(st.text() | st.from_regex(r"\A([a-z*]{1,5}/[a-z*+-]{1,8}(;q=[0-9.]{1,4})?,? ?){0,5}\Z"))
def test_any_accept_header_is_read(accept: str) -> None:
    assert negotiation.preferred(accept) in (*negotiation.ANSWERS, None)


@given(st.text())
def test_any_content_type_is_read(header: str) -> None:
    name, _ = negotiation.content_type(header)
    assert name == name.strip()


@given(st.binary(max_size=200))
def test_bytes_are_json_or_a_decode_error(data: bytes) -> None:
    with contextlib.suppress(json.JSONDecodeError):
        codec.decode(data)


@given(ANY_JSON | st.integers(min_value=2**64) | st.characters(categories=["Cs"]))
def test_what_is_written_reads_as_the_same(value: object) -> None:
    assert json.loads(codec.encode(value)) == value


FIELDS = st.recursive(
    st.sampled_from(["a", "x: a", "...f", "...g", "a @skip(if: true)", "unknown { b }", "__typename"]),
    lambda inner: st.lists(inner, min_size=1, max_size=3).map(lambda parts: "q(first: 2) { " + " ".join(parts) + " }"),
    max_leaves=10,
)


@given(FIELDS, FIELDS, FIELDS)
def test_any_document_is_measured(root: str, first: str, second: str) -> None:
    text = f"{{ {root} }} fragment f on Query {{ {first} }} fragment g on Nowhere {{ {second} }}"
    errors, cost = limits.check(SCHEMA, parse(text))
    assert cost >= 0
    assert len(errors) <= 1


def test_a_file_that_is_not_in_the_form_is_refused() -> None:
    with pytest.raises(Refused):
        body._put_files({"variables": {"file": None}}, {"0": ["variables.file"]}, FormData())
