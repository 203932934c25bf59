"""Uploaded lists: encodings, delimiters, headers, columns, and files that are none."""

import io
import random
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from db.models import ColumnRole
from services import files
from services.errors import Invalid, Required, ServiceError, TooLarge, UnreadableFile
from services.files import Layout
from services.intake import InputRow


def opened(
    content: bytes | str, name: str = "list.csv", *, has_header: bool = True, **mapping: Any
) -> tuple[io.BytesIO, Layout]:
    file = io.BytesIO(content.encode() if isinstance(content, str) else content)
    roles = {ColumnRole(role): reference for role, reference in mapping.items()}
    return file, files.inspect(file, name, has_header=has_header, mapping=roles)


def rows(content: bytes | str, name: str = "list.csv", **given: Any) -> list[InputRow]:
    file, layout = opened(content, name, **given)
    return list(files.read(file, layout))


def texts(content: bytes | str, name: str = "list.csv", **given: Any) -> list[str]:
    return [row.text for row in rows(content, name, **given)]


TABLE = 'name,email\n"Müller, Jörg",joerg@example.com\nAnn,ann@example.com\n'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_every_encoding_and_line_end_gives_the_same_cells(encoding: str, line_end: str) -> None:
    found = rows(TABLE.replace("\n", line_end).encode(encoding))
    assert [row.cells for row in found] == [["Müller, Jörg", "joerg@example.com"], ["Ann", "ann@example.com"]]


def test_big_endian_utf_16_is_read_by_its_mark() -> None:
    assert texts(b"\xfe\xff" + TABLE.encode("utf-16-be")) == ["joerg@example.com", "ann@example.com"]


def test_a_first_accent_far_into_the_file_is_not_lost() -> None:
    lines = "".join(f"person {n},p{n}@example.com\n" for n in range(5000))
    content = ("name,email\n" + lines + "Jörg,joerg@example.com\n").encode("cp1252")
    assert rows(content)[-1].cells == ["Jörg", "joerg@example.com"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_every_delimiter_is_found(delimiter: str) -> None:
    content = f'name{delimiter}email\n"a{delimiter}b"{delimiter}a@example.com\n'
    assert rows(content)[0].cells == [f"a{delimiter}b", "a@example.com"]


def test_a_delimiter_in_quotes_is_text() -> None:
    assert rows('"Name, first; last";email\nAnn;ann@example.com\n')[0].cells == ["Ann", "ann@example.com"]


def test_a_quoted_cell_may_hold_line_ends_and_quotes() -> None:
    found = rows('note,email\n"two\nlines, and ""quotes""",a@example.com\nx,b@example.com\n')
    assert [row.cells for row in found] == [['two\nlines, and "quotes"', "a@example.com"], ["x", "b@example.com"]]
    assert [row.number for row in found] == [1, 2]


def test_a_header_is_told_from_data_by_what_is_in_it() -> None:
    assert texts("a@example.com,x\nb@example.com,y\n") == ["a@example.com", "b@example.com"]
    assert texts("email,x\nb@example.com,y\n") == ["b@example.com"]
    assert texts("email,x\nb@example.com,y\n", has_header=False) == ["email", "b@example.com"]


def test_the_column_of_addresses_is_found_by_what_it_holds() -> None:
    _, layout = opened("mail,contact\nMain Street 1,a@example.com\nSide Street 2,b@example.com\n")
    assert files.position(layout.columns, ColumnRole.EMAIL) == 1


def test_between_two_columns_of_addresses_the_name_decides() -> None:
    _, layout = opened("referrer,E-Mail\nx@example.com,a@example.com\ny@example.com,broken\n")
    assert files.position(layout.columns, ColumnRole.EMAIL) == 1


def test_a_column_named_email_is_taken_even_when_nothing_in_it_is_an_address() -> None:
    assert texts("id,email\n1,broken\n") == ["broken"]


def test_columns_are_mapped_by_name_and_by_position() -> None:
    content = "id,one@x,first\n7,a@example.com,b@example.com\n"
    found = rows(content, EMAIL="first", REFERENCE=0)
    assert (found[0].text, found[0].reference) == ("b@example.com", "7")
    _, layout = opened(content, FIRST_NAME=" first ", EMAIL=1)
    assert [(c.index, c.name, c.role) for c in layout.columns] == [
        (0, "id", None),
        (1, "one@x", ColumnRole.EMAIL),
        (2, "first", ColumnRole.FIRST_NAME),
    ]


@pytest.mark.parametrize(
    ("mapping", "field"),
    [
        ({"EMAIL": "nowhere"}, "email"),
        ({"EMAIL": 2}, "email"),
        ({"REFERENCE": -1}, "reference"),
        ({"FIRST_NAME": "nowhere"}, "firstName"),
        ({"EMAIL": 1, "LAST_NAME": "email"}, "lastName"),
    ],
)
def test_a_mapping_that_cannot_be_kept_is_refused_at_its_field(mapping: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        opened("name,email\nAnn,a@example.com\n", **mapping)
    assert refused.value.field == ["input", "columnMapping", field]


@pytest.mark.parametrize(
    ("content", "name", "error"),
    [
        ("", "list.csv", Required),
        ("\ufeff", "list.csv", Required),
        (" \n\r\n\t\n", "list.csv", Required),
        (',,,\n"",\n', "list.csv", Required),
        ("\n\n", "list.txt", Required),
        ("email,name\n", "list.csv", Required),
        ("email\n\n,\n", "list.csv", Required),
        ("id,name\n1,Ann\n2,Ben\n", "list.csv", Invalid),
        ("no address here\nnor here\n", "list.txt", Invalid),
        ("email\na@example.com\n", "list.xls", UnreadableFile),
        ("email\na@example.com\n", "list", UnreadableFile),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "list.csv", UnreadableFile),
        (b"PK\x03\x04\0\0" * 50, "list.csv", UnreadableFile),
        ("email\na@example.com\n".encode("utf-16-le"), "list.csv", UnreadableFile),
        (random.Random(1).randbytes(5000).replace(b"\0", b"\1"), "list.csv", ServiceError),
        (random.Random(2).randbytes(5000).replace(b"\0", b"\1"), "list.txt", ServiceError),
        ("email\n" + ",".join(["a@example.com"] * 65) + "\n", "list.csv", UnreadableFile),
        ('email\n"' + "x" * 40_000 + '"\n', "list.csv", UnreadableFile),
        ('email\n"never closed, ' + "x,\n" * 40_000, "list.csv", UnreadableFile),
        ("x" * 40_000, "list.txt", UnreadableFile),
        ("," * 3_000_000, "list.csv", UnreadableFile),
    ],
)
def test_security_28_what_cannot_be_read_is_refused_with_a_reason(
    content: bytes | str, name: str, error: type[Exception]
) -> None:
    with pytest.raises(error) as refused:
        rows(content, name)
    assert isinstance(refused.value, ServiceError)
    assert refused.value.message.endswith(".")


def test_a_line_without_an_end_is_not_read_into_memory() -> None:
    for name in ("list.csv", "list.txt"):
        file = io.BytesIO(b"x" * 30_000_000)
        tracemalloc.start()
        with pytest.raises(UnreadableFile):
            files.inspect(file, name, has_header=True, mapping={})
        assert tracemalloc.get_traced_memory()[1] < 25_000_000
        tracemalloc.stop()


def test_a_fault_far_into_the_file_is_found_while_it_is_read() -> None:
    good = "".join(f"p{n}@example.com\n" for n in range(1000))
    file, layout = opened("email\n" + good + "," * 70 + "\n")
    with pytest.raises(UnreadableFile):
        list(files.read(file, layout))


@pytest.mark.parametrize("rows_before", [1, 1000])
def test_a_quote_that_is_never_closed_loses_no_rows_in_silence(rows_before: int) -> None:
    lines = "name,email\n" + "Ann,ann@example.com\n" * rows_before
    file, layout = opened(lines + "Zoe,zoe@example.com\n")
    file = io.BytesIO((lines + '"Bob,bob@example.com\nCy,cy@example.com\n').encode())
    with pytest.raises(UnreadableFile, match=f"line {rows_before + 2} .*never closed"):
        list(files.read(file, layout))


def test_what_csv_does_not_bear_is_told_with_the_line_where_its_row_begins() -> None:
    with pytest.raises(UnreadableFile, match="in the row that begins in line 3"):
        rows('email\nann@example.com\n"' + "x\n" * files.CELL_CHARACTERS_MAX)


def test_the_line_that_tells_excel_the_delimiter_is_no_row() -> None:
    found = rows("sep=;\nname;email\nAnn;ann@example.com\n")
    assert [(row.number, row.cells) for row in found] == [(1, ["Ann", "ann@example.com"])]


def test_security_28_a_row_that_never_ends_is_refused_before_it_fills_the_memory() -> None:
    file = io.BytesIO(b"a@example.com" + b',"x\n"' * 2_000_000)  # each line is short; the quotes carry the row on
    tracemalloc.start()
    with pytest.raises(UnreadableFile, match="A row of the file"):
        files.inspect(file, "list.csv", has_header=True, mapping={})
    assert tracemalloc.get_traced_memory()[1] < 64 << 20
    tracemalloc.stop()


def test_security_28_nuls_far_into_a_file_become_text() -> None:
    good = "".join(f"p{n}@example.com,x\n" for n in range(5000))
    file, layout = opened(("email,note\n" + good).encode() + b"a@example.com,b\0d\n")
    assert list(files.read(file, layout))[-1].text == "a@example.com"


def test_a_header_holds_nothing_that_a_database_refuses() -> None:
    _, layout = opened("na\0me,email\nAnn,a@example.com\n".encode("utf-16"))
    assert [c.name for c in layout.columns] == ["na\ufffdme", "email"]


def test_ragged_rows_are_filled_up_and_what_is_beyond_the_header_is_kept() -> None:
    found = rows("email,name\na@example.com\nb@example.com,Ben,extra\nc@example.com,C,,\n")
    assert [row.cells for row in found] == [
        ["a@example.com", "", ""],
        ["b@example.com", "Ben", "extra"],
        ["c@example.com", "C", ""],
    ]


def test_blank_lines_are_no_rows_and_rows_are_numbered_without_them() -> None:
    found = rows("\n\nemail\n\na@example.com\n   \n,\nb@example.com")
    assert [(row.number, row.text) for row in found] == [(1, "a@example.com"), (2, "b@example.com")]
    found = rows("\na@example.com\n\n  b@example.com \n\n", "list.txt")
    assert [(row.number, row.text) for row in found] == [(1, "a@example.com"), (2, "b@example.com")]


def test_a_text_file_has_one_cell_a_line_whatever_is_in_it() -> None:
    assert [row.cells for row in rows("a@example.com,b;c\n", "LIST.TXT", EMAIL=0)] == [["a@example.com,b;c"]]


def test_a_file_of_more_than_a_million_rows_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "ROWS_MAX", 3)
    assert len(texts("email\n" + "a@example.com\n" * 3)) == 3
    with pytest.raises(TooLarge):
        rows("email\n" + "a@example.com\n" * 4)


def test_the_digest_counts_bytes_and_stops_at_the_cap() -> None:
    size, sha256 = files.digest(io.BytesIO(b"abc"), 3)
    assert (size, sha256.hex()[:8]) == (3, "ba7816bf")
    with pytest.raises(TooLarge):
        files.digest(io.BytesIO(b"abcd"), 3)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("list.csv", "list.csv"),
        ("../../etc/list.csv", "list.csv"),
        ("C:\\Users\\ann\\list.csv", "list.csv"),
        ("a\0b\n\u202ec.csv", "abc.csv"),
        ("", "list"),
        ("x" * 300 + ".csv", "x" * 196 + ".csv"),
    ],
)
def test_a_file_name_loses_paths_and_control_characters_but_not_its_suffix(name: str, safe: str) -> None:
    assert files.safe_name(name) == safe


class Endless(io.RawIOBase):
    """A file of many rows that is never in memory."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count = count
        self.seek(0)

    def seek(self, offset: int, whence: int = 0) -> int:
        assert (offset, whence) == (0, 0)
        self._lines = self._made()
        self._rest = b"id,email,note\n"
        return 0

    def tell(self) -> int:
        return 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def _made(self) -> Iterator[bytes]:
        block = b"".join(b"%d,person%d@example.com,%s\n" % (n, n, b"x" * 50) for n in range(1000))
        return (block for _ in range(self._count // 1000))

    def readinto(self, buffer: Any) -> int:
        while len(self._rest) < len(buffer) and (line := next(self._lines, None)) is not None:
            self._rest += line
        piece, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(piece)] = piece
        return len(piece)


def test_a_hundred_thousand_rows_are_read_in_bounded_memory() -> None:
    file = io.BufferedReader(Endless(100_000))
    layout = files.inspect(file, "big.csv", has_header=True, mapping={})
    tracemalloc.start()
    count = sum(1 for _ in files.read(file, layout))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 100_000
    assert peak < 1_000_000
