"""Two processes of the service: who follows a task on one is told at once of what a worker does on the other."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from app import wiring
from app.settings import Settings
from db.models import Account
from resolvers.context import Context
from schema.root import schema
from services import progress
from services.worker import Worker
from tests import factories
from tests.conftest import PUBLIC_URL, SECRET
from tests.redis_server import Redis
from tests.services.faulty_upstream import FaultyUpstream
from tests.services.processes import running
from tests.services.worker import following

SECONDS = 30.0
PROGRESS = "subscription($id: ID!) { taskProgress(taskId: $id) { task { status } } }"


def settings_of(database_url: str, upstream_url: str, **shared: str) -> Settings:
    return Settings.from_env(
        {
            "DATABASE_URL": database_url,
            "UPSTREAM_URL": upstream_url,
            "UPSTREAM_KEY": "the-key-of-the-tests",
            "SECRET_KEY": SECRET,
            "PUBLIC_URL": PUBLIC_URL,
            **shared,
        }
    )


@pytest.mark.parametrize("broker", ["postgresql", "redis"])
async def test_a_subscriber_on_one_process_is_told_of_a_worker_on_another(
    account: Account,
    service_database_url: str,
    faulty: FaultyUpstream,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    broker: str,
) -> None:
    monkeypatch.setattr(progress, "QUIET", timedelta(minutes=10))  # nobody finds out by looking
    shared = {"REDIS_URL": request.getfixturevalue("redis").url} if broker == "redis" else {}
    settings = settings_of(service_database_url, faulty.url, **shared)
    async with wiring.open_parts(settings) as parts:
        task = await factories.task(parts, account, ["yes-1@example.com", "no-1@example.com"])
        context = Context(parts, factories.actor(account), "a request")
        updates: AsyncIterator[Any] = await schema.subscribe(
            PROGRESS, variable_values={"id": task.global_id}, context_value=context
        )
        seen = [(await anext(updates)).data["taskProgress"]["task"]["status"]]
        with running("work", service_database_url, faulty.url, **shared):
            async with asyncio.timeout(SECONDS):
                seen += [update.data["taskProgress"]["task"]["status"] async for update in updates]
    assert seen[0] == "QUEUED"
    assert seen[-1] == "COMPLETED"


async def test_security_16_while_redis_is_away_a_subscriber_finds_out_by_looking(
    account: Account, service_database_url: str, faulty: FaultyUpstream, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "QUIET", timedelta(seconds=0.2))
    settings = settings_of(service_database_url, faulty.url, REDIS_URL=redis.url)
    async with wiring.open_parts(settings) as parts:
        task = await factories.task(parts, account, ["yes-1@example.com", "no-1@example.com"])
        context = Context(parts, factories.actor(account), "a request")
        updates: AsyncIterator[Any] = await schema.subscribe(
            PROGRESS, variable_values={"id": task.global_id}, context_value=context
        )
        assert (await anext(updates)).data["taskProgress"]["task"]["status"] == "QUEUED"
        redis.stop()
        worker = Worker(parts.db, parts.upstream, parts.upstream_keys, parts.hub, parts.announcer, parts.usage)
        async with following.at_work(worker), asyncio.timeout(SECONDS):
            seen = [update.data["taskProgress"]["task"]["status"] async for update in updates]
    assert seen[-1] == "COMPLETED"
