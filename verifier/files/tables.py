"""csv and txt files: their encoding and delimiter found, their rows read with bounds."""

import codecs
import contextlib
import csv
import io
from collections.abc import Generator
from typing import BinaryIO

from verifier.files.problems import Unreadable

SAMPLE_BYTES = 64 * 1024
LINE_CHARACTERS_MAX = 1024 * 1024
CELL_CHARACTERS_MAX = 128 * 1024
DELIMITERS = ",;\t|"
PIECE_BYTES = 1024 * 1024
NOT_TEXT = "The file is not text. Save it as CSV in UTF-8 and send it again."
BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def csv_rows(file: BinaryIO) -> Generator[list[str]]:
    """Return the rows of a csv file; raise Unreadable, while they are read too."""
    encoding = _encoding(file)
    delimiter = _delimiter(file, encoding)
    csv.field_size_limit(CELL_CHARACTERS_MAX)
    try:
        with contextlib.closing(_lines(file, encoding, newline="")) as lines:
            yield from (row for row in csv.reader(lines, delimiter=delimiter) if any(cell.strip() for cell in row))
    except csv.Error as error:
        raise Unreadable(f"The file cannot be read as CSV: {error}.") from error


def txt_rows(file: BinaryIO) -> Generator[list[str]]:
    """Return the lines of a text file, each as a row of one cell; raise Unreadable."""
    with contextlib.closing(_lines(file, _encoding(file), newline=None)) as lines:
        yield from ([line] for line in lines if line.strip())


def _encoding(file: BinaryIO) -> str:
    """Return the encoding: by its mark, UTF-8 where everything decodes, Windows-1252 otherwise."""
    file.seek(0)
    head = file.read(4)
    for bom, encoding in BOMS.items():
        if head.startswith(bom):
            return encoding
    file.seek(0)
    decoder, is_utf8 = codecs.getincrementaldecoder("utf-8")(), True
    while piece := file.read(PIECE_BYTES):
        if b"\0" in piece:
            raise Unreadable(NOT_TEXT)
        if is_utf8:
            is_utf8 = _decodes(decoder, piece)
    return "utf-8" if is_utf8 and _decodes(decoder, b"", final=True) else "cp1252"


def _decodes(decoder: codecs.IncrementalDecoder, piece: bytes, *, final: bool = False) -> bool:
    try:
        decoder.decode(piece, final)
    except UnicodeDecodeError:
        return False
    return True


def _delimiter(file: BinaryIO, encoding: str) -> str:
    file.seek(0)
    text = codecs.getincrementaldecoder(encoding)("replace").decode(file.read(SAMPLE_BYTES))
    first_line = next((line for line in text.splitlines() if line.strip()), "")
    outside_quotes = "".join(first_line.split('"')[::2])
    return max(DELIMITERS, key=outside_quotes.count)


def _lines(file: BinaryIO, encoding: str, *, newline: str | None) -> Generator[str]:
    """Return the lines of a text, none of them endless and none with U+0000."""
    file.seek(0)
    text = io.TextIOWrapper(file, encoding=encoding, errors="replace", newline=newline)
    try:
        while line := text.readline(LINE_CHARACTERS_MAX + 1):
            if len(line) > LINE_CHARACTERS_MAX:
                raise Unreadable(f"A line of the file has more than {LINE_CHARACTERS_MAX:,} characters.")
            if "\0" in line:
                raise Unreadable(NOT_TEXT)
            yield line
    finally:
        text.detach()
