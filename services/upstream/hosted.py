"""A hosted verifier that takes files and gives no id for them, and has none of the contract's extensions."""

import asyncio
import csv
import functools
import io
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from services.errors import UpstreamMissing
from services.upstream import wire
from services.upstream.contract import ResultPage, UpstreamTask
from services.upstream.http import HttpUpstream

_ASKED_AT_A_TIME = 8


class HostedUpstream(HttpUpstream):
    """Lists go up as files, and their tasks are found in the list of tasks; results come as a file once all is done."""

    gives_ids = False
    results_max = 10_000  # every page costs a whole download: one page is all of a part

    def __init__(self, url: str, *, callback_base: str | None = None, timeout_seconds: float = 15.0) -> None:
        """`callback_base` is our URL under which a file's own callback URL marks it, for upstreams that echo it."""
        super().__init__(url, timeout_seconds=timeout_seconds)
        self._callback_base = callback_base.rstrip("/") if callback_base else None

    def callback_of(self, idempotency_key: str) -> str | None:
        """The URL that marks what was sent with a key."""
        return f"{self._callback_base}/{idempotency_key.replace(':', '-')}" if self._callback_base else None

    async def create(self, key: str, emails: Sequence[str], *, idempotency_key: str) -> UUID | None:
        """Send a list as a file, once: a second try might make a second task. None where no id is told."""
        text = io.StringIO()
        csv.writer(text).writerows([["email"], *([email] for email in emails)])
        callback = self.callback_of(idempotency_key)
        answer = await self._call(
            "POST",
            "/tasks/batch/upload",
            key,
            tries=1,
            files={"file": ("list.csv", text.getvalue().encode(), "text/csv")},
            data={"webhook_url": callback} if callback else {},
        )
        return wire.task_id(answer) if isinstance(answer, dict) and "id" in answer else None

    async def tasks(self, key: str, task_ids: Sequence[UUID]) -> dict[UUID, UpstreamTask]:
        """The state of many tasks, asked for one by one."""
        gate = asyncio.Semaphore(_ASKED_AT_A_TIME)

        async def one(task_id: UUID) -> UpstreamTask | None:
            async with gate:
                try:
                    return wire.task(await self._call("GET", f"/tasks/{task_id}", key))
                except UpstreamMissing:
                    return None

        found = await asyncio.gather(*map(one, task_ids))
        return {task.id: task for task in found if task is not None}

    async def results(self, key: str, task_id: UUID, *, after: int) -> ResultPage:
        """A part of the file of results; nothing before the task is over, as its order is not told until then."""
        task = wire.task(await self._call("GET", f"/tasks/{task_id}", key))
        if not task.is_over:
            return ResultPage([], after)
        with tempfile.TemporaryFile() as file:
            await self._call("GET", f"/tasks/{task_id}/download", key, params={"format": "csv"}, file=file)
            read = functools.partial(wire.csv_results, file, datetime.now(UTC), after=after, limit=self.results_max)
            return await asyncio.to_thread(read)

    async def cancel(self, key: str, task_id: UUID) -> None:
        """A hosted verifier cannot be told to stop; what it finds is not asked for any more."""
        if task_id not in await self.tasks(key, [task_id]):
            raise UpstreamMissing
