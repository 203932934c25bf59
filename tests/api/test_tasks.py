"""createTask, cancelTask, task, tasks, node: through HTTP, with statement budgets on lists."""

import asyncio
from typing import Any

import pytest

from db.models import Account
from resolvers import pages
from resolvers.context import Parts
from services.worker import Worker
from tests import factories
from tests.client import Client
from tests.conftest import Statements

CREATE = """
mutation($input: CreateTaskInput!) {
  createTask(input: $input) {
    task { id name status source emailCount domainCount metrics { totalEmailAddresses progressPercent
      jobStatus { pending processing completed failed } verificationStatus { invalidSyntax } } finishedAt }
    userErrors { code message field }
  }
}"""
CANCEL = """
mutation($id: ID!) { cancelTask(input: {taskId: $id}) {
  task { status finishedAt metrics { totalEmailAddresses jobStatus { pending processing completed failed } } }
  userErrors { code field } } }"""
LIST = """
query($first: Int, $after: String, $last: Int, $before: String, $filter: TaskFilter, $orderBy: TaskOrder) {
  tasks(first: $first, after: $after, last: $last, before: $before, filter: $filter, orderBy: $orderBy) {
    nodes { id name status metrics { progress jobStatus { pending completed } verificationStatus { exists } } }
    edges { cursor node { id } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}"""
STATUS = "query($id: ID!) { task(id: $id) { status failureReason metrics { progressPercent } } }"


async def work_until_done(worker: Worker, client: Client, task_id: str, seconds: float = 20.0) -> dict[str, Any]:
    """Let the worker work until the task has ended."""
    stop = asyncio.Event()
    working = asyncio.create_task(worker.run(stop))
    try:
        async with asyncio.timeout(seconds):
            while True:
                task: dict[str, Any] = (await client.ask(STATUS, id=task_id))["task"]
                if task["status"] in ("COMPLETED", "FAILED", "CANCELED"):
                    return task
                await asyncio.sleep(0.05)
    finally:
        stop.set()
        await working


async def test_a_list_becomes_a_queued_task_that_counts_distinct_addresses(client: Client) -> None:
    emails = ["alice@ok.mailverdict.test", " alice@OK.mailverdict.test", "Alice@ok.mailverdict.test", "nonsense"]
    task = (await client.ask(CREATE, input={"emails": emails, "name": "Mine"}))["createTask"]["task"]
    assert (task["name"], task["status"], task["source"]) == ("Mine", "QUEUED", "INLINE")
    assert (task["emailCount"], task["domainCount"]) == (4, 1)
    metrics = task["metrics"]
    assert metrics["totalEmailAddresses"] == 3
    assert metrics["jobStatus"] == {"pending": 2, "processing": 0, "completed": 1, "failed": 0}
    assert metrics["verificationStatus"]["invalidSyntax"] == 1


async def test_a_list_with_nothing_to_ask_is_completed_without_a_call_upstream(client: Client, raw: Any) -> None:
    task = (await client.ask(CREATE, input={"emails": ["nonsense", "", "a@b"]}))["createTask"]["task"]
    assert (task["status"], task["metrics"]["progressPercent"]) == ("COMPLETED", 100)
    assert task["finishedAt"] is not None
    assert await raw("SELECT 1 FROM task_part") == []


async def test_a_task_runs_to_its_end_and_tells_its_verdicts(client: Client, worker: Worker) -> None:
    emails = ["alice@ok.mailverdict.test", "nobody@ok.mailverdict.test", "alice@catchall.mailverdict.test", "wrong"]
    task_id = (await client.ask(CREATE, input={"emails": emails}))["createTask"]["task"]["id"]
    await work_until_done(worker, client, task_id)
    query = """query($id: ID!) { task(id: $id) { status results { totalCount nodes { id rowNumber input
      verification { email verdict reason isCatchAll evidence { stage text } } } } } }"""
    task = (await client.ask(query, id=task_id))["task"]
    assert task["status"] == "COMPLETED"
    results = task["results"]["nodes"]
    found = [(r["input"], r["verification"]["verdict"], r["verification"]["reason"]) for r in results]
    assert found == [
        ("alice@ok.mailverdict.test", "EXISTS", "ACCEPTED"),
        ("nobody@ok.mailverdict.test", "NOT_EXISTS", "NO_SUCH_USER"),
        ("alice@catchall.mailverdict.test", "CATCHALL", "ACCEPT_ALL"),
        ("wrong", "INVALID_SYNTAX", "SYNTAX"),
    ]
    assert {"CONNECT", "RCPT"} <= {step["stage"] for step in results[0]["verification"]["evidence"]}
    why = {"stage": "SYNTAX", "text": "An email address must have an @-sign."}
    assert results[3]["verification"]["evidence"] == [why]
    node = await client.ask(
        "query($id: ID!) { node(id: $id) { __typename ... on TaskResult { input } } }", id=results[1]["id"]
    )
    assert node["node"] == {"__typename": "TaskResult", "input": "nobody@ok.mailverdict.test"}


@pytest.mark.parametrize(
    ("given", "code", "field"),
    [
        ({"emails": []}, "REQUIRED", ["input", "emails"]),
        ({"emails": ["a@b.co"] * 10_001}, "TOO_LARGE", ["input", "emails"]),
        ({"emails": ["a@b.co"], "name": " "}, "INVALID", ["input", "name"]),
        ({"emails": ["a@b.co"], "name": "x" * 201}, "TOO_LARGE", ["input", "name"]),
        ({"emails": ["a@b.co"], "idempotencyKey": ""}, "INVALID", ["input", "idempotencyKey"]),
        ({"emails": ["a@b.co"], "idempotencyKey": "x" * 65}, "INVALID", ["input", "idempotencyKey"]),
    ],
)
async def test_bad_input_is_a_clear_user_error_and_writes_nothing(
    client: Client, raw: Any, given: dict[str, Any], code: str, field: list[str]
) -> None:
    payload = (await client.ask(CREATE, input=given))["createTask"]
    assert payload["task"] is None
    (error,) = payload["userErrors"]
    assert (error["code"], error["field"]) == (code, field)
    assert error["message"].endswith(".")
    assert await raw("SELECT (SELECT count(*) FROM task), (SELECT count(*) FROM idempotency_key)") == [(0, 0)]


async def test_texts_that_postgresql_cannot_hold_are_malformed_addresses(client: Client) -> None:
    emails = ["a\0b@ok.mailverdict.test", "\0", "x" * 5000]
    payload = (await client.ask(CREATE, input={"emails": emails}))["createTask"]
    assert payload["task"]["metrics"]["verificationStatus"]["invalidSyntax"] == 3


async def test_one_idempotency_key_makes_one_task_however_often_it_comes(client: Client, raw: Any) -> None:
    given = {"emails": ["alice@ok.mailverdict.test"], "idempotencyKey": "once"}
    answers = await asyncio.gather(*(client.ask(CREATE, input=given) for _ in range(10)))
    assert len({answer["createTask"]["task"]["id"] for answer in answers}) == 1
    assert await raw("SELECT count(*) FROM task") == [(1,)]


async def test_an_idempotency_key_with_other_input_is_refused(client: Client) -> None:
    await client.ask(CREATE, input={"emails": ["a@ok.mailverdict.test"], "idempotencyKey": "k"})
    other = await client.ask(CREATE, input={"emails": ["b@ok.mailverdict.test"], "idempotencyKey": "k"})
    assert other["createTask"]["userErrors"][0]["code"] == "IDEMPOTENCY_CONFLICT"


async def test_a_cancelled_task_keeps_its_verdicts_and_the_rest_stays_without(client: Client) -> None:
    emails = ["alice@ok.mailverdict.test", "wrong"]
    task_id = (await client.ask(CREATE, input={"emails": emails}))["createTask"]["task"]["id"]
    payload = (await client.ask(CANCEL, id=task_id))["cancelTask"]
    assert payload["task"]["status"] == "CANCELED"
    assert payload["task"]["finishedAt"] is not None
    assert payload["task"]["metrics"]["jobStatus"] == {"pending": 1, "processing": 0, "completed": 1, "failed": 0}
    again = (await client.ask(CANCEL, id=task_id))["cancelTask"]
    assert again["userErrors"] == [{"code": "WRONG_STATE", "field": ["input", "taskId"]}]


async def test_a_task_cancelled_while_it_runs_is_stopped_upstream_too(
    client: Client, worker: Worker, parts: Parts, raw: Any
) -> None:
    emails = [f"someone{n}@slow.mailverdict.test" for n in range(200)]
    task_id = (await client.ask(CREATE, input={"emails": emails}))["createTask"]["task"]["id"]
    await worker.tick(parts.now())  # posts it
    assert (await client.ask(STATUS, id=task_id))["task"]["status"] == "RUNNING"
    await client.ask(CANCEL, id=task_id)
    await worker.tick(parts.now())  # stops it upstream
    assert await raw("SELECT state FROM task_part") == [("ENDED",)]
    assert (await client.ask(STATUS, id=task_id))["task"]["status"] == "CANCELED"


@pytest.mark.parametrize(
    "task_id", ["", "task_", "task_zzzzzzzzzzzzzzzzzzzzzz", "nonsense", "user_0000000000000000000001", "\0"]
)
async def test_what_is_no_task_id_is_not_found_and_no_error(client: Client, task_id: str) -> None:
    assert (await client.ask(STATUS, id=task_id))["task"] is None
    payload = (await client.ask(CANCEL, id=task_id))["cancelTask"]
    assert payload["userErrors"] == [{"code": "NOT_FOUND", "field": ["input", "taskId"]}]


async def test_anothers_task_is_not_found_by_any_door(
    client: Client, stranger: Client, account: Account, parts: Parts
) -> None:
    task_id = (await factories.task(parts, account)).global_id
    assert (await stranger.ask(STATUS, id=task_id))["task"] is None
    assert (await stranger.ask("query($id: ID!) { node(id: $id) { id } }", id=task_id))["node"] is None
    result_id = task_id.replace("task_", "result_") + "-1"
    query = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }"
    assert (await client.ask(query, ids=[result_id, task_id]))["nodes"] == [{"id": result_id}, {"id": task_id}]
    assert (await stranger.ask(query, ids=[result_id, task_id]))["nodes"] == [None, None]
    assert (await stranger.ask(CANCEL, id=task_id))["cancelTask"]["userErrors"][0]["code"] == "NOT_FOUND"
    assert (await stranger.ask(LIST))["tasks"]["nodes"] == []


async def test_without_a_token_tasks_are_refused_and_the_viewer_is_nobody(http: Any) -> None:
    nobody = Client(http)
    assert (await nobody.ask("{ viewer { id } }"))["viewer"] is None
    assert await nobody.codes("{ tasks { nodes { id } } }") == ["UNAUTHENTICATED"]
    assert await nobody.codes(CREATE, input={"emails": ["a@b.co"]}) == ["UNAUTHENTICATED"]


async def test_a_wrong_token_is_401_before_anything_runs(http: Any) -> None:
    response = await Client(http, "wrong").post("{ viewer { id } }")
    assert response.status_code == 401
    assert response.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_pages_forwards_and_backwards_hold_every_task_once(
    client: Client, account: Account, parts: Parts
) -> None:
    made = [(await factories.task(parts, account, name=f"n{n}")).global_id for n in range(7)]
    for order, expected in (("DESC", made[::-1]), ("ASC", made)):
        by = {"field": "CREATED_AT", "direction": order}
        assert await walked(client, "first", "after", "endCursor", "hasNextPage", by) == expected
        backwards = await walked(client, "last", "before", "startCursor", "hasPreviousPage", by)
        assert sorted(backwards) == sorted(expected)


async def walked(client: Client, size: str, at: str, cursor: str, more: str, by: dict[str, str]) -> list[str]:
    """The ids of all pages of three."""
    seen: list[str] = []
    variables: dict[str, Any] = {size: 3, "orderBy": by}
    while True:
        page = (await client.ask(LIST, **variables))["tasks"]
        seen += [node["id"] for node in page["nodes"]]
        if not page["pageInfo"][more]:
            return seen
        variables[at] = page["pageInfo"][cursor]


@pytest.mark.parametrize("field", ["CREATED_AT", "NAME", "TOTAL"])
async def test_tasks_are_sorted_by_every_field_with_ties_broken(
    client: Client, account: Account, parts: Parts, field: str
) -> None:
    for name, size in (("b", 2), ("A", 1), ("b", 2), ("c", 3)):
        emails = [f"{n}@ok.mailverdict.test" for n in range(size)]
        await factories.task(parts, account, emails, name=name)
    by = {"field": field, "direction": "ASC"}
    seen = await walked(client, "first", "after", "endCursor", "hasNextPage", by)
    assert len(set(seen)) == 4
    names = [node["name"] for node in (await client.ask(LIST, orderBy=by))["tasks"]["nodes"]]
    assert names == {"CREATED_AT": ["b", "A", "b", "c"]}.get(field, ["A", "b", "b", "c"])


async def test_filters_hold_together(client: Client, account: Account, parts: Parts) -> None:
    await factories.task(parts, account, name="March 100%")
    await factories.task(parts, account, ["wrong"], name="march_b")
    query = "query($filter: TaskFilter) { tasks(filter: $filter) { totalCount nodes { name } } }"

    async def names(**given: Any) -> list[str]:
        found = (await client.ask(query, filter=given))["tasks"]
        assert found["totalCount"] == len(found["nodes"])
        return sorted(node["name"] for node in found["nodes"])

    assert await names(nameContains="MARCH") == ["March 100%", "march_b"]
    assert await names(nameContains="%") == ["March 100%"]
    assert await names(nameContains="_") == ["march_b"]
    assert await names(status=["COMPLETED"]) == ["march_b"]
    assert await names(status=["QUEUED"], nameContains="b") == []
    assert await names(createdAfter="2100-01-01T00:00:00Z") == []
    assert await names(createdBefore="2100-01-01T00:00:00+02:00") == ["March 100%", "march_b"]


@pytest.mark.parametrize(
    "variables",
    [
        {"first": 0},
        {"first": 101},
        {"first": -1},
        {"first": 1, "last": 1},
        {"after": "nonsense"},
        {"after": "W10"},
        {"before": "WyJ4IiwieSJd"},
        {"filter": {"status": []}},
        {"filter": {"nameContains": ""}},
        {"filter": {"createdAfter": "2026-01-31"}},
        {"filter": {"createdAfter": "2026-01-31T10:00:00"}},
    ],
)
async def test_arguments_that_programs_get_wrong_are_bad_input(client: Client, variables: dict[str, Any]) -> None:
    assert await client.codes(LIST, **variables) == ["BAD_USER_INPUT"]


async def test_a_list_takes_as_many_statements_for_twenty_tasks_as_for_one(
    client: Client, account: Account, parts: Parts, statements: Statements
) -> None:
    counts: list[int] = []
    query = LIST.replace("nodes { id", "totalCount nodes { owner { email } id", 1)
    for more in (1, 19):
        for n in range(more):
            await factories.finished_task(parts.db, account, rows=3, name=f"t{n}")
        with statements.counted() as seen:
            await client.ask(query)
        counts.append(len(seen))
    assert counts[0] == counts[1] <= 4  # the caller, the page, the count, the owners


async def test_results_are_found_by_a_domain_in_any_spelling(client: Client, account: Account, parts: Parts) -> None:
    task = await factories.task(parts, account, ["a@münchen.de", "b@example.com"])
    query = "query($id: ID!, $d: String) { task(id: $id) { results(filter: {domain: $d}) { nodes { input } } } }"
    for domain in ("münchen.de", "MÜNCHEN.de", "xn--mnchen-3ya.de", "XN--mnchen-3ya.DE"):
        found = (await client.ask(query, id=task.global_id, d=domain))["task"]["results"]["nodes"]
        assert found == [{"input": "a@münchen.de"}]


async def test_results_take_as_many_statements_for_a_hundred_rows_as_for_one(
    client: Client, account: Account, parts: Parts, statements: Statements
) -> None:
    counts = []
    for rows in (1, 100):
        task = await factories.finished_task(parts.db, account, rows=rows)
        query = """query($id: ID!) { task(id: $id) { results(first: 100) { totalCount nodes { id input
          verification { verdict evidence { stage } } } } } }"""
        with statements.counted() as seen:
            found = (await client.ask(query, id=task.global_id))["task"]["results"]
        assert found["totalCount"] == len(found["nodes"]) == rows
        counts.append(len(seen))
    assert counts[0] == counts[1] <= 4


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("CREATED_AT", "0001-01-01T00:00:00+23:59"),
        ("CREATED_AT", "9999-12-31T23:59:59-23:59"),
        ("NAME", "a\0b"),
        ("TOTAL", 1 << 63),
    ],
)
async def test_a_cursor_that_no_row_can_have_is_refused(client: Client, field: str, value: str | int) -> None:
    query = "query($after: String, $by: TaskOrder) { tasks(after: $after, orderBy: $by) { totalCount } }"
    after = pages.cursor(value, "00000000-0000-7000-8000-000000000000")
    assert await client.codes(query, after=after, by={"field": field}) == ["BAD_USER_INPUT"]


@pytest.mark.parametrize("row_id", [5, ["00000000-0000-7000-8000-000000000000"], {}, None, "", "0" * 33])
@pytest.mark.parametrize("name", ["tasks", "apiKeys", "purchases", "webhooks"])
async def test_a_cursor_whose_row_id_is_none_is_refused(client: Client, name: str, row_id: Any) -> None:
    query = f"query($after: String) {{ {name}(after: $after) {{ nodes {{ id }} }} }}"
    assert await client.codes(query, after=pages.cursor("2026-01-31T00:00:00Z", row_id)) == ["BAD_USER_INPUT"]
