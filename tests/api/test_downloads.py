"""Task.download: a signed link that needs no other credential, and what it gives."""

import asyncio
import csv
import io
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from db.models import Account, Task, Verdict, VerdictReason
from db.queries.results import ResultConditions
from resolvers.context import Parts
from services.exports import DownloadFormat
from services.links import Download
from tests import factories
from tests.client import Client

LINK = """query($id: ID!, $format: DownloadFormat!, $filter: TaskResultFilter) { task(id: $id) {
  download(format: $format, filter: $filter) { url expiresAt format } } }"""


@pytest.fixture
async def task(parts: Parts, account: Account) -> Task:
    return await factories.finished_task(parts.db, account, rows=5, name="March")


async def link(client: Client, task: Task, format: str = "CSV", **filter: Any) -> str:
    found = await client.ask(LINK, id=task.global_id, format=format, filter=filter or None)
    path: str = urlsplit(found["task"]["download"]["url"]).path
    return path


async def test_a_link_gives_the_whole_file_without_a_credential(
    client: Client, http: httpx.AsyncClient, task: Task
) -> None:
    response = await http.get(await link(client, task))
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.headers["content-disposition"] == 'attachment; filename="March-results.csv"'
    assert response.headers["cache-control"] == "private, no-store"
    assert response.headers["x-content-type-options"] == "nosniff"
    header, *rows = csv.reader(io.StringIO(response.text, newline=""))
    assert header[:4] == ["input", "email", "verdict", "reason"]
    assert [row[0] for row in rows] == [f"user{n}@ok.mailverdict.test" for n in range(5)]
    assert {row[2] for row in rows} == {"EXISTS"}


async def test_a_text_file_has_one_address_a_line(client: Client, http: httpx.AsyncClient, task: Task) -> None:
    response = await http.get(await link(client, task, "TXT"))
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.text == "".join(f"user{n}@ok.mailverdict.test\n" for n in range(5))


@pytest.mark.parametrize(
    ("format", "media_type", "start"),
    [
        ("XLSX", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", b"PK"),
        ("NDJSON", "application/x-ndjson", b'{"row_number":1,'),
    ],
)
async def test_other_formats_have_their_types(
    client: Client, http: httpx.AsyncClient, task: Task, format: str, media_type: str, start: bytes
) -> None:
    response = await http.get(await link(client, task, format))
    assert (response.status_code, response.headers["content-type"]) == (200, media_type)
    assert response.headers["content-disposition"] == f'attachment; filename="March-results.{format.lower()}"'
    assert response.content.startswith(start)


async def test_who_asks_for_the_head_alone_causes_no_export(
    client: Client, http: httpx.AsyncClient, task: Task
) -> None:
    path, sent = await link(client, task), list[Any]()

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()  # the client stays
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message)

    transport: Any = http._transport  # a client drops what it was sent with a head
    await transport.app(
        {"type": "http", "method": "HEAD", "path": path, "headers": [], "query_string": b""}, receive, send
    )
    assert sent[0]["status"] == 200
    assert b"".join(message.get("body", b"") for message in sent[1:]) == b""


async def test_a_filter_is_part_of_the_link(client: Client, http: httpx.AsyncClient, task: Task) -> None:
    path = await link(client, task, "TXT", emailContains="USER3")
    assert (await http.get(path)).text == "user3@ok.mailverdict.test\n"
    path = await link(client, task, "TXT", verdict=["UNKNOWN"], domain="ok.mailverdict.test")
    response = await http.get(path)
    assert (response.status_code, response.text) == (200, "")


async def test_a_link_with_the_longest_filter_works(client: Client, http: httpx.AsyncClient, task: Task) -> None:
    filter: dict[str, Any] = {"verdict": [*Verdict] * 20, "reason": [*VerdictReason] * 20}
    assert (await http.get(await link(client, task, **filter))).text.count("user") == 10  # as sent, and as checked
    filter |= {"domain": "\x01" * 254, "emailContains": "\x01" * 100}  # six characters each, as JSON has them
    assert (await http.get(await link(client, task, **filter))).status_code == 200


@pytest.mark.parametrize("filter", [{"verdict": []}, {"domain": ""}, {"emailContains": "x" * 101}, {"domain": "\0"}])
async def test_a_wrong_filter_gives_no_link(client: Client, task: Task, filter: dict[str, Any]) -> None:
    assert await client.codes(LINK, id=task.global_id, format="CSV", filter=filter) == ["BAD_USER_INPUT"]


async def test_before_the_first_result_there_is_no_link(client: Client, parts: Parts, account: Account) -> None:
    waiting = await factories.task(parts, account)
    assert (await client.ask(LINK, id=waiting.global_id, format="CSV"))["task"] == {"download": None}


async def test_results_so_far_are_given_while_others_are_missing(
    client: Client, http: httpx.AsyncClient, parts: Parts, account: Account
) -> None:
    running = await factories.task(parts, account, ["wrong", "alice@ok.mailverdict.test"])
    _, *rows = csv.reader(io.StringIO((await http.get(await link(client, running))).text, newline=""))
    assert [row[:3] for row in rows] == [
        ["wrong", "", "INVALID_SYNTAX"],
        ["alice@ok.mailverdict.test", "alice@ok.mailverdict.test", ""],
    ]


async def test_a_link_that_has_run_out_is_404_and_says_so(http: httpx.AsyncClient, parts: Parts, task: Task) -> None:
    download = Download(task.id, DownloadFormat.CSV, ResultConditions())
    path = urlsplit(parts.links.make(download, parts.now() - timedelta(minutes=16)).url).path
    response = await http.get(path)
    assert response.status_code == 404
    assert "15 minutes" in response.json()["error"]["message"]


async def test_a_forged_or_cut_link_is_404(client: Client, http: httpx.AsyncClient, task: Task) -> None:
    path = await link(client, task)
    for wrong in (path[:-5], path[:40] + "A" + path[41:] if path[40] != "A" else path[:40] + "B" + path[41:]):
        response = await http.get(wrong)
        assert response.status_code == 404
        assert response.json()["error"]["code"] == "NOT_FOUND"
    assert (await http.get("/downloads/x")).status_code == 404
    assert (await http.get("/downloads/" + "x" * 6000)).status_code == 404


async def test_a_link_to_a_deleted_task_is_404(client: Client, http: httpx.AsyncClient, task: Task, raw: Any) -> None:
    path = await link(client, task)
    await raw("DELETE FROM task RETURNING 1")
    response = await http.get(path)
    assert response.status_code == 404
    assert "gone" in response.json()["error"]["message"]


async def test_anothers_task_gives_no_link(stranger: Client, task: Task) -> None:
    assert (await stranger.ask(LINK, id=task.global_id, format="CSV"))["task"] is None


async def test_only_reading_is_allowed(client: Client, http: httpx.AsyncClient, task: Task) -> None:
    path = await link(client, task)
    head = await http.head(path)
    assert (head.status_code, head.headers["content-type"]) == (200, "text/csv; charset=utf-8")
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert (await http.request(method, path)).status_code == 405


@pytest.mark.parametrize("column", ["suspended_at", "deleted_at"])
async def test_a_link_ends_with_its_owners_account(
    client: Client, http: httpx.AsyncClient, task: Task, raw: Any, column: str
) -> None:
    path = await link(client, task)
    await raw(f"UPDATE account SET {column} = now() RETURNING 1")
    assert (await http.get(path)).status_code == 404
