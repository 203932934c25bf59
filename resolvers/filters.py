"""Arguments of filters: bounded before they become part of a statement."""

from collections.abc import Sequence
from enum import Enum
from typing import TypeVar

from services.errors import BadRequest

EnumT = TypeVar("EnumT", bound=Enum)


def choices(name: str, values: Sequence[EnumT] | None) -> tuple[EnumT, ...] | None:
    """Each value once, so that there are never more than the enum has; None when the argument was not given.

    Raises:
        BadRequest: the list is empty.

    """
    if values is None:
        return None
    if not values:
        raise BadRequest(f"`{name}` takes at least one value.")
    return tuple(dict.fromkeys(values))


def text(name: str, value: str | None, *, characters_max: int) -> str | None:
    """The value as it is; None when the argument was not given.

    Raises:
        BadRequest: it is empty, too long, or holds a NUL, which PostgreSQL takes in no text.

    """
    if value is not None and not (1 <= len(value) <= characters_max and "\0" not in value):
        raise BadRequest(f"`{name}` takes 1 to {characters_max} characters, and no NUL.")
    return value
