"""Uploaded lists: csv and txt, read in bounded memory, with the encoding, delimiter, header and e-mail column found."""

import codecs
import csv
import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO

from db.models import ColumnRole, TaskFileColumn
from services import addresses
from services.errors import Invalid, Required, TooLarge, UnreadableFile
from services.intake import InputRow

ROWS_MAX = 1_000_000
CELLS_MAX = 64
CELL_CHARACTERS_MAX = 32_768
NAME_CHARACTERS_MAX = 200
SAMPLE_ROWS = 200
_SAMPLE_BYTES = 65_536
_DELIMITERS = ",;\t|"
_SUFFIXES = (".csv", ".txt")
_EMAIL_HEADERS = ("email", "e-mail", "mail", "address", "correo", "courriel")

ColumnRef = str | int
"""A column by its exact header text or its position from 0."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file is to be read."""

    encoding: str
    delimiter: str | None
    """None for a txt file: a line is one cell."""
    has_header: bool
    columns: list[TaskFileColumn]

    def position(self, role: ColumnRole) -> int | None:
        """Where the column of a role stands."""
        return next((c.index for c in self.columns if c.role is role), None)


def safe_name(name: str) -> str:
    """A file's name without any path or control character."""
    base = PurePosixPath(name.replace("\\", "/")).name
    return "".join(c for c in base if c.isprintable())[:NAME_CHARACTERS_MAX] or "list"


def digest(file: BinaryIO, bytes_max: int) -> tuple[int, bytes]:
    """Size and SHA-256 of a file, read in pieces."""
    file.seek(0)
    size, sha256 = 0, hashlib.sha256()
    while piece := file.read(1 << 20):
        size += len(piece)
        if size > bytes_max:
            message = f"The file is larger than {bytes_max:,} bytes."
            raise TooLarge(message)
        sha256.update(piece)
    return size, sha256.digest()


def inspect(file: BinaryIO, name: str, *, has_header: bool, mapping: Mapping[ColumnRole, ColumnRef]) -> Layout:
    """Find out how to read a file, from its first rows.

    Raises:
        UnreadableFile: not text, or of a type that is not read.
        Required: the file is empty.
        Invalid: no column holds addresses, or a mapped column is not there.

    """
    suffix = PurePosixPath(name.lower()).suffix
    if suffix not in _SUFFIXES:
        message = f"Files of type {suffix or 'without a suffix'} are not read. Upload a .csv or .txt file."
        raise UnreadableFile(message, field=("input", "file"))
    file.seek(0)
    head = file.read(_SAMPLE_BYTES)
    encoding = _encoding(head)
    text = _sample_text(head, encoding)
    if not text.strip():
        message = "The file is empty."
        raise Required(message, field=("input", "file"))
    delimiter = _delimiter(text) if suffix == ".csv" else None
    rows = [cells for _, cells in zip(range(SAMPLE_ROWS), _cells(file, encoding, delimiter), strict=False)]
    # A header never holds an address; where the first row does, it is data, whatever was said, and is not lost.
    is_headed = has_header and delimiter is not None and not any(addresses.parse(cell) for cell in rows[0])
    names: list[str | None] = list(rows[0]) if is_headed else [None] * max(len(row) for row in rows)
    data = rows[1:] if is_headed else rows
    if not data:
        message = "The file has a header and no rows."
        raise Required(message, field=("input", "file"))
    return Layout(encoding, delimiter, is_headed, _columns(names, data, mapping))


def read(file: BinaryIO, layout: Layout) -> Iterator[InputRow]:
    """The data rows of a file, one at a time; blank lines are not rows."""
    email = layout.position(ColumnRole.EMAIL) or 0
    reference = layout.position(ColumnRole.REFERENCE)
    width = len(layout.columns)
    rows = _cells(file, layout.encoding, layout.delimiter)
    if layout.has_header:
        next(rows, None)
    for number, cells in enumerate(rows, 1):
        if number > ROWS_MAX:
            message = f"The file has more than {ROWS_MAX:,} rows."
            raise TooLarge(message, field=("input", "file"))
        padded = cells[:width] + [""] * (width - len(cells))
        yield InputRow(number, padded[email], padded[reference] if reference is not None else None, padded)


def _encoding(head: bytes) -> str:
    for bom, encoding in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if head.startswith(bom):
            return encoding
    if b"\0" in head:
        message = "The file is not text. Save it as CSV in UTF-8 and upload it again."
        raise UnreadableFile(message, field=("input", "file"))
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _sample_text(head: bytes, encoding: str) -> str:
    return codecs.getincrementaldecoder(encoding)("replace").decode(head)


def _delimiter(text: str) -> str:
    first_line = text.lstrip("\r\n").splitlines()[0]
    outside_quotes = "".join(first_line.split('"')[::2])
    return max(_DELIMITERS, key=outside_quotes.count)


def _cells(file: BinaryIO, encoding: str, delimiter: str | None) -> Iterator[list[str]]:
    file.seek(0)
    # cp1252 leaves five bytes undefined; everything else was seen to decode, or is damaged further on.
    text = io.TextIOWrapper(file, encoding=encoding, errors="replace", newline="" if delimiter else None)
    try:
        if delimiter is None:
            yield from ([line.strip()] for line in text if line.strip())
            return
        csv.field_size_limit(CELL_CHARACTERS_MAX)
        try:
            for cells in csv.reader(text, delimiter=delimiter):
                if len(cells) > CELLS_MAX:
                    message = f"A row has more than {CELLS_MAX} columns."
                    raise UnreadableFile(message, field=("input", "file"))
                if any(cell.strip() for cell in cells):
                    yield cells
        except csv.Error as error:
            message = f"The file cannot be read as CSV: {error}."
            raise UnreadableFile(message, field=("input", "file")) from error
    finally:
        text.detach()


def _columns(
    names: Sequence[str | None], data: Sequence[Sequence[str]], mapping: Mapping[ColumnRole, ColumnRef]
) -> list[TaskFileColumn]:
    roles: dict[int, ColumnRole] = {}
    for role, reference in mapping.items():
        roles[_find(names, reference, role)] = role
    if ColumnRole.EMAIL not in roles.values():
        roles[_email_column(names, data)] = ColumnRole.EMAIL
    return [TaskFileColumn(i, name.strip() if name else None, roles.get(i)) for i, name in enumerate(names)]


def _find(names: Sequence[str | None], reference: ColumnRef, role: ColumnRole) -> int:
    field = ("input", "columnMapping", {"EMAIL": "email", "REFERENCE": "reference"}.get(role.value, role.value.lower()))
    if isinstance(reference, int):
        if 0 <= reference < len(names):
            return reference
        message = f"The file has no column {reference}; it has {len(names)}, counted from 0."
        raise Invalid(message, field=field)
    for index, name in enumerate(names):
        if name is not None and name.strip() == reference.strip():
            return index
    message = f"The file has no column named “{reference}”. It has: {', '.join(n or '—' for n in names)}."
    raise Invalid(message, field=field)


def _email_column(names: Sequence[str | None], data: Sequence[Sequence[str]]) -> int:
    def found(index: int) -> int:
        return sum(1 for row in data if index < len(row) and addresses.parse(row[index]) is not None)

    def is_named(index: int) -> bool:
        name = (names[index] or "").lower()
        return any(word in name for word in _EMAIL_HEADERS)

    # A column of that name may hold other things (a postal address), so what is in it counts first.
    best = max(range(len(names)), key=lambda index: (found(index) > 0, is_named(index), found(index)))
    if found(best) == 0 and not is_named(best):
        message = "No column of the file holds e-mail addresses. Name it with columnMapping, or check the file."
        raise Invalid(message, field=("input", "file"))
    return best
