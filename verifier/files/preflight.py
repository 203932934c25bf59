"""A look into an xlsx file before it is read: what would make a reader run wild is refused while it streams by."""

import re
import zipfile
import zlib
from typing import BinaryIO

from verifier.files.problems import Unreadable

ENTRIES_MAX = 500
ENTRY_BYTES_MAX = 150 * 1024 * 1024
TOTAL_BYTES_MAX = 200 * 1024 * 1024
RATIO_MAX = 150
RATIO_FREE_BYTES = 1024 * 1024
COLUMNS_MAX = 256
ROWS_MAX = 200_000
PIECE_BYTES = 64 * 1024
OVERLAP_BYTES = 128  # of pieces, so that nothing hides where two of them meet
OLE = bytes.fromhex("d0cf11e0a1b11ae1")

_CELL = re.compile(rb"""\br\s*=\s*["']\s*([A-Za-z]{1,7})(\d{1,12})\s*["']""")
_ROW = re.compile(rb"""<(?:\w+:)?row\b[^>]{0,100}?\br\s*=\s*["']\s*(\d{1,12})\s*["']""")
_UTF16 = (b"\xff\xfe", b"\xfe\xff", b"<\0", b"\0<")


def check(file: BinaryIO) -> None:
    """Raise Unreadable for what is no xlsx, encrypted, has macros or links, a DTD, a far cell, or is a zip bomb.

    Real bytes are counted, not what the headers claim.
    """
    file.seek(0)
    if file.read(len(OLE)) == OLE:
        raise Unreadable("The file is encrypted, or an old .xls. Save it as .xlsx without a password.")
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            _check_names(entries)
            total = 0
            for entry in entries:
                total += _check_entry(archive, entry, TOTAL_BYTES_MAX - total)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, RuntimeError, ValueError) as error:
        raise Unreadable("The file is no xlsx file, or it is damaged.") from error


def _check_names(entries: list[zipfile.ZipInfo]) -> None:
    names = [entry.filename for entry in entries]
    if len(names) > ENTRIES_MAX or len(set(names)) != len(names):
        raise Unreadable("The xlsx file has too many parts.")
    if "[Content_Types].xml" not in names or not any(name.startswith("xl/") for name in names):
        raise Unreadable("The file is a zip, but no xlsx file.")
    if any(name.startswith(("/", "\\")) or ".." in name for name in names):
        raise Unreadable("The xlsx file names parts outside of itself.")
    if any(name.lower().startswith(("xl/vbaproject", "xl/externallinks")) for name in names):
        raise Unreadable("The xlsx file has macros or links to other files. Save it as plain .xlsx.")
    if any(entry.flag_bits & 1 for entry in entries):
        raise Unreadable("The xlsx file is encrypted. Save it without a password.")


def _check_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, bytes_left: int) -> int:
    """Read one part to its end; return its size."""
    size, tail = 0, b""
    is_xml = entry.filename.lower().endswith((".xml", ".rels", ".vml"))
    with archive.open(entry) as part:
        while piece := part.read(PIECE_BYTES):
            size += len(piece)
            if size > min(ENTRY_BYTES_MAX, bytes_left):
                raise Unreadable("The xlsx file is too large when unpacked.")
            if size > RATIO_FREE_BYTES and size > RATIO_MAX * max(1, entry.compress_size):
                raise Unreadable("The xlsx file is packed too tightly to be a list of addresses.")
            if is_xml:
                _check_xml(tail + piece, entry.filename, is_start=not tail)
            tail = piece[-OVERLAP_BYTES:]
    return size


def _check_xml(text: bytes, name: str, *, is_start: bool) -> None:
    if is_start and text.startswith(_UTF16):
        raise Unreadable("The xlsx file is not in UTF-8.")
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise Unreadable("The xlsx file has a document type, which no spreadsheet program writes.")
    if not name.lower().startswith("xl/worksheets/"):
        return
    is_far = any(_column(cell[1]) > COLUMNS_MAX or int(cell[2]) > ROWS_MAX for cell in _CELL.finditer(text))
    if is_far or any(int(row[1]) > ROWS_MAX for row in _ROW.finditer(text)):
        raise Unreadable(f"The sheet has cells beyond column {COLUMNS_MAX} or row {ROWS_MAX:,}.")


def _column(letters: bytes) -> int:
    """Return the number of a column, A being 1."""
    number = 0
    for letter in letters.upper():
        number = number * 26 + letter - 64
    return number
