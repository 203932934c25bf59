"""The first step: is the text an address at all, and what is its normal form."""

import re
import unicodedata
from dataclasses import dataclass

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

_TEXT_LENGTH_MAX = 1024
_ADDRESS_LENGTH_MAX = 254
_DOMAIN_LENGTH_MAX = 253

# The fast path knows plain ASCII addresses only; all else goes to email-validator, which is the law.
_PLAIN = re.compile(
    r"(?P<local>(?=.{1,64}@)[A-Za-z0-9_!#$%&'*+\-/=?^`{|}~]+(?:\.[A-Za-z0-9_!#$%&'*+\-/=?^`{|}~]+)*)"
    r"@(?P<domain>(?:(?!..--)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+"
    r"(?!..--)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)"
)
_SPECIAL_USE = tuple("." + name for name in SPECIAL_USE_DOMAIN_NAMES if name != "test")


@dataclass(frozen=True, slots=True)
class Address:
    """An address in its normal form: the local part as it was given, the domain lower-case in A-labels."""

    local: str
    domain: str
    needs_smtputf8: bool = False

    @property
    def email(self) -> str:
        """The whole address; equal for two texts that mean the same address."""
        return f"{self.local}@{self.domain}"


@dataclass(frozen=True, slots=True)
class Malformed:
    """A text that is no address: the trimmed text and what is wrong with it, in words."""

    text: str
    problem: str


def parse(text: str) -> Address | Malformed:
    """Return the address that a text holds (RFC 5321 section 4.1.2, RFC 6531), or what is wrong with it.

    Blanks around it are trimmed. Names under `.test` are accepted (the sandbox lives there), other special-use names
    are not.
    """
    trimmed = text.strip()
    if len(trimmed) > _TEXT_LENGTH_MAX:
        return Malformed(trimmed[:_TEXT_LENGTH_MAX], "The address is too long.")
    if plain := _parse_plain(trimmed):
        return plain
    if any(unicodedata.category(char) == "Cc" for char in trimmed):
        return Malformed(trimmed, "The address holds a control character.")
    return _parse_fully(trimmed)


def _parse_plain(text: str) -> Address | None:
    """Return the address if it is plain ASCII and surely valid, else None: nothing is refused here."""
    match = _PLAIN.fullmatch(text)
    if match is None or len(text) > _ADDRESS_LENGTH_MAX:
        return None
    domain = match["domain"].lower()
    if len(domain) > _DOMAIN_LENGTH_MAX or not domain[-1].isalpha() or domain.endswith(_SPECIAL_USE):
        return None
    return Address(match["local"], domain)


def _parse_fully(text: str) -> Address | Malformed:
    try:
        found = validate_email(
            text,
            strict=True,
            allow_quoted_local=True,
            allow_smtputf8=True,
            check_deliverability=False,
            test_environment=True,
        )
    except EmailNotValidError as error:
        return Malformed(text, str(error))
    # A domain holds no @, so what stands before the last one is the local part as it was given.
    return Address(text.rpartition("@")[0], found.ascii_domain.lower(), needs_smtputf8=found.smtputf8)
