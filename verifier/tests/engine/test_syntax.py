"""What is an address, and what is its normal form."""

import email_validator
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from verifier.engine import syntax
from verifier.engine.syntax import Address, Malformed

_LOCAL_CHARS = "abcXYZ019.!#$%&'*+-/=?^_`{|}~\"\\@ (),:;<>é\t"
_DOMAIN_CHARS = "abcXYZ019.-_é\u3002ß"


@pytest.mark.parametrize(
    ("text", "email"),
    [
        ("Alice@Example.COM", "Alice@example.com"),
        ("  alice@example.com\t\n", "alice@example.com"),
        ("Info@example.com", "Info@example.com"),
        ("alice@bücher.example", "alice@xn--bcher-kva.example"),
        ("alice@xn--bcher-kva.example", "alice@xn--bcher-kva.example"),
        ('"john smith"@example.com', '"john smith"@example.com'),
        ("alice@ok.mailverdict.test", "alice@ok.mailverdict.test"),
        ("jürgen@example.com", "jürgen@example.com"),
        ("a+b=c@example.co.uk", "a+b=c@example.co.uk"),
    ],
)
def test_an_address_is_brought_to_its_normal_form(text: str, email: str) -> None:
    parsed = syntax.parse(text)
    assert isinstance(parsed, Address)
    assert parsed.email == email
    assert syntax.parse(parsed.email) == parsed


@pytest.mark.parametrize(
    "text",
    [
        "",
        "alice",
        "alice@",
        "@example.com",
        "a@b",
        "a..b@example.com",
        ".a@example.com",
        "a.@example.com",
        "a b@example.com",
        "alice@exa mple.com",
        "alice@-example.com",
        "alice@example-.com",
        "alice@example..com",
        "alice@ab--cd.com",
        "alice@example.123",
        "alice@localhost.localdomain.local",
        "alice@[127.0.0.1]",
        "Alice <alice@example.com>",
        "alice@example.com, bob@example.com",
        "alice@example.com\r\nRCPT TO:<bob@example.com>",
        "al\x00ice@example.com",
        '"a\tb"@example.com',
        "al\x85ice@example.com",
        "a" * 65 + "@example.com",
        "a@" + "b" * 64 + ".com",
        "a" * 60 + "@" + "b" * 60 + "." + "c" * 60 + "." + "d" * 60 + "." + "e" * 20 + ".com",
        "x" * 5000,
    ],
)
def test_what_is_no_address_is_malformed_and_says_why(text: str) -> None:
    parsed = syntax.parse(text)
    assert isinstance(parsed, Malformed)
    assert parsed.problem


def test_only_a_local_part_outside_ascii_needs_smtputf8() -> None:
    jurgen, bucher = syntax.parse("jürgen@example.com"), syntax.parse("a@bücher.example")
    assert isinstance(jurgen, Address)
    assert isinstance(bucher, Address)
    assert jurgen.needs_smtputf8
    assert not bucher.needs_smtputf8


@given(
    st.text(_LOCAL_CHARS, min_size=1, max_size=70),
    st.lists(st.text(_DOMAIN_CHARS, min_size=1, max_size=66), min_size=1, max_size=4),
)
@example("a", ["ab--cd", "com"])
@example("a", ["xn--a", "com"])
@example("a" * 64, ["b" * 63, "c" * 63, "d" * 60, "com"])
@example("a", ["x", "1com"])
@example("a", ["x", "com1"])
@example("a", ["foo", "test"])
@example("a", ["foo", "local"])
@example("a", ["test"])
def test_the_fast_path_agrees_with_email_validator(local: str, labels: list[str]) -> None:
    text = f"{local}@{'.'.join(labels)}".strip()
    try:
        found = email_validator.validate_email(
            text,
            strict=True,
            allow_quoted_local=True,
            allow_smtputf8=True,
            check_deliverability=False,
            test_environment=True,
        )
    except email_validator.EmailNotValidError:
        assert isinstance(syntax.parse(text), Malformed)
        return
    parsed = syntax.parse(text)
    if "\t" in text:
        assert isinstance(parsed, Malformed)
        return
    assert isinstance(parsed, Address)
    assert parsed.domain == found.ascii_domain.lower()
    assert parsed.local == text.rpartition("@")[0]
    assert parsed.needs_smtputf8 == found.smtputf8
