"""Hot reads: statements of SQLAlchemy Core, compiled once, run by asyncpg on connections of their own.

What every request asks for spares itself what SQLAlchemy does each time: to build a statement, to find its text, to
give a connection and to make rows that could be changed. Rows are instances of the tables' classes all the same, which
no session takes. Each statement is for itself, as through `Database.read()`.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar
from uuid import UUID

import asyncpg
import orjson
from sqlalchemy import Enum, Select, inspect
from sqlalchemy.engine import make_url

from db import acting

RowT = TypeVar("RowT")

ACQUIRE_SECONDS = 30.0
IDLE_SECONDS = 300.0

_DIALECT = make_url("postgresql+asyncpg://").get_dialect()()
_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
)
"""What the driver raises when the connection that it has was lost: another one may do."""


class Read(Generic[RowT]):
    """A statement that reads rows of `tables`, all their columns in order, and perhaps some values after them.

    Its parameters are the statement's `bindparam`s. A row is an instance of the one table, or a tuple of instances and
    values.
    """

    def __init__(self, statement: Select[*tuple[Any, ...]], *tables: type) -> None:
        """Compile the statement."""
        compiled = statement.compile(dialect=_DIALECT)
        self.text = str(compiled)
        self.parameters: Sequence[str] = compiled.positiontup or ()
        self.make: Callable[[Any], RowT] = _maker(list(statement.selected_columns), tables)


class Reads:
    """The connections of hot reads."""

    heard: Callable[[str, Sequence[object]], object] | None = None
    """Told of each statement, its text and its values, where somebody wants to know."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        """Use a pool; `open` makes one."""
        self._pool = pool

    @classmethod
    async def open(cls, url: str, *, size: int, server_settings: dict[str, str]) -> "Reads":
        """Make the pool; connections are opened when first needed, and closed after five idle minutes."""
        pool = await asyncpg.create_pool(
            url,
            min_size=0,
            max_size=size,
            max_inactive_connection_lifetime=IDLE_SECONDS,
            server_settings=server_settings,
            init=_settle,
            reset=_nothing,  # single statements leave nothing behind
        )
        return cls(pool)

    async def close(self) -> None:
        """Close every connection."""
        self._pool.terminate()

    async def fetch(self, read: Read[RowT], acting_for: UUID | None = None, /, **values: object) -> list[RowT]:
        """Run a statement with the values of its parameters, on the rows of one account alone or on all (None).

        When its connection was lost, it runs once more, on another one.
        """
        ordered = [values[name] for name in read.parameters]
        if self.heard is not None:
            self.heard(read.text, ordered)
        try:
            records = await self._fetch(read.text, ordered, acting_for)
        except _LOST:
            records = await self._fetch(read.text, ordered, acting_for)
        make = read.make
        return [make(record) for record in records]

    async def _fetch(self, text: str, values: Sequence[object], acting_for: UUID | None) -> list[Any]:
        async with asyncio.timeout(ACQUIRE_SECONDS):  # the pool's own makes a task of each wait
            connection = await self._pool.acquire()
        try:
            if acting_for is None:
                found: list[Any] = await connection.fetch(text, *values)
            else:
                await connection.execute(acting.begin(acting_for, "BEGIN READ ONLY"))
                found = await connection.fetch(text, *values)
                await connection.execute("COMMIT")
        except BaseException:  # cancelled or failed: nobody knows what it is at, and on whose behalf
            connection.terminate()
            raise
        else:
            return found
        finally:
            await self._pool.release(connection)


async def _settle(connection: asyncpg.Connection) -> None:
    """Read JSON as SQLAlchemy does."""
    for kind in ("json", "jsonb"):
        await connection.set_type_codec(
            kind, encoder=lambda value: orjson.dumps(value).decode(), decoder=orjson.loads, schema="pg_catalog"
        )


async def _nothing(_connection: asyncpg.Connection) -> None:
    pass


_light: dict[type, type] = {}


def _light_class(table: type) -> type:
    """Give a class of unchangeable origin: the table's, its columns in slots, so that reading one costs nothing."""
    if table not in _light:
        columns = [column.key for column in _columns(table)]
        body = {"__slots__": tuple(columns), "__abstract__": True, "__module__": table.__module__}
        _light[table] = type(table.__name__, (table,), body)
    return _light[table]


def _columns(table: type) -> Any:  # noqa: ANN401 - SQLAlchemy's own
    return inspect(table).column_attrs


def _maker(columns: Sequence[Any], tables: Sequence[type]) -> Callable[[Any], Any]:
    """Write the function that makes a row of a record: one assignment for all columns, then enums by their words."""
    names: dict[str, Any] = {"new": object.__new__}
    targets: list[str] = []
    made: list[str] = []
    words: list[str] = []
    for number, table in enumerate(tables):
        names[f"c{number}"] = _light_class(table)
        made.append(f"    r{number} = new(c{number})")
        for attribute in _columns(table):
            target, column = f"r{number}.{attribute.key}", columns[len(targets)]
            if column is not attribute.columns[0]:
                message = f"{table.__name__}.{attribute.key} is not where it belongs in the statement"
                raise TypeError(message)
            if isinstance(column.type, Enum) and column.type.enum_class is not None:
                names[f"e{len(targets)}"] = {member.value: member for member in column.type.enum_class} | {None: None}
                words.append(f"    {target} = e{len(targets)}[{target}]")
            targets.append(target)
    values = [f"v{number}" for number in range(len(targets), len(columns))]
    results = [f"r{number}" for number in range(len(tables))] + values
    result = results[0] if len(results) == 1 else f"({', '.join(results)})"
    lines = [
        "def make(record):",
        *made,
        f"    {', '.join([*targets, *values])} = record",
        *words,
        f"    return {result}",
    ]
    exec("\n".join(lines), names)  # noqa: S102 - the text is made above, of names of columns
    make: Callable[[Any], Any] = names["make"]
    return make
