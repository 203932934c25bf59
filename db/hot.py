"""Hot reads: statements of SQLAlchemy Core, compiled once, run by asyncpg on connections of their own.

What every request asks for spares itself what SQLAlchemy does each time: to build a statement, to find its text, to
give a connection and to make rows that could be changed. Rows are instances of the tables' classes all the same, which
no session takes. Each statement is for itself, as through `Database.read()`.
"""

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar
from uuid import UUID

import asyncpg
import orjson
from sqlalchemy import Enum, Select, inspect
from sqlalchemy.engine import make_url

from db.pool import Pool

RowT = TypeVar("RowT")

_DIALECT = make_url("postgresql+asyncpg://").get_dialect()()
_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.CrashShutdownError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
)
"""What the driver raises when the connection that it has was lost: another one may do."""


class Read(Generic[RowT]):
    """A statement that reads rows of `tables`, all their columns in order, and perhaps some values after them.

    Its parameters are the statement's `bindparam`s that have no value yet. A row is an instance of the one table, or a
    tuple of instances and values.
    """

    def __init__(self, statement: Select[*tuple[Any, ...]], *tables: type) -> None:
        """Compile the statement."""
        compiled = statement.compile(dialect=_DIALECT)
        self.text = str(compiled)
        self.parameters: Sequence[str] = compiled.positiontup or ()
        self.fixed = {name: value for name, value in compiled.params.items() if value is not None}
        self.make: Callable[[Any], RowT] = _maker(list(statement.selected_columns), tables)


class Reads:
    """The connections of hot reads."""

    heard: Callable[[str, Sequence[object]], object] | None = None
    """Told of each statement, its text and its values, where somebody wants to know."""

    def __init__(self, url: str, *, size: int, server_settings: dict[str, str]) -> None:
        """At most `size` connections, opened when first needed."""
        settings = server_settings | {"default_transaction_read_only": "on"}

        async def connect() -> asyncpg.Connection:
            connection = await asyncpg.connect(url, server_settings=settings)
            for kind in ("json", "jsonb"):  # as SQLAlchemy reads it
                await connection.set_type_codec(kind, encoder=_json, decoder=orjson.loads, schema="pg_catalog")
            return connection

        self._pool = Pool(connect, size)

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()

    async def fetch(self, read: Read[RowT], acting_for: UUID | None = None, /, **values: object) -> list[RowT]:
        """Run a statement with the values of its parameters, on the rows of one account alone or on all (None).

        When its connection was lost, it runs once more, on another one.
        """
        if read.fixed:
            values |= read.fixed
        ordered = [values[name] for name in read.parameters]
        if self.heard is not None:
            self.heard(read.text, ordered)
        try:
            records = await self._fetch(read.text, ordered, acting_for)
        except _LOST:
            self._pool.drop_free()  # the server is another one, as a rule: they are lost too
            records = await self._fetch(read.text, ordered, acting_for)
        make = read.make
        return [make(record) for record in records]

    async def _fetch(self, text: str, values: Sequence[object], acting_for: UUID | None) -> list[Any]:
        held = await self._pool.take(acting_for)
        try:
            found: list[Any] = await held.driver.fetch(text, *values)
        except BaseException:  # cancelled or failed: nobody knows what it is at
            self._pool.drop(held)
            raise
        self._pool.give(held)
        return found


def _json(value: object) -> str:
    return orjson.dumps(value).decode()


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
    for number, table in enumerate(tables):
        names[f"c{number}"] = _light_class(table)
        made.append(f"    r{number} = new(c{number})")
        for attribute in _columns(table):
            if columns[len(targets)] is not attribute.columns[0]:
                message = f"{table.__name__}.{attribute.key} is not where it belongs in the statement"
                raise TypeError(message)
            targets.append(f"r{number}.{attribute.key}")
    values = [f"v{number}" for number in range(len(targets), len(columns))]
    targets += values
    words: list[str] = []
    for number, (target, column) in enumerate(zip(targets, columns, strict=True)):
        if isinstance(column.type, Enum) and column.type.enum_class is not None:
            names[f"e{number}"] = {member.value: member for member in column.type.enum_class} | {None: None}
            words.append(f"    {target} = e{number}[{target}]")
    results = [f"r{number}" for number in range(len(tables))] + values
    result = results[0] if len(results) == 1 else f"({', '.join(results)})"
    lines = [
        "def make(record):",
        *made,
        f"    {', '.join(targets)} = record",
        *words,
        f"    return {result}",
    ]
    exec("\n".join(lines), names)  # noqa: S102 - the text is made above, of names of columns
    make: Callable[[Any], Any] = names["make"]
    return make
