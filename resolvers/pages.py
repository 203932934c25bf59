"""Keyset connections: arguments checked, cursors opaque, the total counted only when it is asked for."""

import base64
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, NamedTuple, TypedDict, TypeVar, Unpack
from uuid import UUID

import orjson

from db import models
from db.queries.pages import Slice, Window
from db.session import Database
from services.errors import BadRequest

DEFAULT_SIZE = 20
SIZE_MAX = 100
_CURSOR_CHARACTERS_MAX = 1024

RowT = TypeVar("RowT")
TimedT = TypeVar("TimedT", bound=models.Account | models.ApiKey | models.AuditEvent | models.Purchase | models.Webhook)
Decode = Callable[[list[Any]], tuple[Any, ...]]


class Place(TypedDict, total=False):
    """The arguments of every connection: which part of its list is asked for."""

    first: int | None
    after: str | None
    last: int | None
    before: str | None


@dataclass(frozen=True, slots=True)
class PageInfo:
    """Where a page sits in its list."""

    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None


class Edge(NamedTuple, Generic[RowT]):
    """One item, with the sort values that its cursor is made of when it is asked for."""

    place: tuple[Any, ...]
    node: RowT

    @property
    def cursor(self) -> str:
        """Where the item sits."""
        return cursor(*self.place)


@dataclass(frozen=True, slots=True)
class Page(Generic[RowT]):
    """One page of a list; `count` counts the whole list."""

    edges: Sequence[Edge[RowT]]
    has_next: bool
    has_previous: bool
    count: Callable[[], Awaitable[int]]

    @property
    def nodes(self) -> list[RowT]:
        """The items without their cursors."""
        return [edge.node for edge in self.edges]

    @property
    def page_info(self) -> PageInfo:
        """Where this page sits."""
        start = self.edges[0].cursor if self.edges else None
        end = self.edges[-1].cursor if self.edges else None
        return PageInfo(self.has_next, self.has_previous, start, end)


async def total_count(_info: Any, root: Page[Any]) -> int:  # noqa: ANN401 - every resolver takes it
    """How many items match in all."""
    return await root.count()


def time_and_id(values: list[Any]) -> tuple[datetime, UUID]:
    """Decode the sort values of a list by time, newest first or last: a moment and the id of the row."""
    moment, row_id = values
    return datetime.fromisoformat(moment), UUID(row_id)


def window(
    first: int | None = None,
    after: str | None = None,
    last: int | None = None,
    before: str | None = None,
    decode: Decode = time_and_id,
) -> Window:
    """The rows that the four arguments name.

    Raises:
        BadRequest: a size out of range, both sizes, or a cursor that is not one of this list.

    """
    if first is not None and last is not None:
        raise BadRequest("Give `first` or `last`, not both.")
    for name, size in (("first", first), ("last", last)):
        if size is not None and not 1 <= size <= SIZE_MAX:
            raise BadRequest(f"`{name}` is 1 to {SIZE_MAX}.")
    return Window(
        size=last if last is not None else first if first is not None else DEFAULT_SIZE,
        is_backward=last is not None,
        after=_decode(after, decode) if after is not None else None,
        before=_decode(before, decode) if before is not None else None,
    )


async def by_time(
    db: Database,
    page: Callable[..., Awaitable[Slice[tuple[TimedT]]]],
    count: Callable[..., Awaitable[int]],
    *of: object,
    **at: Unpack[Place],
) -> Page[TimedT]:
    """One page of a list by time. `page` and `count` take a session and whose list it is; `page` the window as well."""
    rows = window(**at)
    async with db.read() as session:
        found = await page(session, *of, rows)
    edges = [Edge((row.created_at, row.id), row) for (row,) in found.rows]

    async def counted() -> int:
        async with db.read() as session:
            return await count(session, *of)

    return Page(edges, found.has_next, found.has_previous, counted)


def cursor(*values: Any) -> str:  # noqa: ANN401 - sort values of any type that JSON holds
    """The cursor of an item by its sort values."""
    return base64.urlsafe_b64encode(orjson.dumps(values, default=str)).decode().rstrip("=")


def _decode(text: str, decode: Decode) -> tuple[Any, ...]:
    try:
        if len(text) > _CURSOR_CHARACTERS_MAX:
            raise ValueError
        values = orjson.loads(base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), b"-_", validate=True))
        if not isinstance(values, list):
            raise TypeError
        return tuple(_storable(value) for value in decode(values))
    except (ValueError, TypeError, AttributeError, OverflowError) as error:  # UUID raises the first three
        raise BadRequest("This cursor is not one of this list.") from error


def _storable(value: Any) -> Any:  # noqa: ANN401 - sort values of any type that JSON holds
    """The value; raises ValueError or OverflowError for one that no row can have, and that PostgreSQL would refuse."""
    if (isinstance(value, str) and "\0" in value) or (isinstance(value, int) and abs(value) >= 1 << 63):
        raise ValueError
    return value.astimezone(UTC) if isinstance(value, datetime) else value
