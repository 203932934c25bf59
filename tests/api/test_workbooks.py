"""Uploaded workbooks: read in a child process; whatever is wrong with one is told, and harms nobody."""

import io
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
import xlsxwriter

from services import spreadsheets
from services.workbook import Workbook
from tests.client import Client

SELECTION = "task { id emailCount file { columns { name role } } quote { sample } } userErrors { code message field }"
SHEET = "xl/worksheets/sheet1.xml"


def workbook(*rows: list[Any], other: Callable[[Any], None] | None = None) -> bytes:
    target = io.BytesIO()
    book = xlsxwriter.Workbook(target)
    sheet = book.add_worksheet()
    for number, cells in enumerate(rows):
        sheet.write_row(number, 0, cells)
    if other is not None:
        other(book)
    book.close()
    return target.getvalue()


GOOD = workbook(["id", "email"], [7, "a@example.com"], [8.5, "b@example.com"])


def changed(parts: dict[str, bytes], without: str = "") -> bytes:
    """A workbook with some parts replaced or added."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(GOOD)) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            if name not in parts and name != without:
                new.writestr(name, old.read(name))
        for name, data in parts.items():
            new.writestr(name, data)
    return target.getvalue()


def sheet(text: str, encoding: str = "utf-8") -> bytes:
    with zipfile.ZipFile(io.BytesIO(GOOD)) as archive:
        old = archive.read(SHEET).decode()
    return changed({SHEET: text.replace("{old}", old).encode(encoding)})


def with_cells(cells: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(GOOD)) as archive:
        old = archive.read(SHEET).decode()
    return changed({SHEET: old.replace("</sheetData>", f"{cells}</sheetData>").encode()})


def encrypted() -> bytes:
    content = bytearray(GOOD)
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.find(signature)
        content[at + place] |= 1
    return bytes(content)


async def test_a_workbook_becomes_a_task_with_its_cells_as_they_are_read(client: Client) -> None:
    outcome = await client.upload(GOOD, "list.XLSX", SELECTION, start=False)
    assert outcome["userErrors"] == []
    task = outcome["task"]
    assert task["quote"]["sample"] == [["7", "a@example.com"], ["8.5", "b@example.com"]]
    assert task["file"]["columns"] == [{"name": "id", "role": None}, {"name": "email", "role": "EMAIL"}]


async def test_a_workbook_of_one_row_is_no_empty_one(client: Client) -> None:
    outcome = await client.upload(workbook(["ann@example.com"]), "one.xlsx", SELECTION, start=False)
    assert outcome["userErrors"] == []
    assert outcome["task"]["quote"]["sample"] == [["ann@example.com"]]


async def test_a_workbook_of_our_own_is_read_again_and_hidden_or_empty_sheets_are_passed_over(client: Client) -> None:
    own = Workbook()
    content = own.add([["email", "x"], ["ann@example.com", True], [None, None], ['<&>\r\n,";@x', 3]]) + own.finish()
    outcome = await client.upload(content, "own.xlsx", SELECTION, start=False)
    assert outcome["task"]["quote"]["sample"] == [["ann@example.com", "True"], ['<&>\r\n,";@x', "3"]]

    def more(book: Any) -> None:
        book.worksheets()[0].hide()
        book.add_worksheet("empty")
        third = book.add_worksheet("third")
        third.write_column(0, 0, ["email", "c@example.com"])
        book.worksheets()[1].activate()

    outcome = await client.upload(workbook(["email"], ["hidden@example.com"], other=more), "a.xlsx", SELECTION)
    assert outcome["task"]["quote"]["sample"] == [["c@example.com"]]


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        pytest.param(b"email\na@example.com\n", "UNREADABLE_FILE", "no .xlsx", id="a csv"),
        pytest.param(b"", "UNREADABLE_FILE", "no .xlsx", id="nothing"),
        pytest.param(GOOD[: len(GOOD) // 2], "UNREADABLE_FILE", "no .xlsx", id="cut off"),
        pytest.param(GOOD[:200] + b"\0" * 400 + GOOD[600:], "UNREADABLE_FILE", "no .xlsx", id="damaged"),
        pytest.param(bytes.fromhex("d0cf11e0a1b11ae1") + b"\0" * 600, "UNREADABLE_FILE", "no .xlsx", id="old xls"),
        pytest.param(changed({}, without="[Content_Types].xml"), "UNREADABLE_FILE", "no .xlsx", id="another zip"),
        pytest.param(encrypted(), "UNREADABLE_FILE", "encrypted", id="encrypted"),
        pytest.param(changed({"xl/vbaProject.bin": b"x"}), "UNREADABLE_FILE", "macros", id="macros"),
        pytest.param(changed({"../evil.xml": b"x"}), "UNREADABLE_FILE", "outside", id="traversal"),
        pytest.param(changed({f"xl/p{n}.xml": b"x" for n in range(500)}), "UNREADABLE_FILE", "parts", id="500 parts"),
        pytest.param(
            changed({"xl/media/bomb.png": bytes(8 << 20)}), "UNREADABLE_FILE", "packed too tightly", id="zip bomb"
        ),
        pytest.param(with_cells('<row r="3"><c r="XFD3"><v>1</v></c></row>'), "TOO_LARGE", "column", id="far column"),
        pytest.param(
            with_cells("<row r='1048576'><c r='A1048576'><v>1</v></c></row>"), "TOO_LARGE", "250,000 rows", id="far row"
        ),
        pytest.param(with_cells('<row><c r="XFD1048576"><v>1</v></c></row>'), "TOO_LARGE", "column", id="far cell"),
        pytest.param(
            sheet('<!DOCTYPE x [<!ENTITY a "b">]>{old}'), "UNREADABLE_FILE", "document type", id="document type"
        ),
        pytest.param(sheet("{old}", "utf-16"), "UNREADABLE_FILE", "UTF-8", id="utf-16"),
        pytest.param(sheet("<nonsense"), "UNREADABLE_FILE", "", id="broken xml"),
        pytest.param(workbook(), "REQUIRED", "empty", id="no cells"),
        pytest.param(workbook(["id", "name"], [1, "Ann"]), "INVALID", "No column", id="no addresses"),
    ],
)
async def test_security_28_a_bad_workbook_is_told_why_and_leaves_nothing_behind(
    client: Client, raw: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, content: bytes, code: str, words: str
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    outcome = await client.upload(content, "list.xlsx", SELECTION)
    (error,) = outcome["userErrors"]
    assert (error["code"], error["field"]) == (code, ["input", "file"])
    assert words in error["message"]
    assert list(tmp_path.iterdir()) == []
    assert await raw("SELECT count(*) FROM task") == [(0,)]


async def test_security_28_a_reader_that_dies_or_hangs_is_told_and_gone(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for program, words in (("import os; os.abort()", "damaged"), ("import time; time.sleep(60)", "too long")):
        monkeypatch.setattr(spreadsheets, "SECONDS_MAX", 0.5 if "sleep" in program else 20)
        monkeypatch.setattr(spreadsheets, "ARGUMENTS", ("-I", "-c", program))
        outcome = await client.upload(GOOD, "list.xlsx", SELECTION)
        assert [error["code"] for error in outcome["userErrors"]] == ["UNREADABLE_FILE"]
        assert words in outcome["userErrors"][0]["message"]
