"""How long others ask us to wait (RFC 9110, section 10.2.3)."""

from collections.abc import Mapping


def seconds(headers: Mapping[str, str], *, most: float) -> float | None:
    """What a Retry-After header asks for, at most so many seconds; None without one, and for its form of a date."""
    value = headers.get("retry-after", "")
    return min(float(value), most) if value.isascii() and value.isdigit() else None
