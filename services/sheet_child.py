"""Run as a program of its own: an xlsx file on standard input becomes csv on standard output.

Nothing of ours is imported. Whatever a file does to its reader is done to this process, which has little memory, little
time and room for one file, and is thrown away. What is wrong with the file is told in one line on standard error.
"""

import contextlib
import csv
import os
import re
import resource
import sys
import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NoReturn

UNREADABLE, TOO_LARGE = 3, 4
"""Exit statuses of a refusal."""

ROWS_MAX = 250_000
COLUMNS_MAX = 64
CELL_CHARACTERS_MAX = 32_768
PARTS_MAX = 500
UNPACKED_BYTES_MAX = 300 << 20
RATIO_MAX, RATIO_FREE_BYTES = 200, 1 << 20
MEMORY_BYTES_MAX = 1 << 30
OUTPUT_BYTES_MAX = 512 << 20
CPU_SECONDS_MAX = 60
PIECE_BYTES, OVERLAP_BYTES = 256 << 10, 256  # nothing hides where two pieces meet

_FAR = re.compile(
    rb"""\br\s*=\s*["']\s*(?:[A-Za-z]{3,}|[C-Zc-z][A-Za-z]|[Bb][M-Zm-z])\s*\d"""  # past column BL, the 64th
    rb"""|\br\s*=\s*["']\s*[A-Za-z]*\s*0*(\d{6,})"""
)
_NOT_XLSX = "The file is no .xlsx workbook, or it is damaged. Save it again as .xlsx or .csv."


def refuse(status: int, message: str) -> NoReturn:
    """Say why and end."""
    sys.stderr.write(message)
    sys.exit(status)


def limit() -> None:
    """Give up what reading a file does not need."""
    for name, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES_MAX),
        (resource.RLIMIT_CPU, CPU_SECONDS_MAX),
        (resource.RLIMIT_FSIZE, OUTPUT_BYTES_MAX),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(name, (most, most))


def look_through(file: BinaryIO) -> None:
    """Refuse what would make a reader run wild. Bytes are counted as they come, whatever the headers claim."""
    try:
        with zipfile.ZipFile(file) as archive:
            parts = archive.infolist()
            _check_names(parts)
            left = UNPACKED_BYTES_MAX
            for part in parts:
                left -= _check_part(archive, part, left)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, RuntimeError, ValueError, OSError):
        refuse(UNREADABLE, _NOT_XLSX)


def _check_names(parts: list[zipfile.ZipInfo]) -> None:
    names = {part.filename for part in parts}
    if "[Content_Types].xml" not in names or not any(name.startswith("xl/") for name in names):
        refuse(UNREADABLE, _NOT_XLSX)
    if len(parts) > PARTS_MAX or len(names) != len(parts):
        refuse(UNREADABLE, "The workbook has too many parts.")
    if any(name.startswith(("/", "\\")) or ".." in name for name in names):
        refuse(UNREADABLE, "The workbook names files outside of itself.")
    if any(name.lower().startswith(("xl/vbaproject", "xl/externallinks")) for name in names):
        refuse(UNREADABLE, "The workbook has macros or links to other files. Save it as plain .xlsx.")
    if any(part.flag_bits & 1 for part in parts):
        refuse(UNREADABLE, "The workbook is encrypted. Save it without a password.")


def _check_part(archive: zipfile.ZipFile, part: zipfile.ZipInfo, bytes_left: int) -> int:
    size, tail = 0, b""
    name = part.filename.lower()
    is_xml, is_sheet = name.endswith((".xml", ".rels", ".vml")), name.startswith("xl/worksheets/")
    with archive.open(part) as stream:
        while piece := stream.read(PIECE_BYTES):
            if size == 0 and is_xml and piece[:2] in (b"\xff\xfe", b"\xfe\xff", b"<\0", b"\0<"):
                refuse(UNREADABLE, "The workbook is not in UTF-8.")
            size += len(piece)
            if size > bytes_left:
                refuse(TOO_LARGE, f"The workbook unpacks to more than {UNPACKED_BYTES_MAX >> 20} MiB.")
            if size > RATIO_FREE_BYTES and size > RATIO_MAX * max(1, part.compress_size):
                refuse(UNREADABLE, "The workbook is packed too tightly to be a list of addresses.")
            text = tail + piece
            if is_xml and (b"<!DOCTYPE" in text or b"<!ENTITY" in text):
                refuse(UNREADABLE, "The workbook has a document type, which no spreadsheet program writes.")
            if is_sheet:
                _check_cells(text)
            tail = text[-OVERLAP_BYTES:]
    return size


def _check_cells(text: bytes) -> None:
    for far in _FAR.finditer(text):
        if far[1] is None:
            refuse(TOO_LARGE, f"A sheet has cells beyond its {COLUMNS_MAX}th column.")
        if int(far[1][:12]) > ROWS_MAX + 1:  # the header is no row of data
            refuse(TOO_LARGE, f"A sheet has more than {ROWS_MAX:,} rows. Save it as .csv, which may have 1,000,000.")


def rows(path: str) -> Iterator[list[str]]:
    """The rows of the first visible sheet that has any."""
    from python_calamine import CalamineError, CalamineWorkbook, SheetVisibleEnum  # noqa: PLC0415 - after the limits

    try:
        book = CalamineWorkbook.from_path(path)
        for place, facts in enumerate(book.sheets_metadata):
            if facts.visible is SheetVisibleEnum.Visible:
                sheet = book.get_sheet_by_index(place)
                if sheet.height:  # `total_height` is the number of the last row, from 0
                    yield from ([_text(cell) for cell in row] for row in sheet.iter_rows())
                    return
    except (CalamineError, ValueError, OSError):
        refuse(UNREADABLE, _NOT_XLSX)


def _text(cell: object) -> str:
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)[:CELL_CHARACTERS_MAX]


def main() -> None:
    """Look through, read, write."""
    limit()
    look_through(sys.stdin.buffer)
    with os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace", newline="") as target:
        csv.writer(target, lineterminator="\n").writerows(rows("/dev/stdin"))


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main()
