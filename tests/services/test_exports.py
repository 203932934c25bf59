"""Results as files: every row once, in order, and nothing that a spreadsheet would run."""

import asyncio
import csv
import io
import json
import re
import threading
import zipfile
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from xml.parsers import expat

import pytest
from python_calamine import CalamineWorkbook
from sqlalchemy import text

from db.models import Account, Task, Verdict
from db.queries.downloads import VERDICT_COLUMNS
from db.queries.results import ResultConditions
from db.session import Database
from resolvers.context import Parts
from services import drafts, exports
from services.drafts import Upload
from services.errors import BadRequest
from services.exports import DownloadFormat
from services.workbook import Cell, Workbook
from tests import factories

VERDICT_HEADER = list(VERDICT_COLUMNS)


async def uploaded(parts: Parts, owner: Account, content: str, name: str = "list.csv") -> Task:
    return await drafts.upload(
        parts.db,
        parts.announcer,
        factories.actor(owner),
        upload=Upload(io.BytesIO(content.encode()), name),
        name=None,
        idempotency_key=None,
        bytes_max=1 << 20,
        now=datetime.now(UTC),
    )


async def whole(db: Database, task: Task, file_format: DownloadFormat, **conditions: Any) -> bytes:
    return b"".join([piece async for piece in exports.stream(db, task, file_format, ResultConditions(**conditions))])


async def table(db: Database, task: Task, **conditions: Any) -> list[list[str]]:
    content = await whole(db, task, DownloadFormat.CSV, **conditions)
    return list(csv.reader(io.StringIO(content.decode(), newline="")))


def sheet(content: bytes) -> list[list[Any]]:
    """The rows of a workbook, as another program reads them."""
    return CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_index(0).to_python()


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_security_29_a_cell_that_would_start_a_formula_is_neutralised(start: str) -> None:
    assert exports.neutralised(f"{start}cmd|'/c calc'!A1") == f"'{start}cmd|'/c calc'!A1"


@pytest.mark.parametrize("cell", ["", "a=b", "a@example.com", " =1", "'=1", "1+1", "é"])
def test_any_other_cell_is_left_alone(cell: str) -> None:
    assert exports.neutralised(cell) == cell


async def test_security_29_every_cell_of_a_file_is_neutralised_header_included(parts: Parts, account: Account) -> None:
    content = 'email,=evil(),note\n=1+1,@sum,"-2,+3"\na@example.com,"\t=x",fine\n'
    task = await uploaded(parts, account, content)
    header, first, second = await table(parts.db, task)
    assert header == ["email", "'=evil()", "note", "verified_email", *VERDICT_HEADER[1:]]
    assert first[:3] == ["'=1+1", "'@sum", "'-2,+3"]
    assert second[:3] == ["a@example.com", "'\t=x", "fine"]


async def test_columns_of_ours_step_aside_until_every_name_is_its_own(parts: Parts, account: Account) -> None:
    content = "Email,verified_email,VERDICT,,score\na@example.com,x,y,z,1\n"
    (header, record) = await table(parts.db, await uploaded(parts, account, content))
    assert header[:5] == ["Email", "verified_email", "VERDICT", "column_4", "score"]
    assert header[5:9] == ["verified_verified_email", "verified_verdict", "reason", "verified_score"]
    assert len({name.lower() for name in header}) == len(header) == len(record)


async def test_every_row_comes_once_in_order_over_many_pieces(
    db: Database, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "_ROWS", 7)
    task = await factories.finished_task(db, account, rows=50)
    header, *records = await table(db, task)
    assert header == ["input", *VERDICT_HEADER]
    assert [record[0] for record in records] == [f"user{n}@ok.mailverdict.test" for n in range(50)]
    assert {tuple(record[2:4]) for record in records} == {("EXISTS", "ACCEPTED")}


async def test_duplicates_malformed_rows_and_rows_without_a_verdict_are_all_there(
    parts: Parts, account: Account
) -> None:
    content = 'id,email\n1,yes@example.com\n2," yes@EXAMPLE.com"\n3,wrong\n4,no-x@example.com\n'
    task = await uploaded(parts, account, content)
    records = await table(parts.db, task)
    assert [record[2:4] for record in records[1:]] == [
        ["yes@example.com", ""],
        ["yes@example.com", ""],
        ["", "INVALID_SYNTAX"],
        ["no-x@example.com", ""],
    ]
    assert [record[:2] for record in records[1:]] == [
        ["1", "yes@example.com"],
        ["2", " yes@EXAMPLE.com"],
        ["3", "wrong"],
        ["4", "no-x@example.com"],
    ]


async def test_a_filter_keeps_only_what_matches(parts: Parts, account: Account) -> None:
    task = await uploaded(parts, account, "email\na@example.com\nwrong\nb@EXAMPLE.com\nc@example.org\n")
    assert [r[0] for r in (await table(parts.db, task, verdict=[Verdict.INVALID_SYNTAX]))[1:]] == ["wrong"]
    assert [r[0] for r in (await table(parts.db, task, domain="Example.com"))[1:]] == ["a@example.com", "b@EXAMPLE.com"]
    assert [r[0] for r in (await table(parts.db, task, email_contains="B@"))[1:]] == ["b@EXAMPLE.com"]
    assert (await table(parts.db, task, email_contains="%"))[1:] == []


async def test_a_text_file_has_one_input_a_line_whatever_is_in_it(parts: Parts, account: Account) -> None:
    task = await uploaded(parts, account, 'email\n" a@example.com "\n"two\nlines\tand"\nb@example.com\n')
    assert await whole(parts.db, task, DownloadFormat.TXT) == b"a@example.com\ntwo lines and\nb@example.com\n"


NASTY = 'email,=evil(),note\n=1+1,@sum,"-2\r\n<b>&amp; ]]> \x01 \ufffe"\na@example.com,,"  two  "\nwrong, 7 ,\n'


async def test_a_workbook_has_the_cells_of_the_csv_as_texts(parts: Parts, account: Account) -> None:
    task = await uploaded(parts, account, NASTY)
    header, *records = sheet(await whole(parts.db, task, DownloadFormat.XLSX))
    assert header == ["email", "'=evil()", "note", "verified_email", *VERDICT_HEADER[1:]]
    assert records[0][:3] == ["'=1+1", "'@sum", "'-2\r\n<b>&amp; ]]> \ufffd \ufffd"]
    assert records[1][:4] == ["a@example.com", "", "  two  ", "a@example.com"]
    assert records[2][:5] == ["wrong", " 7 ", "", "", "INVALID_SYNTAX"]


async def test_numbers_and_truths_of_a_workbook_are_such(db: Database, account: Account) -> None:
    task = await factories.finished_task(db, account, rows=3)
    async with db.transaction() as session:
        await session.execute(text("UPDATE task_address SET score = 90, is_role = true, is_free = false"))
    _, *records = sheet(await whole(db, task, DownloadFormat.XLSX, email_contains="user1@"))
    assert [record[4:8] for record in records] == [[90.0, True, "", False]]


async def test_every_part_of_a_workbook_is_sound(
    db: Database, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "_ROWS", 7)
    task = await factories.finished_task(db, account, rows=50)
    content = await whole(db, task, DownloadFormat.XLSX)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        for name in archive.namelist():
            expat.ParserCreate().Parse(archive.read(name), True)
    assert [record[0] for record in sheet(content)[1:]] == [f"user{n}@ok.mailverdict.test" for n in range(50)]


async def test_a_line_of_json_holds_the_texts_as_they_are(parts: Parts, account: Account) -> None:
    task = await uploaded(parts, account, NASTY)
    first, second, third = map(json.loads, (await whole(parts.db, task, DownloadFormat.NDJSON)).splitlines())
    assert first["cells"] == ["=1+1", "@sum", "-2\r\n<b>&amp; ]]> \x01 \ufffe"]
    assert (second["row_number"], second["input"], second["email"]) == (2, "a@example.com", "a@example.com")
    assert (third["verdict"], third["reason"], third["reference"]) == ("INVALID_SYNTAX", "SYNTAX", None)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", third["verified_at"])


async def test_a_repeat_of_a_row_far_before_has_its_verdict(
    db: Database, parts: Parts, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "_ROWS", 3)
    task = await uploaded(parts, account, "email\n" + "a@example.com\nwrong\nb@example.com\n" * 4)
    async with db.transaction() as session:
        await session.execute(text("UPDATE task_address SET score = n WHERE email IS NOT NULL"))
    records = (await table(db, task))[1:]
    assert [(r[0], r[1], r[2], r[4]) for r in records] == 4 * [
        ("a@example.com", "a@example.com", "", "1"),
        ("wrong", "", "INVALID_SYNTAX", ""),
        ("b@example.com", "b@example.com", "", "3"),
    ]
    assert len((await whole(db, task, DownloadFormat.NDJSON)).splitlines()) == 12


async def test_a_download_that_is_left_half_way_leaves_nothing_behind(db: Database, account: Account) -> None:
    task = await factories.finished_task(db, account, rows=5)
    for file_format in DownloadFormat:
        stream = exports.stream(db, task, file_format, ResultConditions())
        await anext(stream)
        await anext(stream)
        await stream.aclose()


def test_more_rows_than_a_sheet_has_are_refused_for_xlsx_alone() -> None:
    for file_format in DownloadFormat:
        exports.check(Task(email_count=1_048_575), file_format)
    with pytest.raises(BadRequest, match="1,048,575 rows below its header; this task has 1,048,576"):
        exports.check(Task(email_count=1_048_576), DownloadFormat.XLSX)
    exports.check(Task(email_count=1_048_576), DownloadFormat.CSV)


async def test_a_workbook_that_nobody_reads_on_is_closed_when_its_thread_has_written(
    db: Database, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_writing, may_write = threading.Event(), threading.Event()
    seen: list[str] = []

    class Slow(Workbook):
        def add(self, rows: Iterable[Sequence[Cell]]) -> bytes:
            if threading.current_thread() is not threading.main_thread():
                is_writing.set()
                may_write.wait(10)
            seen.append("written")
            return super().add(rows)

        def close(self) -> None:
            seen.append("closed")
            super().close()

    monkeypatch.setattr(exports, "Workbook", Slow)
    task = await factories.finished_task(db, account, rows=3)
    pieces = exports.stream(db, task, DownloadFormat.XLSX, ResultConditions())
    for _ in range(2):
        await anext(pieces)
    await asyncio.to_thread(is_writing.wait, 10)
    closing = asyncio.ensure_future(pieces.aclose())
    for _ in range(20):
        await asyncio.sleep(0)
    may_write.set()
    await closing
    assert seen == ["written", "written", "closed"]


@pytest.mark.parametrize(
    ("name", "file_name", "expected"),
    [
        ("list.csv", "list.csv", "list-results.csv"),
        ("March 2026", "list.csv", "March-2026-results.csv"),
        ('a"; filename="evil.exe', None, "a---filename--evil.exe-results.csv"),
        ("../../etc/passwd", None, "etc-passwd-results.csv"),
        ("Käufer\r\nX: y", None, "K-ufer--X--y-results.csv"),
        ("中文", None, "results-results.csv"),
    ],
)
def test_a_file_is_named_in_letters_that_every_header_can_carry(
    name: str, file_name: str | None, expected: str
) -> None:
    assert exports.file_name(Task(name=name, file_name=file_name), DownloadFormat.CSV) == expected
