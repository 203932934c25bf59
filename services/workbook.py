"""A workbook of one sheet (ECMA-376, Office Open XML), written row by row into a stream that is never turned back.

Memory does not grow with the rows, and the first bytes leave at once: a workbook that has to be finished on disk
before it can be sent would keep the reader of a long list waiting. Every cell is a text, a number or a truth: nothing
becomes a formula or a link.
"""

import io
import re
import zipfile
from collections.abc import Iterable, Sequence
from xml.sax.saxutils import escape

ROWS_MAX = 1_048_576
CELL_CHARACTERS_MAX = 32_767

_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_PARTS = {
    "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>'
    f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_TYPE}.worksheet+xml"/></Types>',
    "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}">'
    '<sheets><sheet name="results" sheetId="1" r:id="rId1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
}
_HEAD = f'{_XML}<worksheet xmlns="{_MAIN}"><sheetData>'
_END = "</sheetData></worksheet>"

# XML 1.0, section 2.2: what no document may hold, not even escaped.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_COMPRESSION = 1  # a level of zlib: past it, twice the time for a tenth of the bytes

Cell = str | int | bool | None


class Workbook:
    """A workbook in the making. `add` rows, then `finish`; each gives the bytes that are ready to go out."""

    def __init__(self) -> None:
        """Begin with the parts that do not depend on the rows."""
        self._sink = _Sink()
        self._zip = zipfile.ZipFile(self._sink, "w", zipfile.ZIP_DEFLATED, compresslevel=_COMPRESSION)
        for name, content in _PARTS.items():
            self._zip.writestr(name, _XML + content)
        self._sheet = self._zip.open("xl/worksheets/sheet1.xml", "w", force_zip64=True)
        self._sheet.write(_HEAD.encode())

    def add(self, rows: Iterable[Sequence[Cell]]) -> bytes:
        """Write rows below those that are there."""
        self._sheet.write("".join([f"<row>{''.join(map(_cell, row))}</row>" for row in rows]).encode())
        return self._sink.taken()

    def finish(self) -> bytes:
        """End the sheet and the file."""
        self._sheet.write(_END.encode())
        self.close()
        return self._sink.taken()

    def close(self) -> None:
        """Let go of an archive that may be unfinished."""
        self._sheet.close()
        self._zip.close()


class _Sink(io.RawIOBase):
    """What was written since it was last taken. Cannot be sought in, so that the archive goes on without that."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]  # the archive writes bytes alone
        self._pieces.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken


def _cell(value: Cell) -> str:
    if value is None or value == "":
        return "<c/>"
    if isinstance(value, bool):
        return f'<c t="b"><v>{value:d}</v></c>'
    if isinstance(value, int):
        return f"<c><v>{value}</v></c>"
    text = escape(_FORBIDDEN.sub("\ufffd", value[:CELL_CHARACTERS_MAX])).replace("\r", "&#13;")
    return f'<c t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'
