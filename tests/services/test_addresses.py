"""What is an address: known cases, the fast path against the library, and the service against the verifier."""

import re

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services import addresses
from verifier.engine import syntax

CHARACTERS = st.sampled_from("abzAZ019.-_+@'\"\\ ()<>,;:[]!#$%&*/=?^`{|}~\t\n\0éßü\u0131\u212a\u200b\u3002\uff0e中")
LABELS = st.from_regex(r"\A[a-zA-Z0-9-]{1,5}\Z") | st.sampled_from(
    ["test", "com", "example", "local", "onion", "arpa", "xn--bcher-kva", "bücher", "ab--c", "c1", "1c", "x" * 63]
)
NEARLY_ADDRESSES = st.builds(
    "{}@{}".format,
    st.text(CHARACTERS, max_size=12) | st.sampled_from(["alice", "a" * 64, "a" * 65, '"a b"', "a.b", "é"]),
    st.lists(LABELS, min_size=1, max_size=5).map(".".join),
)


@pytest.mark.parametrize(
    ("text", "email"),
    [
        ("alice@example.com", "alice@example.com"),
        ("  alice@EXAMPLE.com\t\n", "alice@example.com"),
        ("Alice@example.com", "Alice@example.com"),
        ("a.b+c=d@sub.example.co.uk", "a.b+c=d@sub.example.co.uk"),
        ("o'neil@example.com", "o'neil@example.com"),
        ("alice@bücher.de", "alice@xn--bcher-kva.de"),
        ("alice@XN--BCHER-KVA.de", "alice@xn--bcher-kva.de"),
        ("jürgen@example.com", "jürgen@example.com"),
        ('"john smith"@example.com', '"john smith"@example.com'),
        ("a" * 64 + "@example.com", "a" * 64 + "@example.com"),
        ("alice@ok.mailverdict.test", "alice@ok.mailverdict.test"),
        ("alice@1and1.com", "alice@1and1.com"),
    ],
)
def test_an_address_is_normalised_in_its_domain_alone(text: str, email: str) -> None:
    found = addresses.parse(text)
    assert found == addresses.Address(email, email.rpartition("@")[2])


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "@",
        "alice",
        "alice@",
        "@example.com",
        "alice@example",
        "alice@@example.com",
        "alice@bob@example.com",
        ".alice@example.com",
        "alice.@example.com",
        "al..ice@example.com",
        "al ice@example.com",
        "alice@exa mple.com",
        "alice@-example.com",
        "alice@example-.com",
        "alice@example..com",
        "alice@example.com.",
        "alice@ab--cd.com",
        "alice@xn--a.com",
        "alice@exa_mple.com",
        "alice@example.c1",
        "alice@example.123",
        "alice@[192.0.2.1]",
        "alice@192.0.2.1",
        "alice@localhost",
        "alice@printer.local",
        "alice@hidden.onion",
        "alice@example.invalid",
        "a" * 65 + "@example.com",
        "a@" + ".".join(["x" * 62] * 4) + ".com",
        "a@" + "x" * 64 + ".com",
        "Alice <alice@example.com>",
        "alice@example.com, bob@example.com",
        "alice@example.com\r\nRCPT TO:<bob@example.com>",
        "al\0ice@example.com",
        "alice@example.com\u200b",
        "\ud800@example.com",
        "=cmd|'/c calc'!A1",
        "x" * 100_000,
    ],
)
def test_what_is_no_address_is_malformed(text: str) -> None:
    assert addresses.parse(text) is None


@given(NEARLY_ADDRESSES)
@example("a@b.c1")
@example("a@b.alt")
@settings(max_examples=300, deadline=None)
def test_the_fast_path_takes_only_what_the_library_takes_and_changes_nothing_else(text: str) -> None:
    match = addresses._PLAIN.fullmatch(text)
    found = addresses.parse(text)
    if match is None or len(text) > addresses.ADDRESS_CHARACTERS_MAX:
        return
    try:
        library = validate_email(text, check_deliverability=False, strict=True, test_environment=True)
    except EmailNotValidError:
        assert found is None
    else:
        assert found == addresses.Address(library.normalized, library.ascii_domain)


@given(NEARLY_ADDRESSES | st.text(CHARACTERS, max_size=20))
@example("e\u0301@example.com")
@example("a@" + "e\u0301" * 50 + ".de")
@example(" \x1fa@example.com")
@example("a@example.com\x85")
@example('"a\x7fb"@example.com')
@example('"' + "é" * 200 + '"@example.com')
@settings(max_examples=400, deadline=None)
def test_service_and_verifier_agree_on_what_an_address_is(text: str) -> None:
    ours, theirs = addresses.parse(text), syntax.parse(text)
    if isinstance(theirs, syntax.Address):
        assert ours == addresses.Address(theirs.email, theirs.domain)
    else:
        assert ours is None


@given(NEARLY_ADDRESSES)
@settings(max_examples=150, deadline=None)
def test_a_normal_form_is_its_own_normal_form(text: str) -> None:
    found = addresses.parse(text)
    if found is not None:
        assert addresses.parse(found.email) == found
        assert re.fullmatch(r"[a-z0-9.-]+", found.domain)
