"""Readiness tells in words what is wrong, and never waits long for it."""

import asyncio
import datetime as dt
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from sqlalchemy import event, text
from starlette.applications import Starlette

from app import datadir, health
from app.health import Readiness
from conftest import NewDatabase
from db.queries import parts
from db.session import Database
from services.upstream.http import HttpUpstream
from tests import factories


@pytest.fixture
async def database(
    new_database: NewDatabase, migrated: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Database]:
    """A database that is there, and has time to answer: on a busy machine the first look may take seconds."""
    monkeypatch.setattr(health, "CHECK_SECONDS", 30.0)
    db = await Database.open(await new_database(template=migrated), pool_size=2)
    yield db
    # The ledger is looked at beside the answers: a look that is under way has a connection of this database.
    await asyncio.gather(*(task for task in asyncio.all_tasks() if task.get_name() == "look at the ledger"))
    await db.close()


@pytest.fixture
async def upstream(running_app: Any) -> AsyncIterator[HttpUpstream]:
    client = HttpUpstream(f"{running_app.verifier}/api/v1")
    yield client
    await client.close()


async def ask(readiness: Readiness, path: str = "/health/ready") -> tuple[int, dict[str, Any]]:
    transport = httpx.ASGITransport(app=Starlette(routes=health.routes(readiness)))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        answer = await http.get(path)
    assert answer.headers["cache-control"] == "no-store"
    return answer.status_code, answer.json()


async def beat(db: Database, seconds_ago: float) -> None:
    at = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=seconds_ago)
    async with db.transaction() as session:
        await parts.beat(session, uuid.uuid4(), at, at)


async def test_with_every_part_at_work_it_is_ready(database: Database, upstream: HttpUpstream) -> None:
    await beat(database, seconds_ago=1)
    status, body = await ask(Readiness(database, upstream))
    assert (status, body["status"]) == (200, "ready")
    assert [name for name, check in body["checks"].items() if check["ok"]] == [
        "postgresql",
        "verifier",
        "worker",
        "payments",
        "credits",
        "process",
    ]
    assert body["checks"]["postgresql"]["open_parts"] == 0
    assert all(body["checks"][name]["milliseconds"] >= 0 for name in ("postgresql", "verifier", "worker"))


async def violations(readiness: Readiness) -> Any:
    _, body = await ask(readiness)
    assert body["status"] == "ready"
    return body["checks"]["credits"]["violations"]


async def test_the_ledger_is_looked_at_beside_the_answers_and_seldom(
    database: Database, upstream: HttpUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    await beat(database, seconds_ago=1)
    await factories.account(database, balance=5)
    readiness = Readiness(database, upstream)
    async with asyncio.timeout(10):
        while await violations(readiness) is None:
            await asyncio.sleep(0.01)
    assert await violations(readiness) == 0
    async with database.transaction() as session:
        await session.execute(text("UPDATE credit_account SET balance = balance + 1"))
    for _ in range(5):
        assert await violations(readiness) == 0
    monkeypatch.setattr(health, "LEDGER_SECONDS", 0.0)
    async with asyncio.timeout(10):
        while await violations(readiness) == 0:
            await asyncio.sleep(0.01)


async def test_a_worker_that_is_silent_is_missed(database: Database, upstream: HttpUpstream) -> None:
    _, never = await ask(Readiness(database, upstream))
    await beat(database, seconds_ago=100)
    status, body = await ask(Readiness(database, upstream))
    assert never["checks"]["worker"]["problem"] == "no worker has ever been seen"
    assert status == 503
    assert body["checks"]["worker"]["problem"] == "no worker has been seen for 100 s"
    assert body["checks"]["verifier"]["ok"]


async def test_a_process_that_stops_is_not_ready(database: Database, upstream: HttpUpstream) -> None:
    await beat(database, seconds_ago=1)
    status, body = await ask(Readiness(database, upstream, is_draining=True))
    assert status == 503
    assert body["checks"]["process"] == {"ok": False, "problem": "the process is stopping"}


async def test_parts_that_are_away_are_named_while_the_process_lives() -> None:
    port = datadir.free_port()
    db = await Database.open(f"postgresql://nobody:hidden@127.0.0.1:{port}/none")
    upstream = HttpUpstream(f"http://127.0.0.1:{port}/api/v1")
    began = time.monotonic()
    status, body = await ask(Readiness(db, upstream))
    assert time.monotonic() - began < health.CHECK_SECONDS + 1
    assert (status, body["status"]) == (503, "not ready")
    assert body["checks"]["postgresql"]["problem"].startswith("cannot be reached")
    assert body["checks"]["verifier"]["problem"] == "The verifier cannot be reached just now. Try again in a moment."
    assert "hidden" not in str(body)
    assert await ask(Readiness(db, upstream), "/health/live") == (200, {"status": "ok"})
    await upstream.close()
    await db.close()


async def test_many_who_ask_at_once_cost_one_look(database: Database, upstream: HttpUpstream) -> None:
    statements: list[str] = []
    event.listen(database.engine.sync_engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    readiness = Readiness(database, upstream)
    await readiness.report()
    assert readiness._counting is not None
    await readiness._counting  # the ledger is looked at once an hour, beside all that
    statements.clear()
    await readiness.report()
    of_one = len(statements)
    await asyncio.gather(*(readiness.report() for _ in range(50)))
    assert len(statements) == 2 * of_one
