"""A task's results by day."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from verifier.store.database import Pool
from verifier.store.queries import series
from verifier.tests.api import rows
from verifier.tests.rest import Json, Rest, error, ok

NOW = datetime.now(UTC)


def day(days_ago: int, hour: int = 12) -> datetime:
    return (NOW - timedelta(days=days_ago)).replace(hour=hour)


def told(answer: Json) -> dict[str, Json]:
    return {row["date"]: row for row in answer["series"]}


async def test_each_day_tells_what_was_settled_on_it(rest: Rest, pool: Pool) -> None:
    task = await rest.create([f"a{n}@example.com" for n in range(8)])
    await rows.write(
        pool,
        task["id"],
        [
            rows.verdict(0, checked_at=day(3, 0)),
            rows.verdict(1, "not_exists", "no_such_user", checked_at=day(3, 23), role_based=True),
            rows.verdict(2, "catchall", "accept_all", checked_at=day(1), disposable=True),
            rows.verdict(3, "unknown", "other", checked_at=day(1), evidence="[]", is_failure=True),
            rows.verdict(4, "unknown", "timeout", checked_at=day(1)),
            rows.verdict(5, "invalid_syntax", "syntax", checked_at=day(30)),
        ],
    )
    answer = ok(await rest.client.get(f"/tasks/{task['id']}/series"))
    found = told(answer)
    assert answer["task_id"] == task["id"]
    assert list(found) == [(NOW - timedelta(days=n)).date().isoformat() for n in range(6, -1, -1)]
    first, second = found[day(3).date().isoformat()], found[day(1).date().isoformat()]
    assert first["verification_status"] == {
        "exists": 1, "not_exists": 1, "catchall": 0, "invalid_syntax": 0, "unknown": 0, "role_based": 1,
        "disposable_domain_emails": 0,
    }  # fmt: skip
    assert second["job_status"] == {"pending": 0, "processing": 0, "completed": 2, "failed": 1}
    assert (second["total_email_addresses"], second["progress"], second["progress_percent"]) == (3, 1, 100)
    assert (found[NOW.date().isoformat()]["total_email_addresses"], found[NOW.date().isoformat()]["progress"]) == (0, 0)
    bounds = {"from": day(31).isoformat(), "to": day(29).isoformat()}
    month_ago = ok(await rest.client.get(f"/tasks/{task['id']}/series", params=bounds))
    assert [row["total_email_addresses"] for row in month_ago["series"]] == [0, 1, 0]


async def test_days_outlive_purged_results(rest: Rest, pool: Pool) -> None:
    task = await rest.create(["a@example.com", "b@example.com"])
    await rows.write(pool, task["id"], [rows.verdict(0, checked_at=day(2)), rows.verdict(1, checked_at=day(1))])
    before = ok(await rest.client.get(f"/tasks/{task['id']}/series"))
    async with pool.acquire() as connection, connection.transaction():
        await series.keep(connection, [UUID(task["id"])])
        await connection.execute("DELETE FROM result")
    assert ok(await rest.client.get(f"/tasks/{task['id']}/series")) == before


async def test_bounds_come_in_pairs_in_order_and_not_far_apart(rest: Rest) -> None:
    task = await rest.create(["a@example.com"])
    first, last = "2026-01-01T00:00:00Z", "2026-04-01T00:00:00Z"
    refused = (
        ({"from": first}, "to"),
        ({"to": last}, "from"),
        ({"from": last, "to": first}, "from"),
        ({"from": first, "to": "2026-04-01T00:00:01Z"}, "to"),
        ({"from": "2026-01-01", "to": last}, "from"),
        ({"from": "", "to": last}, "from"),
    )
    for params, field in refused:
        answer = await rest.client.get(f"/tasks/{task['id']}/series", params=params)
        assert error(answer, 400)["field"] == field, params
    longest = ok(await rest.client.get(f"/tasks/{task['id']}/series", params={"from": first, "to": last}))
    assert len(longest["series"]) == 91
    edge = {"from": "9999-12-31T00:00:00Z", "to": "9999-12-31T23:59:59Z"}
    assert len(ok(await rest.client.get(f"/tasks/{task['id']}/series", params=edge))["series"]) == 1
