"""xlsx files for tests: honest ones, and ones that nobody's spreadsheet program would write."""

import io
import zipfile
from collections.abc import Sequence

import xlsxwriter

TYPES = """<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Default Extension="xml" ContentType="application/xml"/>
<Override PartName="/xl/workbook.xml"
 ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>
<Override PartName="/xl/worksheets/sheet1.xml"
 ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>"""
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELS = f"""<Relationships xmlns="{PACKAGE}"><Relationship Id="r1" Type="{OFFICE}/officeDocument"
 Target="xl/workbook.xml"/></Relationships>"""
BOOK = f"""<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets><sheet name="a" sheetId="1" r:id="r1"/></sheets>
</workbook>"""
BOOK_RELS = f"""<Relationships xmlns="{PACKAGE}"><Relationship Id="r1" Type="{OFFICE}/worksheet"
 Target="worksheets/sheet1.xml"/></Relationships>"""
CELL = '<row r="1"><c r="A1" t="inlineStr"><is><t>a@example.com</t></is></c></row>'


def honest(rows: Sequence[Sequence[object]], *, hidden_first: bool = False) -> bytes:
    """A workbook as spreadsheet programs write it."""
    file = io.BytesIO()
    with xlsxwriter.Workbook(file) as book:
        if hidden_first:
            hidden = book.add_worksheet("hidden")
            hidden.write_string(0, 0, "secret@example.com")
            book.add_worksheet("empty").activate()
            hidden.hide()
        sheet = book.add_worksheet("list")
        for place, row in enumerate(rows):
            sheet.write_row(place, 0, row)
    return file.getvalue()


def forged(sheet: str | bytes = "", *, head: str = "", more: dict[str, bytes] | None = None) -> bytes:
    """A workbook with a sheet of our own making and further parts."""
    content = sheet or f'<worksheet xmlns="{MAIN}"><sheetData>{CELL}</sheetData></worksheet>'
    if isinstance(content, str):
        content = (head + content).encode()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", TYPES)
        archive.writestr("_rels/.rels", RELS)
        archive.writestr("xl/workbook.xml", BOOK)
        archive.writestr("xl/_rels/workbook.xml.rels", BOOK_RELS)
        archive.writestr("xl/worksheets/sheet1.xml", content)
        for name, part in (more or {}).items():
            archive.writestr(name, part)
    return file.getvalue()


def sheet_of(cells: str) -> str:
    """A sheet's XML around its rows."""
    return f'<worksheet xmlns="{MAIN}"><sheetData>{cells}</sheetData></worksheet>'


def encrypted() -> bytes:
    """A workbook whose parts say that they are encrypted."""
    content = bytearray(forged())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = content.find(signature)
        while place >= 0:
            content[place + offset] |= 1
            place = content.find(signature, place + 4)
    return bytes(content)
