"""JSON in and out: orjson, with the standard library behind it for the values that orjson will not write."""

import datetime as dt
import json

import orjson


def decode(data: bytes | str) -> object:
    """Read JSON.

    Raises json.JSONDecodeError, also for invalid UTF-8, a lone surrogate, 1,025 levels, a number beyond a double.
    """
    return orjson.loads(data)


def encode(value: object) -> bytes:
    """Write `value` as JSON in UTF-8.

    A lone surrogate, which UTF-8 cannot hold, is written as an escape; an integer of more than 64 bits with all its
    digits; a moment in UTC by RFC 3339, with a Z. Raises TypeError for what is no JSON value.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_UTC_Z)
    except TypeError:
        return json.dumps(value, separators=(",", ":"), default=_moment).encode()


def _moment(value: object) -> str:
    if not isinstance(value, dt.date):
        raise TypeError(type(value).__name__)
    return value.isoformat().replace("+00:00", "Z")
