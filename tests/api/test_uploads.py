"""uploadTaskFile through the GraphQL multipart request: good files become tasks, bad ones a clear user error."""

import asyncio
from typing import Any

import pytest

from services import drafts
from tests.client import Client

SELECTION = """
task { id name status source emailCount domainCount
  metrics { totalEmailAddresses verificationStatus { invalidSyntax } }
  file { name sizeBytes rowCount sha256 columns { index name role } } }
userErrors { code message field }"""
GOOD = b'id,"Name, full",email\n1,"Ann, A.",ann@ok.mailverdict.test\n2,Ben, ann@OK.mailverdict.test\n3,Cid,wrong\n'


async def made(client: Client, content: bytes, name: str, /, **given: Any) -> dict[str, Any]:
    outcome = await client.upload(content, name, SELECTION, **given)
    assert outcome["userErrors"] == []
    task: dict[str, Any] = outcome["task"]
    return task


async def test_a_csv_file_becomes_a_task(client: Client, raw: Any) -> None:
    task = await made(client, GOOD, "contacts.csv")
    assert (task["name"], task["status"], task["source"]) == ("contacts.csv", "QUEUED", "FILE")
    assert (task["emailCount"], task["domainCount"], task["metrics"]["totalEmailAddresses"]) == (3, 1, 2)
    assert task["metrics"]["verificationStatus"]["invalidSyntax"] == 1
    file = task["file"]
    assert (file["name"], file["sizeBytes"], file["rowCount"]) == ("contacts.csv", len(GOOD), 3)
    assert len(file["sha256"]) == 64
    assert file["columns"] == [
        {"index": 0, "name": "id", "role": None},
        {"index": 1, "name": "Name, full", "role": None},
        {"index": 2, "name": "email", "role": "EMAIL"},
    ]
    rows = await raw("SELECT row_number, input, cells FROM task_row ORDER BY row_number")
    assert rows[1] == (2, " ann@OK.mailverdict.test", ["2", "Ben", " ann@OK.mailverdict.test"])


async def test_a_text_file_becomes_a_task(client: Client) -> None:
    task = await made(client, b"ann@ok.mailverdict.test\r\n\r\nben@ok.mailverdict.test\r\n", "list.txt", name="Mine")
    assert (task["name"], task["emailCount"], task["file"]["name"]) == ("Mine", 2, "list.txt")


async def test_columns_are_mapped_and_references_come_back(client: Client) -> None:
    mapping = {"email": {"name": "email"}, "reference": {"index": 0}}
    task = await made(client, GOOD, "contacts.csv", columnMapping=mapping)
    assert [column["role"] for column in task["file"]["columns"]] == ["REFERENCE", None, "EMAIL"]
    query = "query($id: ID!) { task(id: $id) { results { nodes { rowNumber reference input } } } }"
    nodes = (await client.ask(query, id=task["id"]))["task"]["results"]["nodes"]
    assert [(node["rowNumber"], node["reference"]) for node in nodes] == [(1, "1"), (2, "2"), (3, "3")]


async def test_a_file_without_a_header_loses_no_row(client: Client) -> None:
    for has_header in (True, False):
        task = await made(client, b"ann@ok.mailverdict.test\nben@ok.mailverdict.test\n", "l.csv", hasHeader=has_header)
        assert task["emailCount"] == 2


@pytest.mark.parametrize(
    ("content", "name", "given", "code", "field"),
    [
        (b"", "l.csv", {}, "REQUIRED", ["file"]),
        (b"email\n", "l.csv", {}, "REQUIRED", ["file"]),
        (b",,\n,,\n", "l.csv", {}, "REQUIRED", ["file"]),
        (b"id,name\n1,Ann\n", "l.csv", {}, "INVALID", ["file"]),
        (b"\x89PNG\r\n\0\0", "l.csv", {}, "UNREADABLE_FILE", ["file"]),
        (GOOD, "l.xls", {}, "UNREADABLE_FILE", ["file"]),
        (GOOD, "l", {}, "UNREADABLE_FILE", ["file"]),
        (b"email\n" + b"a@b.co\n" * 300 + b"," * 70, "l.csv", {}, "UNREADABLE_FILE", ["file"]),
        (b"email\n" + b"a@b.co\n" * 160_000, "l.csv", {}, "TOO_LARGE", ["file"]),
        (GOOD, "l.csv", {"name": " "}, "INVALID", ["name"]),
        (GOOD, "l.csv", {"name": "x" * 201}, "TOO_LARGE", ["name"]),
        (GOOD, "l.csv", {"idempotencyKey": "x" * 65}, "INVALID", ["idempotencyKey"]),
        (GOOD, "l.csv", {"columnMapping": {"email": {"name": "mail"}}}, "INVALID", ["columnMapping", "email"]),
        (GOOD, "l.csv", {"columnMapping": {"firstName": {"index": 9}}}, "INVALID", ["columnMapping", "firstName"]),
    ],
)
async def test_security_28_a_bad_file_is_a_clear_user_error_and_writes_nothing(
    client: Client, raw: Any, content: bytes, name: str, given: dict[str, Any], code: str, field: list[str]
) -> None:
    outcome = await client.upload(content, name, SELECTION, **given)
    assert outcome["task"] is None
    (error,) = outcome["userErrors"]
    assert (error["code"], error["field"]) == (code, ["input", *field])
    assert error["message"].endswith(".")
    counted = "SELECT (SELECT count(*) FROM task), (SELECT count(*) FROM task_row), (SELECT count(*) FROM task_address)"
    assert await raw(counted) == [(0, 0, 0)]
    assert await raw("SELECT count(*) FROM idempotency_key") == [(0,)]


async def test_more_different_addresses_than_allowed_are_too_large(
    client: Client, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drafts, "FILE_ADDRESSES_MAX", 2)
    outcome = await client.upload(b"a@b.co\nb@b.co\nc@b.co\n", "l.txt", SELECTION)
    assert [(e["code"], e["field"]) for e in outcome["userErrors"]] == [("TOO_LARGE", ["input", "file"])]
    assert await raw("SELECT count(*) FROM task") == [(0,)]


async def test_a_header_with_characters_that_a_database_refuses_is_kept(client: Client) -> None:
    task = await made(client, "na\0me,email\nAnn,ann@ok.mailverdict.test\n".encode("utf-16"), "l.csv")
    assert [column["name"] for column in task["file"]["columns"]] == ["na\ufffdme", "email"]


async def test_an_uploaded_list_longer_than_a_part_has_several(client: Client, raw: Any) -> None:
    content = b"".join(b"p%d@example.com\n" % n for n in range(25_000))
    task = await made(client, content, "long.txt")
    assert task["metrics"]["totalEmailAddresses"] == 25_000
    assert await raw("SELECT n, total FROM task_part ORDER BY n") == [(1, 10_000), (2, 10_000), (3, 5_000)]


async def test_one_idempotency_key_makes_one_task_however_often_the_file_comes(client: Client, raw: Any) -> None:
    uploads = [made(client, GOOD, "contacts.csv", idempotencyKey="once") for _ in range(5)]
    assert len({task["id"] for task in await asyncio.gather(*uploads)}) == 1
    assert await raw("SELECT count(*) FROM task") == [(1,)]
    outcome = await client.upload(GOOD + b"4,Dan,dan@b.co\n", "contacts.csv", SELECTION, idempotencyKey="once")
    assert outcome["userErrors"][0]["code"] == "IDEMPOTENCY_CONFLICT"


async def test_two_roles_of_one_column_are_refused(client: Client) -> None:
    mapping = {"email": {"index": 2}, "reference": {"name": "email"}}
    outcome = await client.upload(GOOD, "l.csv", SELECTION, columnMapping=mapping)
    assert outcome["userErrors"][0]["field"] == ["input", "columnMapping", "reference"]


async def test_a_path_in_the_files_name_is_dropped(client: Client) -> None:
    assert (await made(client, GOOD, "../../etc/list.csv"))["file"]["name"] == "list.csv"
