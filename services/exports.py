"""Results as a file: streamed in constant memory, every input row once with its verdict, safe in spreadsheets."""

import csv
import io
from collections.abc import AsyncIterator, Sequence
from enum import StrEnum
from typing import Any

from db.models import Task
from db.queries import results as queries
from db.queries.results import ResultConditions
from db.session import Database

_ROWS = 2_000
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


class DownloadFormat(StrEnum):
    """Format of a results file."""

    CSV = "CSV"
    TXT = "TXT"


MEDIA_TYPES = {DownloadFormat.CSV: "text/csv; charset=utf-8", DownloadFormat.TXT: "text/plain; charset=utf-8"}

VERDICT_COLUMNS = (
    "email",
    "verdict",
    "reason",
    "score",
    "is_role",
    "is_disposable",
    "is_free",
    "mx_host",
    "suggestion",
    "verified_at",
)


def file_name(task: Task, file_format: DownloadFormat) -> str:
    """A name for the file: letters, digits, dots and dashes of the task's name."""
    stem = task.name.rsplit(".", 1)[0] if task.file_name == task.name else task.name
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in stem).strip("-.")[:80]
    return f"{safe or 'results'}-results.{file_format.value.lower()}"


async def stream(
    db: Database, task: Task, file_format: DownloadFormat, conditions: ResultConditions
) -> AsyncIterator[bytes]:
    """The file in pieces. A read a piece, so a slow reader holds no connection."""
    if file_format is DownloadFormat.CSV:
        yield _csv([_header(task)])
    after = 0
    while True:
        async with db.read() as session:
            rows = await queries.chunk(session, task.id, conditions, after=after, limit=_ROWS)
        if not rows:
            return
        after = rows[-1].row_number
        if file_format is DownloadFormat.CSV:
            yield _csv([_record(row) for row in rows])
        else:
            yield "".join(f"{_line(row.input)}\n" for row in rows).encode()


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


def _record(row: Any) -> list[str]:  # noqa: ANN401 - a joined row
    own = row.cells if row.cells is not None else [row.input]
    values = (
        row.email,
        row.verdict,
        row.reason,
        row.score,
        row.is_role,
        row.is_disposable,
        row.is_free,
        row.mx_host,
        row.suggestion,
        row.verified_at.isoformat() if row.verified_at else None,
    )
    return [*own, *(_text(value) for value in values)]


def _text(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def neutralised(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula: a quote in front of what would start one."""
    return f"'{cell}" if cell.startswith(_FORMULA_STARTS) else cell


def _csv(records: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([neutralised(cell) for cell in record] for record in records)
    return text.getvalue().encode()


def _line(text: str) -> str:
    return " ".join(text.split())
