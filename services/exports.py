"""Results as a file: streamed in constant memory, every input row once with its verdict, safe in spreadsheets."""

import asyncio
import contextlib
import csv
import io
from collections.abc import AsyncGenerator, Sequence
from enum import StrEnum
from typing import Any

import orjson

from db.models import Task
from db.queries import downloads as queries
from db.queries.downloads import VERDICT_COLUMNS, Span
from db.queries.results import ResultConditions
from db.session import Database
from services.errors import BadRequest
from services.workbook import ROWS_MAX, Cell, Workbook

SHEET_ROWS_MAX = ROWS_MAX - 1
"""Rows of an xlsx sheet below its header."""
_ROWS = 10_000


class DownloadFormat(StrEnum):
    """Format of a results file."""

    CSV = "CSV"
    TXT = "TXT"
    XLSX = "XLSX"
    NDJSON = "NDJSON"


MEDIA_TYPES = {
    DownloadFormat.CSV: "text/csv; charset=utf-8",
    DownloadFormat.TXT: "text/plain; charset=utf-8",
    DownloadFormat.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    DownloadFormat.NDJSON: "application/x-ndjson",
}


def file_name(task: Task, file_format: DownloadFormat) -> str:
    """A name for the file: letters, digits, dots and dashes of the task's name."""
    stem = task.name.rsplit(".", 1)[0] if task.file_name == task.name else task.name
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in stem).strip("-.")[:80]
    return f"{safe or 'results'}-results.{file_format.value.lower()}"


def check(task: Task, file_format: DownloadFormat) -> None:
    """Refuse a format that cannot hold the task.

    Raises:
        BadRequest: more rows than a sheet has.

    """
    if file_format is DownloadFormat.XLSX and task.email_count > SHEET_ROWS_MAX:
        raise BadRequest(
            f"An xlsx sheet holds {SHEET_ROWS_MAX:,} rows below its header; this task has {task.email_count:,}. "
            "Ask for CSV or NDJSON."
        )


async def stream(
    db: Database, task: Task, file_format: DownloadFormat, conditions: ResultConditions
) -> AsyncGenerator[bytes, None]:
    """The file in pieces. A read a piece, so that a slow reader holds no connection; the next is made meanwhile."""
    with contextlib.closing(_WRITERS[file_format](task)) as writer:
        yield writer.head()
        making: asyncio.Task[bytes] | None = None
        try:
            for after in range(0, task.email_count, _ROWS):
                piece = await making if making is not None else b""
                making = asyncio.create_task(writer.piece(db, Span(task.id, after, after + _ROWS), conditions))
                yield piece
            yield await making if making is not None else b""
        finally:
            if making is not None:
                making.cancel()
                await asyncio.wait((making,))
        yield writer.end()


class _Text:
    """One address a line."""

    def __init__(self, task: Task) -> None:
        self.task = task

    def head(self) -> bytes:
        return b""

    async def piece(self, db: Database, span: Span, conditions: ResultConditions) -> bytes:
        async with db.read() as session:
            inputs = await queries.inputs(session, span, conditions)
        return "".join([f"{' '.join(text.split())}\n" for text in inputs]).encode()

    def end(self) -> bytes:
        return b""

    def close(self) -> None:
        """Let go of what an unfinished file holds."""


class _Csv(_Text):
    def head(self) -> bytes:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow([neutralised(name) for name in _header(self.task)])
        return text.getvalue().encode()

    async def piece(self, db: Database, span: Span, conditions: ResultConditions) -> bytes:
        async with db.read() as session:
            return await queries.csv(session, span, conditions, len(self.task.columns))


class _Lines(_Text):
    """One JSON object a line, texts as they are."""

    async def piece(self, db: Database, span: Span, conditions: ResultConditions) -> bytes:
        async with db.read() as session:
            rows = await queries.rows(session, span, conditions)
        return await asyncio.to_thread(lambda: b"".join([orjson.dumps(dict(row)) + b"\n" for row in rows]))


class _Sheet(_Text):
    """A workbook. Its texts are never formulas; they are neutralised for whoever saves it as csv."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self._book = Workbook()

    def head(self) -> bytes:
        return self._book.add([[neutralised(name) for name in _header(self.task)]])

    async def piece(self, db: Database, span: Span, conditions: ResultConditions) -> bytes:
        async with db.read() as session:
            rows = await queries.rows(session, span, conditions)
        adding = asyncio.ensure_future(asyncio.to_thread(lambda: self._book.add(map(self._record, rows))))
        try:
            # Shielded, for a thread cannot be stopped: it is waited for, so as not to write into a closed workbook.
            return await asyncio.shield(adding)
        finally:
            await asyncio.wait((adding,))

    def end(self) -> bytes:
        return self._book.finish()

    def close(self) -> None:
        self._book.close()

    def _record(self, row: Any) -> list[Cell]:  # noqa: ANN401 - a record of the driver
        own = row["cells"] if row["cells"] is not None else [row["input"]]
        values = [*own, *[row[name] for name in VERDICT_COLUMNS]]
        return [neutralised(value) if isinstance(value, str) else value for value in values]


_WRITERS = {
    DownloadFormat.CSV: _Csv,
    DownloadFormat.TXT: _Text,
    DownloadFormat.XLSX: _Sheet,
    DownloadFormat.NDJSON: _Lines,
}


def _header(task: Task) -> list[str]:
    own = [column.name or f"column_{column.index + 1}" for column in task.columns] or ["input"]
    return own + _stepped_aside(own)


def _stepped_aside(own: Sequence[str]) -> list[str]:
    """Our columns' names; where the caller's file has such a column, that keeps its name and ours changes."""
    taken, names = {name.lower() for name in own}, []
    for name in VERDICT_COLUMNS:
        free = name
        while free in taken:
            free = f"verified_{free}"
        taken.add(free)
        names.append(free)
    return names


def neutralised(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula: a quote in front of what would start one."""
    return f"'{cell}" if cell.startswith(queries.FORMULA_STARTS) else cell
