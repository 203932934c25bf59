"""Tasks over time: by the day on which they were made, and the days of one task."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from db.models import Account
from db.session import Database
from resolvers.context import Parts
from services.worker import Worker
from tests import factories
from tests.client import Client
from tests.conftest import Raw, Statements

METRICS = """totalEmailAddresses jobStatus { pending processing completed failed } progressPercent
  verificationStatus { exists notExists catchall invalidSyntax unknown roleBased disposableDomainEmails }
  lastVerificationRequestedAt lastVerificationCompletedAt"""
SERIES = f"""query($range: DateRangeInput!, $filter: TaskFilter) {{
  taskSeries(range: $range, filter: $filter) {{ points {{ date taskCount metrics {{ {METRICS} }} }} }} }}"""
TASK = f"""query($id: ID!, $range: DateRangeInput) {{
  task(id: $id) {{ series(range: $range) {{ date metrics {{ {METRICS} }} }}
    again: series {{ date }} metrics {{ {METRICS} }} }} }}"""
TODAY = datetime.now(UTC).date()


def span(first: date, last: date) -> dict[str, str]:
    return {"from": first.isoformat(), "to": last.isoformat()}


WEEK = span(TODAY - timedelta(days=6), TODAY)


async def points(client: Client, **given: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.ask(SERIES, **{"range": WEEK, **given}))["taskSeries"]["points"]
    return found


async def made_on(raw: Raw, task_id: UUID, day: date) -> None:
    await raw(
        "UPDATE task SET created_at = :at WHERE id = :id RETURNING id",
        at=datetime.combine(day, datetime.min.time(), UTC),
        id=task_id,
    )


async def test_tasks_are_added_up_by_the_day_on_which_they_were_made(
    db: Database, client: Client, account: Account, raw: Raw
) -> None:
    other = await factories.account(db, email="other@example.com")
    await factories.finished_task(db, other, 7)
    for rows, age in ((2, 0), (3, 2), (4, 2), (5, 7)):
        task = await factories.finished_task(db, account, rows)
        await made_on(raw, task.id, TODAY - timedelta(days=age))
    found = await points(client)
    assert [p["date"] for p in found] == [(TODAY - timedelta(days=6 - n)).isoformat() for n in range(7)]
    assert [p["taskCount"] for p in found] == [0, 0, 0, 0, 2, 0, 1]
    assert [p["metrics"]["totalEmailAddresses"] for p in found] == [0, 0, 0, 0, 7, 0, 2]
    assert found[4]["metrics"]["jobStatus"] == {"pending": 0, "processing": 0, "completed": 7, "failed": 0}
    assert found[4]["metrics"]["verificationStatus"]["exists"] == 7
    assert found[0]["metrics"]["lastVerificationCompletedAt"] is None


async def test_the_first_and_the_last_moment_of_a_span_belong_to_it(
    db: Database, client: Client, account: Account, raw: Raw
) -> None:
    for moment in (
        "2026-03-01 23:59:59.999999+00",
        "2026-03-02 00:00:00+00",
        "2026-03-02 23:59:59.999999+00",
        "2026-03-03 00:00:00+00",
    ):
        task = await factories.finished_task(db, account, 1)
        await raw(
            "UPDATE task SET created_at = CAST(CAST(:at AS text) AS timestamptz) WHERE id = :id RETURNING id",
            at=moment,
            id=task.id,
        )
    found = await points(client, range={"from": "2026-03-02", "to": "2026-03-02"})
    assert [(p["date"], p["taskCount"]) for p in found] == [("2026-03-02", 2)]


async def test_a_filter_holds_for_the_series_too(db: Database, client: Client, account: Account) -> None:
    await factories.finished_task(db, account, 1, name="one")
    await factories.finished_task(db, account, 1, name="two")
    assert (await points(client, filter={"nameContains": "TW"}))[-1]["taskCount"] == 1
    assert (await points(client, filter={"status": ["RUNNING"]}))[-1]["taskCount"] == 0


@pytest.mark.parametrize(
    "range",
    [
        {"from": "2026-03-02", "to": "2026-03-01"},
        {"from": "2026-01-01", "to": "2026-04-01"},
        {"from": "0001-01-01", "to": "9999-12-31"},
        {"from": "2026-02-30", "to": "2026-03-01"},
        {"from": "2026-3-1", "to": "2026-03-01"},
        {"from": "\u0662026-03-01", "to": "2026-03-01"},
        {"from": 20260301, "to": "2026-03-01"},
    ],
)
async def test_a_span_that_is_none_is_refused(client: Client, range: dict[str, Any]) -> None:
    assert await client.codes(SERIES, range=range) == ["BAD_USER_INPUT"]


async def test_a_series_is_one_statement_however_long(
    db: Database, client: Client, account: Account, statements: Statements
) -> None:
    with statements.counted() as few:
        await points(client, range=span(TODAY, TODAY))
    for n in range(3):
        await factories.finished_task(db, account, 1, name=f"{n}")
    with statements.counted() as many:
        await points(client, range=span(TODAY - timedelta(days=89), TODAY))
    assert len(many) == len(few)


async def test_administrators_see_the_tasks_of_everybody(db: Database, admin: Client, account: Account) -> None:
    other = await factories.account(db, email="other@example.com")
    await factories.finished_task(db, account, 1)
    await factories.finished_task(db, other, 2)
    query = """query($range: DateRangeInput!) { admin {
      taskSeries(range: $range) { points { taskCount metrics { totalEmailAddresses } } } } }"""
    found = (await admin.ask(query, range=WEEK))["admin"]["taskSeries"]["points"]
    assert found[-1] == {"taskCount": 2, "metrics": {"totalEmailAddresses": 3}}


async def test_the_days_of_a_task_are_those_of_its_verdicts(
    parts: Parts, client: Client, account: Account, worker: Worker, raw: Raw
) -> None:
    emails = ["alice@ok.mailverdict.test", "nobody@ok.mailverdict.test", "info@ok.mailverdict.test", "no address"]
    task = await factories.task(parts, account, emails)
    now = datetime.now(UTC)
    async with asyncio.timeout(20):
        while not await raw("SELECT 1 FROM task WHERE status = 'COMPLETED'"):
            now += timedelta(seconds=30)  # past the lease of every part
            await worker.tick(now)
            await asyncio.sleep(0.05)
    found = (await client.ask(TASK, id=task.global_id))["task"]
    assert [p["date"] for p in found["series"]] == [p["date"] for p in found["again"]]
    today = found["series"][-1]["metrics"]
    assert len(found["series"]) == 7
    for name in ("totalEmailAddresses", "jobStatus", "verificationStatus"):
        assert today[name] == found["metrics"][name]
    assert today["verificationStatus"]["invalidSyntax"] == 1
    assert today["lastVerificationCompletedAt"] is not None
    assert all(p["metrics"]["totalEmailAddresses"] == 0 for p in found["series"][:-1])


async def test_a_verdict_that_is_taken_back_or_found_anew_moves_to_its_day(
    db: Database, client: Client, account: Account, raw: Raw
) -> None:
    task = await factories.finished_task(db, account, 3)
    earlier = datetime.now(UTC) - timedelta(days=3)
    await raw("UPDATE task_address SET verdict = NULL, verified_at = NULL WHERE n = 1 RETURNING n")
    await raw("UPDATE task_address SET verdict = 'UNKNOWN', verified_at = :at WHERE n = 1 RETURNING n", at=earlier)
    found = (await client.ask(TASK, id=task.global_id))["task"]["series"]
    counted = {p["date"]: p["metrics"]["verificationStatus"] for p in found}
    assert counted[TODAY.isoformat()]["exists"] == 2
    assert counted[earlier.date().isoformat()]["unknown"] == 1
    rows = await raw("SELECT sum(exists_count + unknown_count) AS n FROM task_day")
    assert rows[0].n == 3


async def test_the_series_of_many_tasks_are_one_statement(
    db: Database, client: Client, account: Account, statements: Statements
) -> None:
    query = "{ tasks { nodes { series { date metrics { totalEmailAddresses } } } } }"
    await factories.finished_task(db, account, 1)
    with statements.counted() as few:
        await client.ask(query)
    for n in range(5):
        await factories.finished_task(db, account, 1, name=f"{n}")
    with statements.counted() as many:
        found = await client.ask(query)
    assert len(many) == len(few)
    assert [t["series"][-1]["metrics"]["totalEmailAddresses"] for t in found["tasks"]["nodes"]] == [1] * 6
