"""Keyset pages: ordered by one column and the id, cut off at a row, never by counting rows before it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Select, tuple_

from db.session import ReadSession

RowT = TypeVar("RowT")


@dataclass(frozen=True, slots=True)
class Window:
    """Which rows of an ordered list to read.

    `size` rows from the start, or from the end when `is_backward`; `after` and `before` are the sort values of a row.
    """

    size: int
    is_backward: bool = False
    after: tuple[Any, ...] | None = None
    before: tuple[Any, ...] | None = None


@dataclass(frozen=True, slots=True)
class Slice(Generic[RowT]):
    """The rows of a window in the list's order, and whether rows lie on either side of it."""

    rows: Sequence[RowT]
    has_next: bool
    has_previous: bool


async def read(
    session: ReadSession,
    statement: Select[Any],
    columns: Sequence[ColumnElement[Any]],
    window: Window,
    *,
    is_descending: bool = False,
) -> Slice[Any]:
    """Read one window of `statement` in the order of `columns`, which must tell every row apart. One statement."""
    key = tuple_(*columns)
    if window.after is not None:
        statement = statement.where(key < window.after if is_descending else key > window.after)
    if window.before is not None:
        statement = statement.where(key > window.before if is_descending else key < window.before)
    is_falling = is_descending is not window.is_backward
    statement = statement.order_by(*(c.desc() if is_falling else c.asc() for c in columns)).limit(window.size + 1)
    found = list(await session.execute(statement))
    has_more = len(found) > window.size
    found = found[: window.size]
    if window.is_backward:
        found.reverse()
        return Slice(found, has_next=window.before is not None, has_previous=has_more)
    return Slice(found, has_next=has_more, has_previous=window.after is not None)
