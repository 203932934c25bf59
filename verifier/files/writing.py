"""Results as a file: csv, txt and xlsx. No cell can become a formula in a spreadsheet program."""

import csv
import io
import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import IO, Any, Final

import xlsxwriter

COLUMNS: Final = (
    "email", "status", "reason", "role_based", "disposable", "free_provider", "suggestion", "checked_at",
)  # fmt: skip
FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")
CELL_CHARACTERS_MAX = 32_767  # of a spreadsheet

Row = Mapping[str, Any]
"""A result by column names."""


def csv_head() -> bytes:
    """Return the header line."""
    return (",".join(COLUMNS) + "\r\n").encode()


def csv_page(rows: Sequence[Row]) -> bytes:
    """Return rows as csv (RFC 4180); a quote stands before what a spreadsheet would take for a formula."""
    page = io.StringIO()
    csv.writer(page).writerows([_neutral(_text(row[name])) for name in COLUMNS] for row in rows)
    return page.getvalue().encode()


def txt_page(rows: Sequence[Row]) -> bytes:
    """Return `email<TAB>status` lines; tabs and line ends within a malformed address become blanks."""
    return "".join(f"{' '.join(_lines(row['email']))}\t{row['status']}\n" for row in rows).encode()


def _lines(email: str) -> list[str]:
    return email.replace("\t", "\n").splitlines() or [""]


def _neutral(cell: str) -> str:
    return f"'{cell}" if cell.startswith(FORMULA_STARTS) else cell


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return str(value)


class Spreadsheet:
    """An xlsx file in the making: rows go to disk as they come, memory does not grow with them.

    Every text is written as a text, so that nothing becomes a formula or a link. `close` gives the file; it is to be
    called whatever happens, and may be called twice.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by whoever reads it
        self._book = xlsxwriter.Workbook(self._file, {"constant_memory": True})
        self._sheet = self._book.add_worksheet("results")
        self._next = 0
        self._is_open = True
        self._write(COLUMNS)

    def add(self, rows: Sequence[Row]) -> None:
        """Write rows below those that are there."""
        for row in rows:
            self._write([row[name] for name in COLUMNS])

    def _write(self, cells: Sequence[object]) -> None:
        for place, cell in enumerate(cells):
            if isinstance(cell, bool):
                self._sheet.write_boolean(self._next, place, cell)
            elif text := _text(cell):
                self._sheet.write_string(self._next, place, text[:CELL_CHARACTERS_MAX])
        self._next += 1

    def close(self) -> IO[bytes]:
        """End the file and return it, at its beginning."""
        if self._is_open:
            self._is_open = False
            self._book.close()
            self._file.seek(0)
        return self._file
