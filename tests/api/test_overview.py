"""The front page: its numbers, and that it costs the same however much there is."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from db.models import Account, Task, TaskStatus
from db.session import Database
from resolvers.context import Parts
from tests import factories
from tests.client import Client
from tests.conftest import Raw, Statements

OVERVIEW = """query($range: DateRangeInput, $first: Int! = 5) { overview(range: $range) {
  profile { email displayName } credits { balance reserved available }
  usage { total { requestCount verificationCount creditsSpent } points { date requestCount } }
  taskCounts { status count }
  metrics { totalEmailAddresses progressPercent jobStatus { pending processing completed failed }
    verificationStatus { exists notExists } lastVerificationCompletedAt }
  recentTasks(first: $first) { id name status metrics { totalEmailAddresses } } } }"""


async def overview(client: Client, **given: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await client.ask(OVERVIEW, **given))["overview"]
    return found


async def test_a_new_account_sees_zeros(client: Client, account: Account) -> None:
    found = await overview(client)
    assert found["profile"]["email"] == account.email
    assert found["credits"]["balance"] >= 0
    assert len(found["usage"]["points"]) == 30
    assert found["taskCounts"] == [{"status": status.value, "count": 0} for status in TaskStatus]
    assert found["metrics"]["totalEmailAddresses"] == 0
    assert found["metrics"]["lastVerificationCompletedAt"] is None
    assert found["recentTasks"] == []


async def test_the_tasks_of_the_span_are_counted_and_the_newest_shown(
    db: Database, client: Client, account: Account, raw: Raw
) -> None:
    other = await factories.account(db, email="other@example.com")
    await factories.finished_task(db, other, 7)
    for rows in (2, 3, 4):
        await factories.finished_task(db, account, rows, name=f"of {rows}")
    await raw("UPDATE task SET status = 'CANCELED' WHERE name = 'of 3' RETURNING id")
    long_ago = datetime.now(UTC) - timedelta(days=40)
    await raw("UPDATE task SET created_at = :at WHERE name = 'of 4' RETURNING id", at=long_ago)
    found = await overview(client, first=2)
    counts = {one["status"]: one["count"] for one in found["taskCounts"]}
    assert counts == {status.value: int(status in ("COMPLETED", "CANCELED")) for status in TaskStatus}
    assert found["metrics"]["totalEmailAddresses"] == 5
    assert found["metrics"]["verificationStatus"]["exists"] == 5
    assert [task["name"] for task in found["recentTasks"]] == ["of 3", "of 2"]
    day = long_ago.date().isoformat()
    earlier = await overview(client, range={"from": day, "to": day})
    assert earlier["metrics"]["totalEmailAddresses"] == 4
    assert [point["date"] for point in earlier["usage"]["points"]] == [day]


@pytest.mark.parametrize("first", [-1, 0, 21])
async def test_the_newest_are_one_to_twenty(client: Client, first: int) -> None:
    assert await client.codes(OVERVIEW, first=first) == ["BAD_USER_INPUT"]


async def test_a_key_sees_of_the_front_page_what_its_scopes_show(client: Client) -> None:
    create = """mutation($input: CreateApiKeyInput!) { createApiKey(input: $input) { secret userErrors { code } } }"""
    made = await client.ask(create, input={"name": "front", "scopes": ["USAGE_READ"]})
    by_key = Client(client.http, made["createApiKey"]["secret"])
    numbers = "{ overview { taskCounts { count } metrics { totalEmailAddresses } usage { total { requestCount } } } }"
    assert (await by_key.ask(numbers))["overview"]["metrics"]["totalEmailAddresses"] == 0
    for part in ("profile { email }", "credits { balance }", "recentTasks { id }"):
        assert await by_key.codes(f"{{ overview {{ {part} }} }}") == ["FORBIDDEN"]


async def test_what_has_ended_stays_counted_whatever_becomes_of_it(
    db: Database, parts: Parts, client: Client, account: Account, raw: Raw
) -> None:
    async def counted() -> dict[str, int]:
        """Tasks by status, as the front page has them; its sums must be those over the tasks themselves."""
        found = await overview(client)
        metrics = found["metrics"]
        sums = "SELECT coalesce(sum(total_count), 0), coalesce(sum(exists_count), 0) FROM task"
        told = (metrics["totalEmailAddresses"], metrics["verificationStatus"]["exists"])
        assert [tuple(row) for row in await raw(sums)] == [told]
        return {one["status"]: one["count"] for one in found["taskCounts"] if one["count"]}

    async def does(name: str, task: Task) -> None:
        query = f"mutation($i: {name[0].upper()}{name[1:]}Input!) {{ {name}(input: $i) {{ userErrors {{ code }} }} }}"
        assert (await client.ask(query, i={"taskId": task.global_id}))[name]["userErrors"] == []

    first, second = [await factories.finished_task(db, account, rows) for rows in (2, 3)]
    waiting = await factories.task(parts, account)
    assert await counted() == {"QUEUED": 1, "COMPLETED": 2}
    await does("cancelTask", waiting)
    assert await counted() == {"CANCELED": 1, "COMPLETED": 2}
    await raw("UPDATE task_address SET verdict = 'UNKNOWN' WHERE task_id = :id AND n = 1 RETURNING n", id=first.id)
    await raw("UPDATE task SET exists_count = 1, unknown_count = 1 WHERE id = :id RETURNING id", id=first.id)
    assert await counted() == {"CANCELED": 1, "COMPLETED": 2}
    await does("retryTask", first)
    assert await counted() == {"QUEUED": 1, "CANCELED": 1, "COMPLETED": 1}
    await does("updateTask", second)
    assert await counted() == {"QUEUED": 1, "CANCELED": 1, "COMPLETED": 1}
    await does("deleteTask", second)
    assert await counted() == {"QUEUED": 1, "CANCELED": 1}
    await does("cancelTask", first)
    assert await counted() == {"CANCELED": 2}
    await raw("UPDATE task SET status = 'FAILED' RETURNING id")
    assert await counted() == {"FAILED": 2}


async def test_the_front_page_costs_the_same_statements_for_one_task_and_for_a_hundred(
    db: Database, client: Client, account: Account, raw: Raw, statements: Statements
) -> None:
    task = await factories.finished_task(db, account, 1)
    with statements.counted() as few:
        await overview(client)
    columns = [column.key for column in type(task).__table__.columns if column.key != "id"]
    copied = ", ".join(columns)
    await raw(
        f"INSERT INTO task (id, {copied}) SELECT gen_random_uuid(), {copied} FROM task, generate_series(1, 99) "
        "RETURNING id"
    )
    with statements.counted() as many:
        found = await overview(client, first=20)
    assert len(many) == len(few)
    assert found["metrics"]["totalEmailAddresses"] == 100
    assert len(found["recentTasks"]) == 20
