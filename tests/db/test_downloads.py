"""Rows of a download: how PostgreSQL reads them when it has no statistics yet, as of a list that came just now."""

from typing import Any
from uuid import uuid4

from db.queries import downloads
from db.queries.downloads import Span
from db.queries.results import ResultConditions
from db.session import Database


def kinds(plan: dict[str, Any]) -> list[str]:
    """The kinds of nodes of a plan, the outermost first."""
    return [plan["Node Type"], *(kind for below in plan.get("Plans", ()) for kind in kinds(below))]


async def test_two_ranges_are_joined_by_reading_each_once(db: Database) -> None:
    values = downloads._values(Span(uuid4(), 0, 10_000), ResultConditions())
    async with db.read() as session, downloads._driver(session) as driver:
        plan = await driver.fetchval(f"EXPLAIN (FORMAT JSON) SELECT input {downloads._FROM}", *values)
    found = kinds(plan[0]["Plan"])
    assert "Merge Join" in found or "Hash Join" in found
    assert found.count("Nested Loop") == 1, "for rows whose address is that of an earlier range, one by one"
