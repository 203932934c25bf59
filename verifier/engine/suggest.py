"""The address that was probably meant: a listed slip, or one slip away from a known provider."""

from verifier.engine import lists
from verifier.engine.evidence import Reason
from verifier.engine.syntax import Address

_NO_MAIL = frozenset({Reason.NO_DOMAIN, Reason.NO_MAIL_HOST, Reason.NULL_MX})
_LENGTH_MIN = 5


def suggest(address: Address, reason: Reason) -> str | None:
    """Return the address that was meant, or None. A domain that takes mail is only doubted when it is a listed slip."""
    meant = lists.typos().get(address.domain)
    if meant is None and reason in _NO_MAIL and len(address.domain) >= _LENGTH_MIN:
        meant = next((known for known in lists.known_providers() if is_one_slip(address.domain, known)), None)
    return f"{address.local}@{meant}" if meant else None


def is_one_slip(typed: str, meant: str) -> bool:
    """Tell whether a letter was added, left out, changed or swapped with its neighbour (Damerau-Levenshtein 1)."""
    if typed == meant or abs(len(typed) - len(meant)) > 1:
        return False
    start = next((i for i, (a, b) in enumerate(zip(typed, meant, strict=False)) if a != b), min(len(typed), len(meant)))
    rest_typed, rest_meant = typed[start:], meant[start:]
    return (
        rest_typed[1:] == rest_meant[1:]
        or rest_typed[1:] == rest_meant
        or rest_typed == rest_meant[1:]
        or (rest_typed[:2] == rest_meant[1::-1] and rest_typed[2:] == rest_meant[2:])
    )
