"""Results of a task, written as a worker writes them, for tests that read."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from verifier.store.database import Pool
from verifier.store.queries import results
from verifier.store.queries.results import Verdict


def verdict(n: int, status: str = "exists", reason: str | None = "accepted", **changes: Any) -> Verdict:
    """One verdict; `changes` are fields of Verdict."""
    fields: dict[str, Any] = {
        "n": n,
        "status": status,
        "reason": reason,
        "role_based": False,
        "disposable": False,
        "free_provider": False,
        "suggestion": None,
        "score": 90,
        "score_reasons": (),
        "mail_host": "mx.example.com",
        "evidence": '[{"stage":"rcpt","code":250,"occurred_at":"2026-11-20T10:00:00Z"}]',
        "checked_at": datetime.now(UTC),
        **changes,
    }
    return Verdict(**fields)


async def write(pool: Pool, task_id: str, verdicts: Sequence[Verdict]) -> None:
    """Write verdicts as a worker does."""
    async with pool.acquire() as connection, connection.transaction():
        await results.write(connection, UUID(task_id), verdicts, was_processing=0)
