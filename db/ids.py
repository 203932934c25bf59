"""Global ids: `<kind>_<22 base62 digits of a UUID>`, and UUIDs that sort by time (RFC 9562, version 7)."""

import functools
import os
import time
from datetime import UTC, datetime
from uuid import UUID

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PAIRS = [first + second for first in _DIGITS for second in _DIGITS]
_VALUES = {digit: value for value, digit in enumerate(_DIGITS)}
_UUID_DIGITS = 22


def new_uuid() -> UUID:
    """A version 7 UUID: 48 bits of milliseconds, then 74 random bits, so that keys grow with time."""
    milliseconds = time.time_ns() // 1_000_000
    random_bits = int.from_bytes(os.urandom(10), "big")
    number = milliseconds << 80 | random_bits
    number = number & ~(0xF << 76) | 0x7 << 76
    number = number & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=number)


def made_at(uuid: UUID) -> datetime:
    """When a version 7 UUID was made, to the millisecond."""
    return datetime.fromtimestamp((uuid.int >> 80) / 1000, UTC)


def encode(number: int, width: int = 0) -> str:
    """A number in base62, left-padded with zeros to `width`."""
    pairs = []
    while number:
        number, rest = divmod(number, 3844)  # two digits at a time: every list of ids is made here
        pairs.append(_PAIRS[rest])
    pairs.reverse()
    return "".join(pairs).lstrip("0").rjust(width, "0")


def decode(text: str) -> int | None:
    """The number behind base62 digits; None for anything else."""
    number = 0
    for digit in text:
        value = _VALUES.get(digit)
        if value is None:
            return None
        number = number * 62 + value
    return number


@functools.lru_cache(maxsize=10_000)
def global_id(kind: str, uuid: UUID) -> str:
    """The public id of a row. Remembered, as its digits are."""
    return f"{kind}_{_digits(uuid)}"


@functools.lru_cache(maxsize=10_000)
def _digits(uuid: UUID) -> str:
    """Remembered: whoever follows tasks asks for the same ids again and again. Some 3 MB when it is full."""
    return encode(uuid.int, _UUID_DIGITS)


@functools.lru_cache(maxsize=10_000)
def _uuid(digits: str) -> UUID | None:
    """Remembered, as `_digits` is."""
    number = decode(digits)
    return UUID(int=number) if number is not None and number < 1 << 128 else None


def parse(kind: str, text: str) -> UUID | None:
    """The UUID behind a public id of this kind; None for what cannot be one (such an id is not found, not an error)."""
    prefix, separator, digits = text.rpartition("_")
    if prefix != kind or not separator or len(digits) != _UUID_DIGITS:
        return None
    return _uuid(digits)


def row_id(kind: str, uuid: UUID, number: int) -> str:
    """The public id of a numbered row of a parent: the parent's digits, a dash, the number in base62."""
    return f"{kind}_{_digits(uuid)}-{encode(number)}"


def parse_row(kind: str, text: str) -> tuple[UUID, int] | None:
    """Parent and number behind a `row_id`; None for what cannot be one."""
    head, separator, digits = text.rpartition("-")
    uuid = parse(kind, head) if separator else None
    number = decode(digits) if 0 < len(digits) <= 6 and not digits.startswith("0") else None
    return (uuid, number) if uuid is not None and number is not None and number < 1 << 31 else None
