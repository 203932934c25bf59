"""Uploads that wait: their quote, columns mapped anew, the start, and what is too dear."""

import asyncio
import contextlib
from typing import Any

import pytest

from db.models import Account
from resolvers.context import Context, Parts
from schema.root import schema
from services import drafts, tasks
from tests import factories
from tests.client import Client
from tests.conftest import token

SELECTION = """
task { id name status creditsReserved emailCount quote { rowCount uniqueCount duplicateCount invalidCount cost sample }
  file { columns { name role } } }
userErrors { code message field }"""
CONTENT = b"id,mail,other\n1,a@example.com,x@example.org\n2,a@EXAMPLE.com,y@example.org\n3,wrong,z@example.org\n"


async def drafted(client: Client, content: bytes = CONTENT, name: str = "list.csv", **given: Any) -> dict[str, Any]:
    outcome = await client.upload(content, name, SELECTION, start=False, **given)
    assert outcome["userErrors"] == []
    task: dict[str, Any] = outcome["task"]
    return task


async def mutated(client: Client, operation: str, **given: Any) -> dict[str, Any]:
    name = operation[0].upper() + operation[1:]
    query = f"mutation($input: {name}Input!) {{ {operation}(input: $input) {{ {SELECTION} }} }}"
    outcome: dict[str, Any] = (await client.ask(query, input=given))[operation]
    return outcome


async def test_an_upload_that_is_not_started_is_a_draft_with_its_quote(client: Client, raw: Any) -> None:
    task = await drafted(client)
    assert (task["status"], task["creditsReserved"]) == ("DRAFT", 0)
    assert task["quote"] == {
        "rowCount": 3,
        "uniqueCount": 1,
        "duplicateCount": 1,
        "invalidCount": 1,
        "cost": 1,
        "sample": [
            ["1", "a@example.com", "x@example.org"],
            ["2", "a@EXAMPLE.com", "y@example.org"],
            ["3", "wrong", "z@example.org"],
        ],
    }
    assert await raw("SELECT count(*) FROM task_part") == [(0,)]
    assert await raw("SELECT held FROM credit_account") == [(0,)]


async def test_a_quote_of_a_list_makes_nothing(client: Client, raw: Any) -> None:
    query = (
        "query($emails: [String!]!) { taskQuote(emails: $emails) { rowCount uniqueCount invalidCount cost sample } }"
    )
    found = (await client.ask(query, emails=["a@b.co", "A@b.co", "a@B.co", "", "no"]))["taskQuote"]
    assert found["sample"] == [["a@b.co"], ["A@b.co"], ["a@B.co"], [""], ["no"]]
    assert (found["rowCount"], found["uniqueCount"], found["invalidCount"], found["cost"]) == (5, 2, 2, 2)
    assert await raw("SELECT count(*) FROM task") == [(0,)]
    for wrong in ([], ["a@b.co"] * 10_001):
        assert await client.codes(query, emails=wrong) == ["BAD_USER_INPUT"]


async def test_a_list_sent_inline_has_no_quote(client: Client, parts: Parts, account: Account) -> None:
    task = await factories.task(parts, account)
    assert (await client.ask("query($id: ID!) { task(id: $id) { quote { cost } } }", id=task.global_id)) == {
        "task": {"quote": None}
    }


async def test_quotes_of_many_tasks_cost_one_statement_more(client: Client, statements: Any) -> None:
    query = "query { tasks { nodes { quote { sample } } } }"
    counts = []
    for _ in range(2):
        await drafted(client)
        with statements.counted() as seen:
            await client.ask(query)
        counts.append(len(seen))
        await drafted(client)
    assert counts[0] == counts[1]


async def test_columns_are_mapped_anew_and_the_quote_changes(
    client: Client, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drafts, "_BATCH_ROWS", 2)
    task = await drafted(client)
    mapping = {"email": {"name": "other"}, "reference": {"index": 0}}
    outcome = await mutated(client, "updateTask", taskId=task["id"], name=" Mine ", columnMapping=mapping)
    assert outcome["userErrors"] == []
    changed = outcome["task"]
    assert (changed["name"], changed["status"]) == ("Mine", "DRAFT")
    assert [column["role"] for column in changed["file"]["columns"]] == ["REFERENCE", None, "EMAIL"]
    assert (changed["quote"]["uniqueCount"], changed["quote"]["cost"], changed["quote"]["invalidCount"]) == (3, 3, 0)
    assert await raw("SELECT row_number, address_n, input, reference FROM task_row ORDER BY row_number") == [
        (1, 1, "x@example.org", "1"),
        (2, 2, "y@example.org", "2"),
        (3, 3, "z@example.org", "3"),
    ]
    assert await raw("SELECT count(*), count(email) FROM task_address") == [(3, 3)]


async def test_a_mapping_that_cannot_be_kept_changes_nothing(client: Client, raw: Any) -> None:
    task = await drafted(client)
    mapping = {"email": {"name": "nowhere"}}
    outcome = await mutated(client, "updateTask", taskId=task["id"], name="Mine", columnMapping=mapping)
    assert [(e["code"], e["field"]) for e in outcome["userErrors"]] == [
        ("INVALID", ["input", "columnMapping", "email"])
    ]
    assert await raw("SELECT name, total_count FROM task") == [("list.csv", 2)]


async def test_a_mapping_that_leaves_no_column_of_addresses_blames_no_file(client: Client) -> None:
    task = await drafted(client, b"id,other\n1,x\n", columnMapping={"email": {"index": 1}})
    outcome = await mutated(client, "updateTask", taskId=task["id"], columnMapping={"reference": {"index": 0}})
    assert [(e["code"], e["field"]) for e in outcome["userErrors"]] == [("INVALID", None)]


async def test_a_started_draft_is_queued_and_holds_its_cost_once(client: Client, raw: Any) -> None:
    task = await drafted(client)
    outcomes = await asyncio.gather(
        *(mutated(client, "startTask", taskId=task["id"], idempotencyKey="once") for _ in range(4))
    )
    assert [(o["task"]["status"], o["task"]["creditsReserved"]) for o in outcomes] == [("QUEUED", 1)] * 4
    assert await raw("SELECT n, total, state FROM task_part") == [(1, 1, "WAITING")]
    assert await raw("SELECT held FROM credit_account") == [(1,)]
    again = await mutated(client, "startTask", taskId=task["id"])
    assert [error["code"] for error in again["userErrors"]] == ["WRONG_STATE"]
    mapped = await mutated(client, "updateTask", taskId=task["id"], columnMapping={"email": {"index": 2}})
    assert [error["code"] for error in mapped["userErrors"]] == ["WRONG_STATE"]


async def test_a_draft_without_an_address_is_complete_when_it_is_started(client: Client) -> None:
    task = await drafted(client, b"email\nwrong\nworse\n")
    assert (await mutated(client, "startTask", taskId=task["id"]))["task"]["status"] == "COMPLETED"


async def test_without_the_credits_a_draft_stays_what_it_is(http: Any, parts: Parts, db: Any, raw: Any) -> None:
    poor = await factories.account(db, email="poor@example.com", balance=1)
    own = Client(http, token(parts, poor))
    task = await drafted(own, b"email\na@b.co\nb@b.co\n")
    outcome = await mutated(own, "startTask", taskId=task["id"], idempotencyKey="k")
    assert [error["code"] for error in outcome["userErrors"]] == ["INSUFFICIENT_CREDITS"]
    assert await raw("SELECT status FROM task") == [("DRAFT",)]
    assert await raw("SELECT count(*) FROM task_part") == [(0,)]
    refused = await own.upload(b"email\na@b.co\nb@b.co\n", "list.csv", SELECTION)
    assert [error["code"] for error in refused["userErrors"]] == ["INSUFFICIENT_CREDITS"]
    assert await raw("SELECT count(*) FROM task") == [(1,)]


async def test_a_new_name_does_not_wait_for_lists_that_are_read(client: Client, parts: Parts) -> None:
    task = await drafted(client)
    async with contextlib.AsyncExitStack() as busy:
        while not parts.reading.locked():
            await busy.enter_async_context(parts.reading)
        async with asyncio.timeout(5):
            outcome = await mutated(client, "updateTask", taskId=task["id"], name="Mine")
    assert (outcome["task"]["name"], outcome["userErrors"]) == ("Mine", [])


async def test_a_draft_is_followed_until_the_task_has_ended(client: Client, parts: Parts, account: Account) -> None:
    task = await drafted(client)
    query = "subscription($id: ID!) { taskProgress(taskId: $id) { task { status } } }"
    context = Context(parts, factories.actor(account), "request")
    stream: Any = await schema.subscribe(query, variable_values={"id": task["id"]}, context_value=context)
    async with contextlib.aclosing(stream), asyncio.timeout(10):
        for operation, status in ((None, "DRAFT"), ("startTask", "QUEUED"), ("cancelTask", "CANCELED")):
            if operation is not None:
                await mutated(client, operation, taskId=task["id"])
            assert (await anext(stream)).data["taskProgress"]["task"]["status"] == status
        assert [event async for event in stream] == []


@pytest.mark.parametrize("operation", ["startTask", "updateTask", "deleteTask", "retryTask"])
async def test_anothers_task_is_not_there(client: Client, stranger: Client, operation: str) -> None:
    task = await drafted(client)
    name = operation[0].upper() + operation[1:]
    query = f"mutation($input: {name}Input!) {{ {operation}(input: $input) {{ userErrors {{ code field }} }} }}"
    for wrong in (task["id"], "task_0000000000000000000000", "nonsense"):
        found = (await stranger.ask(query, input={"taskId": wrong}))[operation]
        assert found["userErrors"] == [{"code": "NOT_FOUND", "field": ["input", "taskId"]}]


DELETE = "mutation($id: ID!) { deleteTask(input: {taskId: $id}) { deletedTaskId userErrors { code } } }"


async def test_a_draft_and_a_finished_task_are_deleted_with_all_of_them(
    client: Client, parts: Parts, account: Account, raw: Any
) -> None:
    draft, finished = await drafted(client), await factories.finished_task(parts.db, account, rows=3)
    for task_id in (draft["id"], finished.global_id):
        found = (await client.ask(DELETE, id=task_id))["deleteTask"]
        assert found == {"deletedTaskId": task_id, "userErrors": []}
        assert (await client.ask("query($id: ID!) { task(id: $id) { id } }", id=task_id))["task"] is None
    rows = "SELECT (SELECT count(*) FROM task), (SELECT count(*) FROM task_row), (SELECT count(*) FROM task_address)"
    assert await raw(rows) == [(0, 0, 0)]


async def test_a_task_that_runs_or_is_being_stopped_is_not_deleted(
    client: Client, parts: Parts, account: Account, raw: Any
) -> None:
    task = await factories.task(parts, account)
    assert (await client.ask(DELETE, id=task.global_id))["deleteTask"]["userErrors"] == [{"code": "WRONG_STATE"}]
    await raw("UPDATE task SET status = 'CANCELED' RETURNING 1")
    await raw("UPDATE task_part SET state = 'STOPPING', upstream_id = gen_random_uuid() RETURNING 1")
    assert (await client.ask(DELETE, id=task.global_id))["deleteTask"]["userErrors"] == [{"code": "WRONG_STATE"}]
    await raw("UPDATE task SET status = 'QUEUED' RETURNING 1")
    await raw("UPDATE task_part SET state = 'WAITING', upstream_id = NULL RETURNING 1")
    await tasks.cancel(parts.db, parts.announcer, factories.actor(account), task.id, parts.now())
    assert (await client.ask(DELETE, id=task.global_id))["deleteTask"]["userErrors"] == []
