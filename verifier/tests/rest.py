"""A client of the REST contract, as tests want it."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx

Json = dict[str, Any]


@dataclass(frozen=True)
class Rest:
    """Speaks to one REST process; `client` is there for all that has no method here."""

    client: httpx.AsyncClient

    async def create(self, emails: Sequence[str], **headers: str) -> Json:
        return ok(await self.client.post("/tasks", json={"emails": list(emails)}, headers=headers), 201)

    async def task(self, id: str) -> Json:
        return ok(await self.client.get(f"/tasks/{id}"))

    async def results(self, id: str, *, after: int = 0, limit: int = 1000) -> Json:
        return ok(await self.client.get(f"/tasks/{id}/results", params={"after": after, "limit": limit}))

    async def key_for(self, user_id: str) -> dict[str, str]:
        """Make an API key and return the headers that use it."""
        made = ok(await self.client.post("/keys", json={"user_id": user_id}), 201)
        return {"Authorization": f"Bearer {made['key']}"}

    async def finished(self, id: str, *, seconds: float = 30) -> Json:
        """Wait for a task's end and return it; fail the test where it takes too long."""
        until = time.monotonic() + seconds
        while True:
            task = await self.task(id)
            jobs = task["metrics"]["job_status"]
            assert sum(jobs.values()) == task["metrics"]["total_email_addresses"]
            assert min(jobs.values()) >= 0
            if not jobs["pending"] and not jobs["processing"]:
                return task
            assert time.monotonic() < until, f"not finished in {seconds} s: {jobs}"
            await asyncio.sleep(0.05)

    async def all_results(self, id: str) -> list[Json]:
        """Read every page of a finished task."""
        found: list[Json] = []
        while page := (await self.results(id, after=len(found), limit=100))["results"]:
            found += page
        return found


def ok(response: httpx.Response, status: int = 200) -> Json:
    """Return the body of an expected answer."""
    assert response.status_code == status, response.text
    body: Json = response.json()
    return body


def error(response: httpx.Response, status: int) -> Json:
    """Return the error of an expected refusal."""
    assert response.status_code == status, response.text
    found: Json = response.json()["error"]
    return found
