"""JSON objects that people send to be kept: their bounds, and the merge patch."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from services.errors import Invalid, TooLarge

LEVELS_MAX = 32


def checked(
    document: Mapping[str, Any], name: str, *, bytes_max: int, field: Sequence[str] | None = None
) -> dict[str, Any]:
    """A document that is small and flat enough, and that PostgreSQL can keep. `name` begins the sentence of an error.

    A number counts with all its digits, as PostgreSQL writes it: 1e300 has 301.

    Raises:
        TooLarge: more than `bytes_max` bytes as JSON without spaces, or more than LEVELS_MAX levels.
        Invalid: a NUL character, half a surrogate pair, a number that is not finite or an integer beyond 64 bits.

    """
    zeros = 0
    for value in _values(document, name, field):
        if isinstance(value, str) and "\0" in value:
            raise Invalid(f"{name} holds a NUL character.", field=field)
        if isinstance(value, float):
            if not math.isfinite(value):
                raise Invalid(f"{name} holds a number that is not finite.", field=field)
            zeros += abs(int(repr(value).partition("e")[2] or 0))
    try:
        written = orjson.dumps(document)
    except orjson.JSONEncodeError as error:
        raise Invalid(f"{name} cannot be kept as JSON: {error}.", field=field) from error
    if len(written) + zeros > bytes_max:
        raise TooLarge(
            f"{name} has at most {bytes_max // 1024} KiB as JSON; this has {(len(written) + zeros) / 1024:.1f}.",
            field=field,
        )
    return dict(document)


def _values(document: Mapping[str, Any], name: str, field: Sequence[str] | None) -> Iterator[Any]:
    """Every key and every value that holds no others."""
    level: list[Any] = [document]
    for _ in range(LEVELS_MAX):
        below: list[Any] = []
        for container in level:
            if isinstance(container, Mapping):
                yield from container
            for value in container.values() if isinstance(container, Mapping) else container:
                if isinstance(value, Mapping | list):
                    below.append(value)
                else:
                    yield value
        if not below:
            return
        level = below
    raise TooLarge(f"{name} has at most {LEVELS_MAX} levels.", field=field)


def merged(document: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """The document after a JSON merge patch (RFC 7396): null removes, an object is merged in, all else replaces."""
    result = dict(document)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, Mapping):
            there = result.get(name)
            result[name] = merged(there if isinstance(there, Mapping) else {}, value)
        else:
            result[name] = value
    return result
