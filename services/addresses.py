"""Which text is an address, and when two are the same: domain lower-cased and in A-labels, local part as sent."""

import re
from typing import NamedTuple

from email_validator import EmailNotValidError, validate_email

ADDRESS_CHARACTERS_MAX = 254

# What this matches, the library accepts unchanged but for the domain's case (a property test holds the two together):
# dot-atoms of at most 64 and labels of at most 63 ASCII characters, the last label with a letter at both ends, none
# with hyphens in third and fourth place (those may be A-labels and need IDNA's rules).
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"(?!..--)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_PLAIN = re.compile(
    rf"(?=.{{1,64}}@)({_ATOM}(?:\.{_ATOM})*)@((?:{_LABEL}\.)+(?!..--)[A-Za-z](?:[A-Za-z0-9-]{{0,61}}[A-Za-z])?)"
)
_RESERVED_LABELS = frozenset({"arpa", "invalid", "local", "localhost", "onion", "example", "alt"})


class Address(NamedTuple):
    """A well-formed address, normalised."""

    email: str
    domain: str


def parse(text: str) -> Address | None:
    """The address in a text; None where there is none (RFC 5321 and 6531; no comments, no address literals)."""
    found = read(text)
    return found if isinstance(found, Address) else None


def read(text: str) -> Address | str:
    """The address in a text, or the sentence that says why it is none."""
    text = text.strip()
    if not 3 <= len(text) <= ADDRESS_CHARACTERS_MAX:
        return f"An address has 3 to {ADDRESS_CHARACTERS_MAX} characters; this text has {len(text)}."
    match = _PLAIN.fullmatch(text)
    if match is not None:
        domain = match[2].lower()
        if domain.rpartition(".")[2] not in _RESERVED_LABELS:
            return Address(f"{match[1]}@{domain}", domain)
    try:
        found = validate_email(
            text,
            check_deliverability=False,
            allow_smtputf8=True,
            allow_quoted_local=True,
            strict=True,
            test_environment=True,  # the sandbox's domains end in .test
        )
    except EmailNotValidError as error:
        return str(error)
    local = text.rpartition("@")[0]  # as sent: the library would normalise it
    return Address(f"{local}@{found.ascii_domain}", found.ascii_domain)


def stored_domain(text: str) -> str:
    """The domain of addresses as it is stored: in lower case and A-labels. Of what is none, the lower case alone."""
    found = parse(f"a@{text}")
    return found.domain if found is not None else text.lower()
