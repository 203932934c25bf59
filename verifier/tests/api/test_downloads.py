"""Results as files: the same in each format, and nothing in them that a spreadsheet would run."""

import asyncio
import csv
import io
import threading
import tracemalloc
import zipfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import IO
from uuid import UUID

import pytest
from python_calamine import CalamineWorkbook

from verifier.api import downloads
from verifier.files import writing
from verifier.store.database import Pool
from verifier.tests.api import rows
from verifier.tests.rest import Rest, error

EMAILS = ["a@example.com", "=1+1@example.com", "+tag@example.com", "-x@example.com", "@x", "tab\tx", "bücher@b.example"]
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
CHECKED = "2026-11-20T10:00:00Z"


async def finished(rest: Rest, pool: Pool, emails: list[str]) -> str:
    task = await rest.create(emails)
    at = datetime.fromisoformat(CHECKED)
    verdicts = [rows.verdict(n, role_based=n == 0, checked_at=at) for n in range(len(emails))]
    await rows.write(pool, task["id"], verdicts)
    return str(task["id"])


async def test_csv_and_xlsx_hold_the_same_and_no_formula(rest: Rest, pool: Pool) -> None:
    id = await finished(rest, pool, EMAILS)
    csv_file = await rest.client.get(f"/tasks/{id}/download", params={"format": "csv"})
    table = list(csv.DictReader(io.StringIO(csv_file.text, newline="")))
    neutral = [f"'{email}" if email[0] in "=+-@" else email for email in EMAILS]
    assert [row["email"] for row in table] == neutral
    assert table[0] == {
        "email": "a@example.com", "status": "exists", "reason": "accepted", "role_based": "true", "disposable": "false",
        "free_provider": "false", "suggestion": "", "checked_at": CHECKED,
    }  # fmt: skip
    xlsx_file = await rest.client.get(f"/tasks/{id}/download", params={"format": "xlsx"})
    assert xlsx_file.headers["content-type"] == XLSX
    assert xlsx_file.headers["content-disposition"] == f'attachment; filename="task-{id}.xlsx"'
    sheet = CalamineWorkbook.from_filelike(io.BytesIO(xlsx_file.content)).get_sheet_by_index(0).to_python()
    assert sheet[0] == list(writing.COLUMNS)
    assert [row[0] for row in sheet[1:]] == EMAILS
    assert sheet[1] == ["a@example.com", "exists", "accepted", True, False, False, "", CHECKED]
    with zipfile.ZipFile(io.BytesIO(xlsx_file.content)) as archive:
        assert b"<f>" not in archive.read("xl/worksheets/sheet1.xml")


async def test_txt_has_a_line_for_each_address(rest: Rest, pool: Pool) -> None:
    id = await finished(rest, pool, EMAILS)
    text = (await rest.client.get(f"/tasks/{id}/download", params={"format": "txt"})).text
    assert [line.split("\t") for line in text.splitlines()] == [[e.replace("\t", " "), "exists"] for e in EMAILS]


async def test_another_format_or_an_accept_header_without_it_is_refused(rest: Rest) -> None:
    task = await rest.create(["a@example.com"])
    path = f"/tasks/{task['id']}/download"
    for format in ("pdf", "CSV", ""):
        assert error(await rest.client.get(path, params={"format": format}), 400)["field"] == "format"
    error(await rest.client.get(path, headers={"Accept": "application/json"}), 406)
    error(await rest.client.get(path, params={"format": "xlsx"}, headers={"Accept": "text/*"}), 406)
    assert (await rest.client.get(path, headers={"Accept": "text/*"})).status_code == 200


async def test_a_spreadsheet_is_closed_when_its_thread_has_written(
    rest: Rest, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_writing, may_write = threading.Event(), threading.Event()
    seen: list[str] = []

    class Slow(writing.Spreadsheet):
        def add(self, rows: Sequence[writing.Row]) -> None:
            is_writing.set()
            may_write.wait(10)
            super().add(rows)
            seen.append("written")

        def close(self) -> IO[bytes]:
            seen.append("closed")
            return super().close()

    monkeypatch.setattr(writing, "Spreadsheet", Slow)
    id = await finished(rest, pool, EMAILS)
    making = asyncio.ensure_future(downloads._spreadsheet(pool, UUID(id)))
    await asyncio.to_thread(is_writing.wait, 10)
    making.cancel()
    for _ in range(20):
        await asyncio.sleep(0)
    may_write.set()
    await asyncio.wait((making,))
    assert making.cancelled()
    assert seen == ["written", "closed"]


def test_memory_does_not_grow_with_a_spreadsheet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    row = dict.fromkeys(writing.COLUMNS, "x" * 40)
    sheet = writing.Spreadsheet()
    sheet.add([row] * 100)
    tracemalloc.start()
    for _ in range(40):
        sheet.add([row] * 100)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    sheet.close().close()
    assert grown < 200_000
    assert list(tmp_path.iterdir()) == []
