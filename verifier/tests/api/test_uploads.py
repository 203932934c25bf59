"""Uploaded files: lists of every shape in, everything else refused, the process unharmed."""

import asyncio
import codecs
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from verifier.files import sheets
from verifier.store.database import Pool
from verifier.tests.api import workbooks
from verifier.tests.rest import Json, Rest, error, ok

USER = "7b0c5a0e-6c4b-4a7e-9d5e-1f2f3f4f5f6f"
TWO = ["a@example.com", "b@example.org"]


async def upload(rest: Rest, name: str, content: bytes, **fields: str) -> httpx.Response:
    return await rest.client.post("/tasks/batch/upload", files={"file": (name, content)}, data=fields)


async def addresses(pool: Pool, task: Json) -> list[str]:
    rows = await pool.fetch("SELECT email FROM address WHERE task_id = $1 ORDER BY n", task["id"])
    return [row["email"] for row in rows]


LISTS = {
    "plain.txt": b"a@example.com\r\n\r\n  b@example.org  \n",
    "named.csv": b"name,E-Mail,note\nAnn,a@example.com,x@y\nBo,b@example.org,z@y\n",
    "unnamed.csv": b"who;contact\nAnn;a@example.com\nBo;b@example.org\n",
    "headless.csv": b"a@example.com,Ann\nb@example.org,Bo\n",
    "quoted.csv": b'email,"a;b;c;d"\n"a@example.com","x, y"\n"b@example.org",\n',
    "tabs.csv": b"email\tname\na@example.com\tAnn\nb@example.org\tBo\n",
    "bom.CSV": codecs.BOM_UTF8 + b"email\na@example.com\nb@example.org\n",
    "utf16.txt": "a@example.com\nb@example.org\n".encode("utf-16"),
    "book.xlsx": workbooks.honest([["Name", "Email", 7], ["Ann", TWO[0], 1.5], ["", "", ""], ["Bo", TWO[1], True]]),
    "hidden.xlsx": workbooks.honest([[TWO[0]], [TWO[1]]], hidden_first=True),
}


async def test_a_list_is_read_in_every_format(rest: Rest, pool: Pool) -> None:
    for name, content in LISTS.items():
        task = ok(await upload(rest, name, content), 201)
        assert (task["email_count"], task["domain_count"]) == (2, 2), name
        assert await addresses(pool, task) == TWO, name


async def test_the_media_type_tells_what_the_name_does_not(rest: Rest) -> None:
    xlsx = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    named = {"text/csv": LISTS["named.csv"], "text/plain; charset=utf-8": LISTS["plain.txt"], xlsx: LISTS["book.xlsx"]}
    for media_type, content in named.items():
        for name in ("file", "file.tmp"):
            made = await rest.client.post("/tasks/batch/upload", files={"file": (name, content, media_type)})
            assert ok(made, 201)["email_count"] == 2
    refused = await rest.client.post("/tasks/batch/upload", files={"file": ("a", b"a@b.com", "image/png")})
    assert error(refused, 400)["code"] == "unreadable_file"


async def test_malformed_and_foreign_addresses_are_kept_as_they_are(rest: Rest, pool: Pool) -> None:
    lines = ["bücher@example.com", "no at sign", "ünï@bücher.example", '"a b"@example.com']
    for encoding in ("utf-8", "cp1252"):
        task = ok(await upload(rest, "list.txt", "\n".join(lines).encode(encoding)), 201)
        assert await addresses(pool, task) == lines


async def test_the_task_is_the_callers_with_its_webhook(rest: Rest) -> None:
    mine = await rest.key_for(USER)
    url = "https://example.com/done"
    made = await rest.client.post(
        "/tasks/batch/upload", files={"file": ("a.txt", b"a@b.com")}, data={"webhook_url": url}, headers=mine
    )
    assert (ok(made, 201)["user_id"], made.json()["webhook_url"]) == (USER, url)


async def test_the_same_key_and_list_give_the_same_task(rest: Rest) -> None:
    key = {"Idempotency-Key": "one"}
    made = await rest.create(TWO, **key)
    files = {"file": ("list.txt", "\n".join(TWO).encode())}
    assert ok(await rest.client.post("/tasks/batch/upload", files=files, headers=key), 201) == made
    other = {"file": ("list.txt", b"c@example.com")}
    error(await rest.client.post("/tasks/batch/upload", files=other, headers=key), 409)


async def test_ten_thousand_are_taken_and_one_more_is_not(rest: Rest) -> None:
    lines = [f"a{n}@example.com" for n in range(10_001)]
    assert ok(await upload(rest, "a.txt", "\n".join(lines[1:]).encode()), 201)["email_count"] == 10_000
    book = workbooks.honest([[line] for line in lines[1:]])
    assert ok(await upload(rest, "a.xlsx", book), 201)["email_count"] == 10_000
    for name, content in (
        ("a.txt", "\n".join(lines).encode()),
        ("a.csv", "\n".join(["email", *lines]).encode()),
        ("a.xlsx", workbooks.honest([[line] for line in lines])),
    ):
        assert error(await upload(rest, name, content), 400)["code"] == "too_many_addresses", name


NUL = b"a@example.com\n" * 10
BAD_FILES = {
    "nothing.txt": b"",
    "blank.csv": b"\n \n",
    "header-only.csv": b"email,name\n",
    "no-addresses.csv": b"a,b\nc,d\n",
    "nul.txt": NUL + b"\0",
    "nul.csv": NUL + b"\0",
    "utf16-without-mark.txt": "a@example.com\n".encode("utf-16-le"),
    "picture.png": b"\x89PNG\r\n\x1a\n",
    "no-suffix": b"a@example.com",
    "old.xls": b"a@example.com",
    "really-xlsx.csv": workbooks.forged(),
    "really-txt.xlsx": b"a@example.com",
    "ole.xlsx": bytes.fromhex("d0cf11e0a1b11ae1") + bytes(600),
    "endless-line.txt": b"a" * 2_000_000,
    "open-quote.csv": b'email\n"' + b"x\n" * 100_000,
    "cut-off.xlsx": workbooks.forged()[:-40],
    "plain-zip.xlsx": b"PK\x05\x06" + bytes(18),
    "encrypted.xlsx": workbooks.encrypted(),
    "bomb.xlsx": workbooks.forged(more={"xl/media/a.bin": bytes(30_000_000)}),
    "far-cell.xlsx": workbooks.forged(workbooks.sheet_of('<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>')),
    "far-row.xlsx": workbooks.forged(workbooks.sheet_of("<row r='1048576'><c><v>1</v></c></row>")),
    "far-column.xlsx": workbooks.forged(workbooks.sheet_of("<row><c r = ' xfd1 '><v>1</v></c></row>")),
    "dtd.xlsx": workbooks.forged(head='<!DOCTYPE x [<!ENTITY a "aaaa">]>'),
    "utf16-dtd.xlsx": workbooks.forged(('<?xml version="1.0"?><!DOCTYPE x>' + workbooks.sheet_of("")).encode("utf-16")),
    "macros.xlsx": workbooks.forged(more={"xl/vbaProject.bin": b"x"}),
    "path.xlsx": workbooks.forged(more={"../../etc/passwd": b"x"}),
    "broken-xml.xlsx": workbooks.forged("<worksheet><sheetData><row"),
    "formula-only.xlsx": workbooks.forged(workbooks.sheet_of('<row r="1"><c r="A1"><f>1+1</f></c></row>')),
}


async def test_every_other_file_is_refused_with_a_reason_and_leaves_nothing(
    rest: Rest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name, content in BAD_FILES.items():
        refused = error(await upload(rest, name, content), 400)
        assert (refused["field"], refused["code"]) == ("file", "unreadable_file"), name
    assert list(tmp_path.iterdir()) == []
    assert ok(await rest.client.get("/tasks"))["tasks"] == []


async def test_a_cell_that_the_look_before_misses_harms_the_child_alone(rest: Rest) -> None:
    hidden = '<row r="1"><c r="&#65;1"><v>1</v></c><c r="&#88;FD1048576"><v>1</v></c></row>'
    response = await upload(rest, "far.xlsx", workbooks.forged(workbooks.sheet_of(hidden)))
    assert error(response, 400)["code"] == "unreadable_file"
    ok(await upload(rest, "good.txt", b"a@example.com"), 201)


async def test_the_child_that_reads_sheets_can_write_no_file_and_take_no_more_than_a_gigabyte() -> None:
    told = (
        f"import resource, runpy; runpy.run_path({str(sheets.CHILD)!r})['limit']();"
        "print([resource.getrlimit(each) for each in (resource.RLIMIT_AS, resource.RLIMIT_FSIZE)])"
    )
    child = await asyncio.create_subprocess_exec(sys.executable, "-I", "-c", told, stdout=PIPE)
    output, _ = await child.communicate()
    assert output.decode() == f"[({1 << 30}, {1 << 30}), (0, 0)]\n"


@pytest.fixture
def env(env: dict[str, str]) -> dict[str, str]:
    return {**env, "VERIFIER_UPLOAD_BYTES_MAX": "4000000"}


async def test_too_many_bytes_are_refused_whether_told_before_or_not(rest: Rest) -> None:
    content = os.urandom(5_000_000)
    assert error(await upload(rest, "a.txt", content), 413)["code"] == "too_large"
    form = await _form_of(content)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(form), 100_000):
            yield form[start : start + 100_000]

    headers = {"Content-Type": "multipart/form-data; boundary=b", "Transfer-Encoding": "chunked"}
    response = await rest.client.post("/tasks/batch/upload", content=pieces(), headers=headers)
    assert error(response, 413)["field"] == "file"


async def test_an_upload_that_is_cut_off_or_claims_too_much_leaves_nothing(
    rest: Rest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    url = rest.client.base_url
    head = (
        f"POST {url.path}tasks/batch/upload HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: {rest.client.headers['authorization']}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: "
    )
    for length, sent in ((3_000_000, os.urandom(2_000_000)), (2_000_000_000, b"x")):
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(f"{head}{length}\r\n\r\n".encode() + (await _form_of(sent))[:-9])
        await writer.drain()
        if length > 4_000_000:
            assert (await reader.readline()).startswith(b"HTTP/1.1 413")
        writer.close()
        await writer.wait_closed()
    for _ in range(50):
        ok(await rest.client.get("/tasks"))
    assert list(tmp_path.iterdir()) == []


async def _form_of(content: bytes) -> bytes:
    return b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n' + content + b"\r\n--b--\r\n"


async def test_a_form_that_is_none_is_refused(rest: Rest) -> None:
    path = "/tasks/batch/upload"
    good = {"file": ("a.txt", b"a@example.com")}
    multipart = {"Content-Type": "multipart/form-data; boundary=b"}
    error(await rest.client.post(path, json={"emails": TWO}), 415)
    error(await rest.client.post(path, content=b"x"), 415)
    for content in (b"", b"--b", b"--b\r\n\r\nx\r\n--b--\r\n", (await _form_of(b"a@example.com"))[:-9]):
        error(await rest.client.post(path, content=content, headers=multipart), 400)
    error(await rest.client.post(path, content=b"x", headers={"Content-Type": "multipart/form-data"}), 400)
    cases: tuple[tuple[dict[str, str], dict[str, tuple[str, bytes]] | None, str | None], ...] = (
        ({"file": "a@example.com"}, None, "file"),
        ({"user_id": USER}, good, "user_id"),
        ({"colour": "red"}, good, "colour"),
        ({"webhook_url": "ftp://example.com"}, good, "webhook_url"),
        ({"webhook_url": ""}, good, "webhook_url"),
        ({}, {"files": good["file"]}, "files"),
        ({}, {"file": good["file"], "webhook_url": good["file"]}, None),
    )
    for data, files, field in cases:
        refused = error(await rest.client.post(path, data=data, files=files or {"x": ("", b"")}), 400)
        assert field is None or refused.get("field") == field or files is None
