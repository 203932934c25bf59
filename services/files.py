"""Uploaded lists: csv, txt, and workbooks turned into csv, in bounded memory; how to read them is found out."""

import codecs
import csv
import hashlib
import io
import itertools
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO

from db.models import ColumnRole, TaskFileColumn
from services import addresses
from services.errors import Invalid, Required, TooLarge, UnreadableFile
from services.intake import InputRow, storable

ROWS_MAX = 1_000_000
CELLS_MAX = 64
CELL_CHARACTERS_MAX = 32_768
NAME_CHARACTERS_MAX = 200
SAMPLE_ROWS = 200
_SUFFIX_CHARACTERS_MAX = 10
_SAMPLE_BYTES = 65_536
_PIECE_BYTES = 1 << 20
_DELIMITERS = ",;\t|"
XLSX = ".xlsx"
_SUFFIXES = (".csv", ".txt", XLSX)
_TELLS_DELIMITER = ["sep=", ""]
"""A first line `sep=;`, which Excel reads and programs write for it."""
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


def position(columns: Sequence[TaskFileColumn], role: ColumnRole) -> int | None:
    """Where the column of a role stands."""
    return next((c.index for c in columns if c.role is role), None)


def safe_name(name: str) -> str:
    """A file's name without any path or control character."""
    base = PurePosixPath(name.replace("\\", "/")).name
    printable = "".join(c for c in base if c.isprintable()) or "list"
    if len(printable) <= NAME_CHARACTERS_MAX:
        return printable
    suffix = PurePosixPath(printable).suffix[-_SUFFIX_CHARACTERS_MAX:]
    return printable[: NAME_CHARACTERS_MAX - len(suffix)] + suffix


def digest(file: BinaryIO, bytes_max: int) -> tuple[int, bytes]:
    """Size and SHA-256 of a file, read in pieces."""
    file.seek(0)
    size, sha256 = 0, hashlib.sha256()
    while piece := file.read(_PIECE_BYTES):
        size += len(piece)
        if size > bytes_max:
            raise TooLarge(f"The file is larger than {bytes_max:,} bytes.")
        sha256.update(piece)
    return size, sha256.digest()


def inspect(file: BinaryIO, name: str, *, has_header: bool, mapping: Mapping[ColumnRole, ColumnRef]) -> Layout:
    """Find out how to read a file, from its first rows. A workbook comes as the csv that it was turned into.

    Raises:
        UnreadableFile: not text, or of a type that is not read.
        Required: the file is empty.
        Invalid: no column holds addresses, or a mapped column is not there.

    """
    suffix = PurePosixPath(name.lower()).suffix
    if suffix not in _SUFFIXES:
        kind = f"of type {suffix}" if suffix else "without a suffix"
        raise UnreadableFile(f"Files {kind} are not read. Upload a .csv, .txt or .xlsx file.")
    encoding = _encoding(file)
    delimiter = {".csv": _delimiter(file, encoding), XLSX: ","}.get(suffix)
    rows = list(itertools.islice(_cells(file, encoding, delimiter), SAMPLE_ROWS))
    if not rows:
        raise Required("The file is empty.")
    # A header never holds an address; where the first row does, it is data, whatever was said, and is not lost.
    is_headed = has_header and delimiter is not None and not any(addresses.parse(cell) for cell in rows[0])
    header: list[str] = [storable(name) for name in rows[0]] if is_headed else []
    data = rows[1:] if is_headed else rows
    names = [*header, *[None] * (max(map(_width, rows)) - len(header))]  # rows may be longer than their header
    if not data:
        raise Required("The file has a header and no rows.")
    return Layout(encoding, delimiter, is_headed, columns(names, data, mapping))


def read(file: BinaryIO, layout: Layout) -> Generator[InputRow, None, None]:
    """The data rows of a file, one at a time; blank lines are not rows."""
    email = position(layout.columns, ColumnRole.EMAIL) or 0
    reference = position(layout.columns, ColumnRole.REFERENCE)
    width = len(layout.columns)
    rows = _cells(file, layout.encoding, layout.delimiter)
    if layout.has_header:
        next(rows, None)
    for number, cells in enumerate(rows, 1):
        if number > ROWS_MAX:
            raise TooLarge(f"The file has more than {ROWS_MAX:,} rows.")
        padded = cells if len(cells) == width else cells[:width] + [""] * (width - len(cells))
        yield InputRow(number, padded[email], padded[reference] if reference is not None else None, padded)


def _width(cells: Sequence[str]) -> int:
    """Cells up to the last that holds something, and at least one."""
    return max((index for index, cell in enumerate(cells, 1) if cell.strip()), default=1)


def _encoding(file: BinaryIO) -> str:
    file.seek(0)
    head = file.read(_SAMPLE_BYTES)
    for bom, encoding in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if head.startswith(bom):
            return encoding
    if b"\0" in head:
        raise UnreadableFile("The file is not text. Save it as CSV in UTF-8 and upload it again.")
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        decoder.decode(head)
        while piece := file.read(_PIECE_BYTES):
            decoder.decode(piece)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _delimiter(file: BinaryIO, encoding: str) -> str:
    file.seek(0)
    text = codecs.getincrementaldecoder(encoding)("replace").decode(file.read(_SAMPLE_BYTES))
    first_line = next((line for line in text.splitlines() if line.strip()), "")
    outside_quotes = "".join(first_line.split('"')[::2])
    return max(_DELIMITERS, key=outside_quotes.count)


def _cells(file: BinaryIO, encoding: str, delimiter: str | None) -> Iterator[list[str]]:
    file.seek(0)
    # cp1252 leaves five bytes undefined, and UTF-16 may be damaged; everything else was seen to decode.
    text = io.TextIOWrapper(file, encoding=encoding, errors="replace", newline="" if delimiter else None)
    try:
        if delimiter is None:
            lines = _Lines(text, CELL_CHARACTERS_MAX)
            for line in lines:
                lines.row_characters = 0
                if line.strip():
                    yield [line.strip()]
            return
        csv.field_size_limit(CELL_CHARACTERS_MAX)
        lines = _Lines(text, CELLS_MAX * CELL_CHARACTERS_MAX)
        try:
            for cells in csv.reader(lines, delimiter=delimiter):
                lines.row_characters = 0
                if len(cells) > CELLS_MAX:
                    raise UnreadableFile(f"A row has more than {CELLS_MAX} columns.")
                if any(map(str.strip, cells)) and cells != _TELLS_DELIMITER:
                    yield cells
        except csv.Error as error:
            raise UnreadableFile(
                f"The file cannot be read as CSV: {error}, in the row that begins in line {lines.row_line}."
            ) from error
    finally:
        text.detach()


class _Lines:
    """The lines of a text, of which no row takes endlessly many characters: quoted line breaks may go on for ever."""

    def __init__(self, text: io.TextIOWrapper, characters_max: int) -> None:
        self._text, self._characters_max, self._line = text, characters_max, 0
        self.row_characters = 0
        """Read for the row in hand; whoever has the row sets it to 0."""
        self.row_line = 0
        """Where the row in hand begins, from 1."""

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._text.readline(self._characters_max - self.row_characters + 1)
        self._line += 1
        if not self.row_characters:
            self.row_line = self._line
        elif not line:
            raise UnreadableFile(
                f"The quote in line {self.row_line} of the file is never closed: close it, or take it out."
            )
        self.row_characters += len(line)
        if self.row_characters > self._characters_max:
            raise UnreadableFile(f"A row of the file has more than {self._characters_max:,} characters.")
        if not line:
            raise StopIteration
        return line


def columns(
    names: Sequence[str | None], data: Sequence[Sequence[str]], mapping: Mapping[ColumnRole, ColumnRef]
) -> list[TaskFileColumn]:
    """The columns of a file by their names (None: no header), with the roles that they were given or are found to have.

    Raises:
        Invalid: a column that is not there, two roles for one, or none that holds addresses.

    """
    roles: dict[int, ColumnRole] = {}
    for role, reference in mapping.items():
        index = _find(names, reference, role)
        if index in roles:
            raise Invalid(
                f"A column has one role; column {index} was given {roles[index].value} and {role.value}.",
                field=_mapping_field(role),
            )
        roles[index] = role
    if ColumnRole.EMAIL not in roles.values():
        roles[_email_column(names, data)] = ColumnRole.EMAIL
    return [TaskFileColumn(i, name.strip() if name else None, roles.get(i)) for i, name in enumerate(names)]


def _mapping_field(role: ColumnRole) -> tuple[str, str, str]:
    first, *rest = role.value.lower().split("_")
    return ("input", "columnMapping", first + "".join(map(str.title, rest)))


def _find(names: Sequence[str | None], reference: ColumnRef, role: ColumnRole) -> int:
    field = _mapping_field(role)
    if isinstance(reference, int):
        if 0 <= reference < len(names):
            return reference
        raise Invalid(f"The file has no column {reference}; it has {len(names)}, counted from 0.", field=field)
    for index, name in enumerate(names):
        if name is not None and name.strip() == reference.strip():
            return index
    raise Invalid(
        f"The file has no column named “{reference}”. It has: {', '.join(n or '—' for n in names)}.", field=field
    )


def _email_column(names: Sequence[str | None], data: Sequence[Sequence[str]]) -> int:
    def found(index: int) -> int:
        return sum(1 for row in data if index < len(row) and addresses.parse(row[index]) is not None)

    def is_named(index: int) -> bool:
        name = (names[index] or "").lower()
        return any(word in name for word in _EMAIL_HEADERS)

    # A column of that name may hold other things (a postal address), so what is in it counts first.
    best = max(range(len(names)), key=lambda index: (found(index) > 0, is_named(index), found(index)))
    if found(best) == 0 and not is_named(best):
        raise Invalid("No column of the file holds e-mail addresses. Name it with columnMapping, or check the file.")
    return best
