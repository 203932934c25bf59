"""Keyset pages: ordered by one column and the id, cut off at a row, never by counting rows before it.

A list that lies below rows of another is read for all of these rows at once.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Select, SQLColumnExpression, Uuid, bindparam, func, select, true, tuple_
from sqlalchemy.orm import aliased

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
    columns: Sequence[SQLColumnExpression[Any]],
    window: Window,
    *,
    is_descending: bool = False,
) -> Slice[Any]:
    """Read one window of `statement` in the order of `columns`, which must tell every row apart. One statement."""
    return _slice(list(await session.execute(_cut(statement, columns, window, is_descending=is_descending))), window)


async def read_below(
    session: ReadSession,
    statement: Select[Any],
    columns: Sequence[ColumnElement[Any]],
    window: Window,
    parent: ColumnElement[Any],
    parent_ids: Sequence[UUID],
    *,
    is_descending: bool = False,
) -> dict[UUID, Slice[Any]]:
    """Read the same window of many lists, one below each parent: `parent` is the column that names it. One statement.

    Each row begins with the id of its parent. Every parent has a slice.
    """
    lists = below(statement, columns, window, parent, is_descending=is_descending)
    rows = await session.execute(lists, {"parent_ids": parent_ids})
    return slices_below(rows, window, parent_ids)


def below(
    statement: Select[Any],
    columns: Sequence[ColumnElement[Any]],
    window: Window,
    parent: ColumnElement[Any],
    *,
    is_descending: bool = False,
) -> Select[Any]:
    """The statement of `read_below`; its parameter `parent_ids` has the ids of the parents."""
    parents = func.unnest(bindparam("parent_ids", type_=ARRAY(Uuid()))).table_valued("id").render_derived("parents")
    # From the index of each list come as many rows as are shown, however long the lists are.
    cut = _cut(statement.where(parent == parents.c.id), columns, window, is_descending=is_descending).lateral("below")
    selected = [
        aliased(part["expr"], cut) if isinstance(part["expr"], type) else cut.c[part["name"]]
        for part in statement.column_descriptions
    ]
    order = _order([cut.c[column.key] for column in columns if column.key], window, is_descending=is_descending)
    return select(parents.c.id, *selected).join_from(parents, cut, true()).order_by(parents.c.id, *order)


def slices_below(rows: Iterable[Any], window: Window, parent_ids: Sequence[UUID]) -> dict[UUID, Slice[Any]]:
    """The slice of each parent, of rows that begin with the id of theirs and lie together."""
    found = {parent_id: list(below) for parent_id, below in groupby(rows, lambda row: row[0])}
    return {parent_id: _slice(found.get(parent_id, []), window) for parent_id in parent_ids}


async def count_below(
    session: ReadSession, statement: Select[Any], parent: ColumnElement[Any], parent_ids: Sequence[UUID]
) -> dict[UUID, int]:
    """Count the rows of `statement`, which selects nothing yet, below each parent. One statement."""
    statement = statement.add_columns(parent, func.count()).where(parent.in_(parent_ids)).group_by(parent)
    found = {row[0]: row[1] for row in await session.execute(statement)}
    return {parent_id: found.get(parent_id, 0) for parent_id in parent_ids}


def _cut(
    statement: Select[Any], columns: Sequence[SQLColumnExpression[Any]], window: Window, *, is_descending: bool
) -> Select[Any]:
    """The rows of a window, from its beginning on, and one more."""
    key = tuple_(*columns)
    if window.after is not None:
        statement = statement.where(key < window.after if is_descending else key > window.after)
    if window.before is not None:
        statement = statement.where(key > window.before if is_descending else key < window.before)
    return statement.order_by(*_order(columns, window, is_descending=is_descending)).limit(window.size + 1)


def _order(
    columns: Sequence[SQLColumnExpression[Any]], window: Window, *, is_descending: bool
) -> list[ColumnElement[Any]]:
    is_falling = is_descending is not window.is_backward
    return [column.desc() if is_falling else column.asc() for column in columns]


def _slice(found: list[Any], window: Window) -> Slice[Any]:
    has_more = len(found) > window.size
    found = found[: window.size]
    if window.is_backward:
        found.reverse()
        return Slice(found, has_next=window.before is not None, has_previous=has_more)
    return Slice(found, has_next=has_more, has_previous=window.after is not None)
