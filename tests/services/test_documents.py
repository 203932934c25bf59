"""Documents: their bounds, and the merge patch of RFC 7396."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services import documents
from services.errors import Invalid, TooLarge

KIB = 1024


def depth(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


def test_a_document_has_at_most_32_levels() -> None:
    chain: Any = 1
    for n in range(32):
        chain = {"a": chain} if n % 2 else [chain]
    assert documents.checked(chain, "It", bytes_max=KIB) == chain
    with pytest.raises(TooLarge, match="at most 32 levels"):
        documents.checked({"a": chain}, "It", bytes_max=KIB)


def test_a_document_has_at_most_so_many_bytes() -> None:
    fits = {"a": "x" * (KIB - len('{"a":""}'))}
    assert documents.checked(fits, "It", bytes_max=KIB) == fits
    with pytest.raises(TooLarge, match=r"It has at most 1 KiB as JSON; this has 1\.0\."):
        documents.checked({"a": fits["a"] + "x"}, "It", bytes_max=KIB)
    with pytest.raises(TooLarge):
        documents.checked({"a": "é" * (KIB // 2)}, "It", bytes_max=KIB)
    with pytest.raises(TooLarge):  # a thousand digits in three numbers
        documents.checked({"a": [1e300, 1e-300, -2.5e300, 1e250]}, "It", bytes_max=KIB)


@pytest.mark.parametrize(
    "value",
    ["a\0b", "\ud800", float("inf"), float("nan"), 1 << 64, -(1 << 63) - 1, int("5" * 4000), {"\0": 1}],
    ids=["NUL", "surrogate", "infinity", "no number", "65 bits", "-65 bits", "4,000 digits", "NUL in a key"],
)
def test_what_postgresql_cannot_keep_is_refused_in_words(value: object) -> None:
    with pytest.raises(Invalid, match=r"^It (holds|cannot be kept)") as caught:
        documents.checked({"a": [value]}, "It", bytes_max=KIB, field=("input", "document"))
    assert caught.value.field == ["input", "document"]


# The table of RFC 7396, appendix A, as far as both sides are objects.
@pytest.mark.parametrize(
    ("document", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ({"a": "foo"}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({"a": [1, None]}, {"b": [None]}, {"a": [1, None], "b": [None]}),
    ],
)
def test_a_patch_is_merged_as_the_rfc_says(
    document: dict[str, Any], patch: dict[str, Any], result: dict[str, Any]
) -> None:
    before = repr((document, patch))
    assert documents.merged(document, patch) == result
    assert repr((document, patch)) == before


values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=1), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.text("abc", max_size=1), values, max_size=3)


@given(objects, objects)
def test_a_patch_applied_twice_is_applied_once_and_leaves_no_null_of_its_own(
    document: dict[str, Any], patch: dict[str, Any]
) -> None:
    once = documents.merged(document, patch)
    assert documents.merged(once, patch) == once
    assert set(once) == {name for name in {*document, *patch} if name not in patch or patch[name] is not None}
    assert depth(once) <= max(depth(document), depth(patch))
